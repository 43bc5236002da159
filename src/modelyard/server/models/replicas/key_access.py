"""Which models a machine's key may download and look up."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.models.replicas.assignments import find_models_assigned_to_key
from modelyard.server.models.replicas.desired import is_desired_once_verified
from modelyard.server.models.replicas.labels import find_satisfied_sets
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


def find_models_of_key(
    session: Session, team: TeamContext, label_sets: Mapping[UUID, str], machines: Collection[str] | None = None
) -> set[UUID]:
    """Return those models, given with the label sets that they need, that a machine of the caller's key should hold.

    Whether they are desired at all is not checked. ``machines`` is what ``load_label_sets_of_key`` returns, if that is
    loaded already.
    """
    machines = load_label_sets_of_key(session, team) if machines is None else machines
    satisfied = find_satisfied_sets(label_sets.values(), machines)
    labelled = {model_id for model_id, needed in label_sets.items() if needed in satisfied}
    others = label_sets.keys() - labelled
    return labelled | find_models_assigned_to_key(session, team.team_id, team.caller.credential_id, others)


def load_label_sets_of_key(session: Session, team: TeamContext) -> Sequence[str]:
    """Return the label sets of the machines that use the caller's key, each once; reads all of these machines."""
    machines = select(AgentRow.label_set).where(
        AgentRow.team_id == team.team_id, AgentRow.credential_id == team.caller.credential_id
    )
    return session.scalars(machines.distinct()).all()
