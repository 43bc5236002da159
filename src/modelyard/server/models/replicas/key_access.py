"""Which models a machine's key may download and look up."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.models.replicas.desired import is_desired_once_verified
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.context import TeamContext


def is_in_any_manifest(session: Session, team: TeamContext, model: ModelRow) -> bool:
    """Return whether the manifest of any machine that uses the caller's key lists the model, damaged or not.

    Also True for a pending model, which the manifest will list once it is verified, and, without a look at the
    machines, for a model that requires no labels.
    """
    if not is_desired_once_verified(model):
        return False
    if not model.label_set:
        return True
    return any(has_all_labels(model.label_set, has) for has in list_label_sets_of_key(session, team))


def list_label_sets_of_key(session: Session, team: TeamContext) -> Sequence[str]:
    """Return the label set of each machine that uses the caller's key."""
    machines = select(AgentRow.label_set).where(
        AgentRow.team_id == team.team_id, AgentRow.credential_id == team.caller.credential_id
    )
    return session.scalars(machines).all()
