"""SQL conditions on models by the machines that should hold them and by their replica states there."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, or_, select
from sqlalchemy.orm import Session

from modelyard.server.database.search import join_left_to_right
from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.desired import MachineCounts, is_desired, is_desired_on, list_desired_label_sets
from modelyard.server.models.replicas.problems import PROBLEM_STATES
from modelyard.server.models.replicas.tables import PROBLEMS, AgentModelRow, AgentRow
from modelyard.server.models.tables import ModelRow
from modelyard.wire.agents.values import ModelState

_models, _states, _agents = get_table(ModelRow), get_table(AgentModelRow), get_table(AgentRow)
_of_model = _states.c.model_id == _models.c.id
# A machine that has not reported a model is as one that says it is queued.
_is_reported = _states.c.state != "queued"


def build_desired_condition(session: Session, team_id: UUID, agent_ids: Collection[str]) -> ColumnElement[bool]:
    """Build the condition that one of these machines should hold the model; other teams' machines count for none."""
    return _build_any(is_desired_on(session, agent) for agent in _list_agents(session, team_id, agent_ids))


def build_state_condition(
    session: Session, team_id: UUID, states: Collection[ModelState], agent_ids: Collection[str] | None
) -> ColumnElement[bool]:
    """Build the condition that a model has one of these states on one of these machines, or with None on any machine.

    A model that a machine should hold and has not reported yet is ``queued`` there.
    """
    reported = set(states) - {"queued"}
    is_reported = exists().where(_of_model, _states.c.state.in_(sorted(reported))) if reported else None
    if agent_ids is None:
        queued = [_is_queued_anywhere(session, team_id)] if "queued" in states else []
        return _build_any([*queued, *([] if is_reported is None else [is_reported])])
    conditions: list[ColumnElement[bool]] = []
    for agent in _list_agents(session, team_id, agent_ids):
        there = _states.c.agent_number == agent.number
        if is_reported is not None:
            conditions.append(is_reported.where(there))
        if "queued" in states:
            has_state = exists().where(_of_model, there, _is_reported)
            conditions.append(and_(is_desired_on(session, agent), ~has_state))
    return _build_any(conditions)


def build_reported_condition(session: Session, team_id: UUID, agent_ids: Collection[str]) -> ColumnElement[bool]:
    """Build the condition that a row of ``agent_models`` is of one of these machines."""
    return _states.c.agent_number.in_([agent.number for agent in _list_agents(session, team_id, agent_ids)])


def select_models_with_problems(team_id: UUID, states: Collection[ModelState]) -> Select[Any] | None:
    """Build the query for ids of the team's models that have one of these states, by an index; in the trash too.

    None if the index does not have these states.
    """
    if not {*PROBLEM_STATES, "downloading", "evicted"}.issuperset(states):
        return None
    # Repeats the condition of ``ix_agent_models_problems``.
    source = join_left_to_right(_agents, _states, and_(_states.c.agent_number == _agents.c.number, PROBLEMS))
    query = select(_states.c.model_id.label("model_id")).select_from(source).distinct()
    return query.where(_agents.c.team_id == team_id, _states.c.state.in_(sorted(states)))


def build_incomplete_condition(session: Session, team_id: UUID) -> ColumnElement[bool]:
    """Build the condition that fewer machines have a model ready than should hold it.

    All states of any other model are ``ready``.
    """
    return _build_fewer_condition(team_id, _count_machines(session, team_id), _models.c.agents_ready)


def _count_machines(session: Session, team_id: UUID) -> dict[str, int]:
    """Return for each label set that models need how many machines have it."""
    machines = MachineCounts.load(session, team_id)
    return {needed: machines.count_with(needed) for needed in list_desired_label_sets(session, team_id)}


def _build_fewer_condition(team_id: UUID, expected: Mapping[str, int], held: ColumnElement[int]) -> ColumnElement[bool]:
    """Build the condition that ``held`` is less than the number of machines that should hold the model."""
    return and_(
        is_desired(team_id),
        _build_any(
            and_(_models.c.label_set == needed, held < number + _models.c.agents_assigned)
            for needed, number in expected.items()
        ),
    )


def _is_queued_anywhere(session: Session, team_id: UUID) -> ColumnElement[bool]:
    """Build the condition that fewer machines have reported a model than should hold it."""
    reported = select(func.count()).where(_of_model, _is_reported).scalar_subquery()
    expected = _count_machines(session, team_id)
    # The first finds the few models for which the second counts.
    is_incomplete = _build_fewer_condition(team_id, expected, _models.c.agents_ready)
    return and_(is_incomplete, _build_fewer_condition(team_id, expected, reported))


def _build_any(conditions: Iterable[ColumnElement[bool]]) -> ColumnElement[bool]:
    """Build the condition that one of these is met; none is if there are none."""
    return or_(false(), *conditions)


def _list_agents(session: Session, team_id: UUID, agent_ids: Collection[str]) -> list[AgentRow]:
    """Return those of the machines that exist."""
    return list(session.scalars(select(AgentRow).where(AgentRow.team_id == team_id, AgentRow.agent_id.in_(agent_ids))))
