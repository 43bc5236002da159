"""Assignments of models to machines, which should hold them whatever their labels are; and the counts of them.

An assignment is direct, or comes from the machine's subscriptions to collections, or both.

``ModelRow.agents_assigned`` is the number of machines that should hold a model by assignment alone: they lack one of
the labels that it requires. Only this module writes it. Functions that write are called while the team's write lock is
held, and the count changes in the same transaction as the assignments and the labels.
"""

from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, insert, select, update
from sqlalchemy.orm import Session

from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.tables import AgentRow, AssignmentRow
from modelyard.server.models.tables import ModelRow

_assignments, _models, _agents = get_table(AssignmentRow), get_table(ModelRow), get_table(AgentRow)


def add_assignment(session: Session, agent: AgentRow, model: ModelRow) -> bool:
    """Assign a model to a machine directly, and update the model's count; return False if it is assigned so already.

    An assignment by a subscription becomes a direct one as well.
    """
    keys = {"agent_number": agent.number, "model_id": model.id}
    of_both = _assignments.c.agent_number == agent.number, _assignments.c.model_id == model.id
    connection = session.connection()
    present = connection.execute(select(_assignments.c.is_direct).where(*of_both)).one_or_none()
    if present is not None:
        connection.execute(update(_assignments).where(*of_both).values(is_direct=True))
        return not present.is_direct
    connection.execute(insert(_assignments), keys | {"team_id": model.team_id})
    if not has_all_labels(model.label_set, agent.label_set):
        model.agents_assigned += 1
    return True


def remove_assignment(session: Session, agent: AgentRow, model: ModelRow) -> bool:
    """End the direct assignment of a model to a machine; return False if there is none.

    Updates the model's count of machines. The model stays assigned if the machine is subscribed to it. Replica states
    stay as they are.
    """
    connection = session.connection()
    of_both = _assignments.c.agent_number == agent.number, _assignments.c.model_id == model.id
    is_both = _assignments.c.is_direct, _assignments.c.is_subscribed
    if connection.execute(update(_assignments).where(*of_both, *is_both).values(is_direct=False)).rowcount:
        return True
    if connection.execute(delete(_assignments).where(*of_both, _assignments.c.is_direct)).rowcount == 0:
        return False
    if not has_all_labels(model.label_set, agent.label_set):
        model.agents_assigned -= 1
    return True


def has_assignments(session: Session, condition: ColumnElement[bool]) -> bool:
    """Return whether any assignment meets the condition."""
    return session.connection().execute(select(_assignments.c.model_id).where(condition).limit(1)).first() is not None


def is_of_team(team_id: UUID) -> ColumnElement[bool]:
    """Build the SQL condition for the assignments of a team."""
    return _assignments.c.team_id == team_id


def is_of_agent(number: int) -> ColumnElement[bool]:
    """Build the SQL condition for the assignments of a machine."""
    return _assignments.c.agent_number == number


def select_models_of(number: int) -> Select[Any]:
    """Build the query for the ids of the models that are assigned to a machine."""
    return select(_assignments.c.model_id).where(is_of_agent(number))


def select_agents_of(model_id: UUID) -> Select[Any]:
    """Build the query for the numbers of the machines that a model is assigned to."""
    return select(_assignments.c.agent_number).where(_assignments.c.model_id == model_id)


def select_pinned_agents(model_id: UUID) -> Select[Any]:
    """Build the query for the numbers of the machines on which a version of a model is pinned."""
    return select_agents_of(model_id).where(_assignments.c.pinned_version.is_not(None))


def find_assigned_models(session: Session, number: int, ids: Collection[UUID]) -> set[UUID]:
    """Return those of the models that are assigned to the machine."""
    return set(session.scalars(select_models_of(number).where(_assignments.c.model_id.in_(ids)))) if ids else set()


def load_assigned_agents(session: Session, ids: Collection[UUID]) -> dict[UUID, set[int]]:
    """Return the numbers of the machines that each of the models is assigned to; a model without any is left out."""
    pairs = select(_assignments.c.model_id, _assignments.c.agent_number).where(_assignments.c.model_id.in_(ids))
    result: dict[UUID, set[int]] = {}
    for model_id, number in session.execute(pairs):
        result.setdefault(model_id, set()).add(number)
    return result


def find_models_assigned_to_key(
    session: Session, team_id: UUID, credential_id: UUID | None, ids: Collection[UUID]
) -> set[UUID]:
    """Return those of the models that are assigned to a machine that uses this key."""
    statement = (
        select(_assignments.c.model_id)
        .join(_agents, _agents.c.number == _assignments.c.agent_number)
        .where(_agents.c.team_id == team_id, _agents.c.credential_id == credential_id, _assignments.c.model_id.in_(ids))
    )
    return set(session.scalars(statement)) if ids else set()


def find_subscribed_pairs(session: Session, numbers: Collection[int], ids: Collection[UUID]) -> set[tuple[int, UUID]]:
    """Return the machines and models among these that are assigned by a subscription only."""
    pairs = select(_assignments.c.agent_number, _assignments.c.model_id).where(
        _assignments.c.agent_number.in_(numbers), _assignments.c.model_id.in_(ids), ~_assignments.c.is_direct
    )
    return {(number, model_id) for number, model_id in session.execute(pairs)} if numbers and ids else set()


def recount_model(session: Session, model: ModelRow) -> None:
    """Count anew, for a model whose required labels have changed, the assigned machines that lack one of the labels."""
    machines = select(_agents.c.label_set).where(_agents.c.number.in_(select_agents_of(model.id)))
    model.agents_assigned = sum(not has_all_labels(model.label_set, has) for has in session.scalars(machines))


def recount_relabelled_agent(session: Session, agent: AgentRow, before: str) -> None:
    """Update the counts of the models that are assigned to a machine whose label set was ``before``."""
    after = agent.label_set
    _add_to_counts(session, agent, 1, lambda needed: has_all_labels(needed, before) > has_all_labels(needed, after))
    _add_to_counts(session, agent, -1, lambda needed: has_all_labels(needed, before) < has_all_labels(needed, after))


def delete_assignments_of_agent(session: Session, agent: AgentRow) -> bool:
    """End all assignments to a machine, which is about to be deleted, and update the counts of their models.

    Returns whether there were any.
    """
    _add_to_counts(session, agent, -1, lambda needed: not has_all_labels(needed, agent.label_set))
    return session.connection().execute(delete(_assignments).where(is_of_agent(agent.number))).rowcount > 0


def _add_to_counts(session: Session, agent: AgentRow, change: int, is_counted: Callable[[str], bool]) -> None:
    """Add ``change`` to the counts of the machine's assigned models whose label sets meet the condition."""
    assigned = _models.c.id.in_(select_models_of(agent.number))
    label_sets = session.scalars(select(_models.c.label_set).where(assigned).distinct())
    counted = [needed for needed in label_sets if is_counted(needed)]
    if counted:
        session.connection().execute(
            update(_models)
            .where(assigned, _models.c.label_set.in_(counted))
            .values(agents_assigned=_models.c.agents_assigned + change)
        )
