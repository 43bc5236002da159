"""Writes the replica states that machines report, and the counts of ready replicas; nothing else writes them.

Every function is called while the team's write lock is held, so no other writer changes what it has read. The counts
change in the same transaction as the states. The module ``reports`` computes what a report changes.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, bindparam, case, delete, func, insert, select, true, update
from sqlalchemy.orm import Session

from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.assignments import (
    load_assigned_agents,
    select_models_of,
    select_pinned_agents,
)
from modelyard.server.models.replicas.desired import (
    is_desired,
    is_desired_once_verified,
    list_desired_label_sets,
)
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.reports import CountChanges, ReportChanges
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow
from modelyard.server.models.tables import ModelRow

_states, _models, _agents = get_table(AgentModelRow), get_table(ModelRow), get_table(AgentRow)
_is_ready = _states.c.state == "ready"
_is_unloaded = and_(_is_ready, _states.c.reason.is_not(None))
_CHANGE = (
    update(_states)
    .where(_states.c.agent_number == bindparam("agent"), _states.c.model_id == bindparam("model"))
    .values({name: bindparam(name) for name in ("state", "reason", "bytes_done", "reported_at")})
)


def apply_report_changes(session: Session, agent: AgentRow, report: ReportChanges) -> None:
    """Write the changes of a report, and update the counts of ready replicas; the caller holds the team's lock."""
    connection = session.connection()
    if report.removed:
        of_removed = _states.c.agent_number == agent.number, _states.c.model_id.in_(report.removed)
        connection.execute(delete(_states).where(*of_removed))
    if report.added:
        connection.execute(insert(_states), report.added)
    if report.changed:
        connection.execute(_CHANGE, report.changed)
    _change_counts(session, _models.c.agents_ready, report.ready)
    _change_counts(session, _models.c.agents_unloaded, report.unloaded)
    agent.models_ready += len(report.ready.increased) - len(report.ready.decreased)


def _change_counts(session: Session, count: ColumnElement[int], changes: CountChanges) -> None:
    """Add 1 to this count of some models, and subtract 1 from that of others."""
    for ids, change in ((changes.increased, 1), (changes.decreased, -1)):
        if ids:
            session.connection().execute(update(_models).where(_models.c.id.in_(ids)).values({count: count + change}))


def _recount_ready_agents(session: Session, model_id: UUID) -> None:
    """Set ``ModelRow.agents_ready`` and ``agents_unloaded`` of a model to the numbers of its states."""
    ready, unloaded = (
        select(func.count()).where(_states.c.model_id == _models.c.id, condition).scalar_subquery()
        for condition in (_is_ready, _is_unloaded)
    )
    counts = {"agents_ready": ready, "agents_unloaded": unloaded}
    session.connection().execute(update(_models).where(_models.c.id == model_id).values(counts))


def recount_ready_models(session: Session, agent: AgentRow) -> None:
    """Set ``AgentRow.models_ready`` to the number of the machine's ready states, at the end of a complete report."""
    counted = select(func.count()).where(_states.c.agent_number == agent.number, _is_ready)
    agent.models_ready = session.connection().scalar(counted) or 0


def delete_undesired_states(session: Session, model: ModelRow) -> None:
    """Delete the replica states of a model on machines that should not hold it, and update the counts.

    Deletes all of them if the model is not desired at all. The caller holds the team's write lock.
    """
    is_desired_now = is_desired_once_verified(model)
    rows = session.connection().execute(
        select(_states.c.agent_number, _states.c.state, _agents.c.label_set)
        .join(_agents, _agents.c.number == _states.c.agent_number)
        .where(_states.c.model_id == model.id)
    )
    assigned = load_assigned_agents(session, [model.id]).get(model.id, ())
    removed = [
        row
        for row in rows
        if not (is_desired_now and (row.agent_number in assigned or has_all_labels(model.label_set, row.label_set)))
    ]
    if not removed:
        return
    numbers = [row.agent_number for row in removed]
    ready = [row.agent_number for row in removed if row.state == "ready"]
    connection = session.connection()
    connection.execute(delete(_states).where(_states.c.model_id == model.id, _states.c.agent_number.in_(numbers)))
    connection.execute(
        update(_agents).where(_agents.c.number.in_(ready)).values(models_ready=_agents.c.models_ready - 1)
    )
    _recount_ready_agents(session, model.id)


def delete_states_of_replaced_content(session: Session, model: ModelRow) -> None:
    """Delete the replica states of a model, whose content is another now, and update the counts of ready replicas.

    States of machines stay on which another version is pinned. The caller holds the team's write lock.
    """
    _delete_states_of_model(session, model, _states.c.agent_number.not_in(select_pinned_agents(model.id)))


def delete_states_of_moved_model(session: Session, model: ModelRow) -> None:
    """Delete all replica states of a model, whose path is another now, and update the counts of ready replicas.

    The caller holds the team's write lock.
    """
    _delete_states_of_model(session, model, true())


