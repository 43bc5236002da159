"""Which models a machine's key may download and look up."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.models.replicas.assignments import find_models_assigned_to_key
from modelyard.server.models.replicas.desired import is_desired_once_verified
from modelyard.server.models.replicas.labels import find_satisfied
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
    return model.id in find_models_of_key(session, team, {model.id: model.label_set})


def find_models_of_key(session: Session, team: TeamContext, label_sets: Mapping[UUID, str]) -> set[UUID]:
    """Return those models, given with the label sets that they need, that a machine of the caller's key should hold.

    Whether they are desired at all is not checked.
    """
    satisfied = find_satisfied(label_sets.values(), _list_label_sets_of_key(session, team))
    labelled = {model_id for model_id, needed in label_sets.items() if needed in satisfied}
    others = label_sets.keys() - labelled
    return labelled | find_models_assigned_to_key(session, team.team_id, team.caller.credential_id, others)


def _list_label_sets_of_key(session: Session, team: TeamContext) -> Sequence[str]:
    """Return the label set of each machine that uses the caller's key."""
    machines = select(AgentRow.label_set).where(
        AgentRow.team_id == team.team_id, AgentRow.credential_id == team.caller.credential_id
    )
    return session.scalars(machines).all()