def _delete_states_of_model(session: Session, model: ModelRow, condition: ColumnElement[bool]) -> None:
    """Delete the states of a model that meet a condition, and update the counts of ready replicas."""
    connection = session.connection()
    of_model = and_(_states.c.model_id == model.id, condition)
    ready = select(_states.c.agent_number).where(of_model, _is_ready)
    connection.execute(
        update(_agents).where(_agents.c.number.in_(ready)).values(models_ready=_agents.c.models_ready - 1)
    )
    connection.execute(delete(_states).where(of_model))
    _recount_ready_agents(session, model.id)
    session.refresh(model, ["agents_ready", "agents_unloaded"])


def delete_states_without_labels(session: Session, agent: AgentRow) -> bool:
    """Delete a machine's states of models that need labels it does not have; return whether there were any.

    States of models that are assigned to it stay. Updates the counts of ready replicas. The caller holds the team's
    write lock.
    """
    unfit = [
        needed
        for needed in list_desired_label_sets(session, agent.team_id)
        if not has_all_labels(needed, agent.label_set)
    ]
    if not unfit:
        return False
    models = select(_models.c.id).where(
        is_desired(agent.team_id), _models.c.label_set.in_(unfit), _models.c.id.not_in(select_models_of(agent.number))
    )
    deleted = _delete_states_of_agent(
        session, and_(_states.c.agent_number == agent.number, _states.c.model_id.in_(models))
    )
    recount_ready_models(session, agent)
    return deleted > 0


def delete_state(session: Session, agent: AgentRow, model: ModelRow) -> bool:
    """Delete the state of one model on one machine, and update the counts; return whether there was one."""
    of_both = and_(_states.c.agent_number == agent.number, _states.c.model_id == model.id)
    is_deleted = _delete_states_of_agent(session, of_both) > 0
    recount_ready_models(session, agent)
    return is_deleted


def delete_states(
    session: Session, agents: Sequence[AgentRow], ids: Sequence[UUID], condition: ColumnElement[bool]
) -> list[AgentRow]:
    """Delete the states of these models on these machines that meet a condition, and update the counts.

    Returns the machines that had any. There are at most ``IDS_AT_ONCE`` of both.
    """
    by_number = {agent.number: agent for agent in agents}
    of_pairs = and_(_states.c.agent_number.in_(by_number), _states.c.model_id.in_(ids), condition)
    of_agents = _count_ready_states(session, _states.c.agent_number, of_pairs)
    if not of_agents:
        return []
    of_models = _count_ready_states(session, _states.c.model_id, of_pairs)
    session.connection().execute(delete(_states).where(of_pairs))
    _subtract_from_counts(session, of_models)
    for number, ready, _ in of_agents:
        by_number[number].models_ready -= ready
    return [by_number[number] for number, _, _ in of_agents]


def _count_ready_states(
    session: Session, by: ColumnElement[Any], condition: ColumnElement[bool]
) -> Sequence[Row[Any, int, int]]:
    """Return each machine or model that has states which meet a condition: how many are ready, and not loaded."""
    ready, unloaded = (func.sum(case((each, 1), else_=0)) for each in (_is_ready, _is_unloaded))
    return session.connection().execute(select(by, ready, unloaded).where(condition).group_by(by)).all()


def _subtract_from_counts(session: Session, of_models: Iterable[Row[Any, int, int]]) -> None:
    """Subtract the counts of deleted states from those of their models; models with equal ones by one statement."""
    by_counts = defaultdict[tuple[int, int], list[UUID]](list)
    for model_id, ready, unloaded in of_models:
        by_counts[ready, unloaded].append(model_id)
    for (ready, unloaded), ids in by_counts.items():
        if ready:
            counts = {
                "agents_ready": _models.c.agents_ready - ready,
                "agents_unloaded": _models.c.agents_unloaded - unloaded,
            }
            session.connection().execute(update(_models).where(_models.c.id.in_(ids)).values(counts))


def delete_agent_states(session: Session, agent: AgentRow) -> None:
    """Delete all replica states of a machine, and update the counts of ready replicas."""
    _delete_states_of_agent(session, _states.c.agent_number == agent.number)
    agent.models_ready = 0


def _delete_states_of_agent(session: Session, condition: ColumnElement[bool]) -> int:
    """Delete the states of one machine that meet a condition; return how many, and update the models' counts.

    The condition must be limited to one machine, so that each state lowers the counts of one model by 1.
    """
    connection = session.connection()
    for count, is_counted in ((_models.c.agents_ready, _is_ready), (_models.c.agents_unloaded, _is_unloaded)):
        counted = select(_states.c.model_id).where(condition, is_counted)
        connection.execute(update(_models).where(_models.c.id.in_(counted)).values({count: count - 1}))
    return connection.execute(delete(_states).where(condition)).rowcount
