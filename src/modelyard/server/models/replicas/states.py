"""Writes the replica states that machines report, and the two counts of ready replicas; nothing else writes them.

Every function but ``compute_report_changes`` is called while the team's write lock is held, so no other writer changes
what it has read. The counts change in the same transaction as the states.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, insert, select, update
from sqlalchemy import Row as ResultRow
from sqlalchemy.orm import Session

from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.desired import (
    find_desired_versions,
    is_desired,
    is_desired_once_verified,
    list_desired_label_sets,
)
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow
from modelyard.server.models.tables import ModelRow
from modelyard.wire.agents import MAX_REASON_LENGTH, ReportedModel

_states, _models, _agents = get_table(AgentModelRow), get_table(ModelRow), get_table(AgentRow)
_is_ready = _states.c.state == "ready"
_CHANGE = (
    update(_states)
    .where(_states.c.agent_number == bindparam("agent"), _states.c.model_id == bindparam("model"))
    .values({name: bindparam(name) for name in ("state", "reason", "bytes_done", "reported_at")})
)


@dataclass(frozen=True)
class IdRange:
    """A range of model ids for which a report is complete: above ``after`` (None: from the start), up to ``last``.

    With ``last`` None the range has no upper end.
    """

    after: UUID | None
    last: UUID | None

    def build_condition(self) -> ColumnElement[bool]:
        """Build the SQL condition that a state's model id is in this range."""
        column = _states.c.model_id
        bounds = [column > self.after] if self.after else []
        return and_(True, *bounds, *([column <= self.last] if self.last else []))


@dataclass(frozen=True)
class ReportChanges:
    """What a report changes in the database: state rows to write, and models that became ready or stopped being so."""

    added: list[dict[str, Any]]
    changed: list[dict[str, Any]]
    removed: Collection[UUID]
    now_ready: Collection[UUID]
    no_longer_ready: Collection[UUID]


def compute_report_changes(
    session: Session, agent: AgentRow, reported: Sequence[ReportedModel], id_range: IdRange | None, moment: datetime
) -> ReportChanges:
    """Compare a report with the stored states and return the changes; writes nothing.

    States of models that the machine should not hold, and of versions that are not current, are ignored. Without an
    ``id_range`` only the reported models change; with one, the states of its other models are removed. May run before
    the team's write lock is taken, if the caller checks then that the data is still current. Reasons are cut to
    ``MAX_REASON_LENGTH`` characters.
    """
    desired = find_desired_versions(session, agent.team_id, {model.model_id for model in reported})
    may_have = {
        model_id: version for model_id, version in desired.items() if has_all_labels(version.label_set, agent.label_set)
    }
    new = {
        model.model_id: _truncate_reason(model)
        for model in reported
        if model.model_id in may_have and may_have[model.model_id].is_meant_by(model.version)
    }
    known = _load_states(session, agent, new.keys(), id_range)
    before = {model_id for model_id, row in known.items() if row.state == "ready"}
    after = {model_id for model_id, model in new.items() if model.state == "ready"}
    return ReportChanges(
        added=[
            {"agent_number": agent.number, "model_id": model_id, **_build_state_values(model, moment)}
            for model_id, model in new.items()
            if model_id not in known
        ],
        changed=[
            {"agent": agent.number, "model": model_id, **_build_state_values(model, moment)}
            for model_id, model in new.items()
            if model_id in known and _has_changed(known[model_id], model)
        ],
        removed=known.keys() - new.keys(),
        now_ready=after - before,
        no_longer_ready=before - after,
    )


def apply_report_changes(session: Session, agent: AgentRow, report: ReportChanges) -> None:
    """Write the changes of a report, and update both counts of ready replicas; the caller holds the team's lock."""
    connection = session.connection()
    if report.removed:
        of_removed = _states.c.agent_number == agent.number, _states.c.model_id.in_(report.removed)
        connection.execute(delete(_states).where(*of_removed))
    if report.added:
        connection.execute(insert(_states), report.added)
    if report.changed:
        connection.execute(_CHANGE, report.changed)
    _add_to_ready_count(session, report.now_ready, 1)
    _add_to_ready_count(session, report.no_longer_ready, -1)
    agent.models_ready += len(report.now_ready) - len(report.no_longer_ready)


def _build_state_values(model: ReportedModel, moment: datetime) -> dict[str, Any]:
    """Return the column values of a reported state."""
    return {"state": model.state, "reason": model.reason, "bytes_done": model.bytes_done, "reported_at": moment}


def _truncate_reason(model: ReportedModel) -> ReportedModel:
    """Return the reported state with its reason cut to ``MAX_REASON_LENGTH`` characters, ending in an ellipsis."""
    if model.reason is None or len(model.reason) <= MAX_REASON_LENGTH:
        return model
    return model.model_copy(update={"reason": model.reason[: MAX_REASON_LENGTH - 1] + "…"})


def _load_states(
    session: Session, agent: AgentRow, ids: Collection[UUID], id_range: IdRange | None
) -> dict[UUID, ResultRow[*tuple[Any, ...]]]:
    """Return a machine's stored states by model id: of all models in ``id_range``, or without one of ``ids``."""
    if not ids and id_range is None:
        return {}
    condition = _states.c.model_id.in_(ids) if id_range is None else id_range.build_condition()
    rows = session.execute(select(_states).where(_states.c.agent_number == agent.number, condition))
    return {row.model_id: row for row in rows}


def _has_changed(row: ResultRow[*tuple[Any, ...]], model: ReportedModel) -> bool:
    """Return whether a reported state differs from the stored one; the time of the report does not count."""
    return (row.state, row.reason, row.bytes_done) != (model.state, model.reason, model.bytes_done)


def _add_to_ready_count(session: Session, ids: Collection[UUID], change: int) -> None:
    """Add ``change`` to the number of machines that have each of these models ready."""
    if ids:
        updated = update(_models).where(_models.c.id.in_(ids)).values(agents_ready=_models.c.agents_ready + change)
        session.connection().execute(updated)


def _recount_ready_agents(session: Session, ids: Collection[UUID]) -> None:
    """Set ``ModelRow.agents_ready`` of these models to the number of ready states."""
    if not ids:
        return
    ready = select(func.count()).where(_states.c.model_id == _models.c.id, _is_ready).scalar_subquery()
    session.connection().execute(update(_models).where(_models.c.id.in_(ids)).values(agents_ready=ready))


def recount_ready_models(session: Session, agent: AgentRow) -> None:
    """Set ``AgentRow.models_ready`` to the number of the machine's ready states, at the end of a complete report."""
    counted = select(func.count()).where(_states.c.agent_number == agent.number, _is_ready)
    agent.models_ready = session.connection().scalar(counted) or 0


def delete_undesired_states(session: Session, model: ModelRow) -> None:
    """Delete the replica states of a model on machines that should not hold it, and update the counts.

    Deletes all of them if the model is not desired at all, else those of machines that lack one of its labels. The
    caller holds the team's write lock.
    """
    is_desired_now = is_desired_once_verified(model)
    rows = session.connection().execute(
        select(_states.c.agent_number, _states.c.state, _agents.c.label_set)
        .join(_agents, _agents.c.number == _states.c.agent_number)
        .where(_states.c.model_id == model.id)
    )
    removed = [row for row in rows if not (is_desired_now and has_all_labels(model.label_set, row.label_set))]
    if not removed:
        return
    numbers = [row.agent_number for row in removed]
    ready = [row.agent_number for row in removed if row.state == "ready"]
    connection = session.connection()
    connection.execute(delete(_states).where(_states.c.model_id == model.id, _states.c.agent_number.in_(numbers)))
    connection.execute(
        update(_agents).where(_agents.c.number.in_(ready)).values(models_ready=_agents.c.models_ready - 1)
    )
    _recount_ready_agents(session, [model.id])


def delete_states_of_model(session: Session, model: ModelRow) -> None:
    """Delete all replica states of a model, whose content is another now, and update the counts of ready replicas.

    The caller holds the team's write lock.
    """
    connection = session.connection()
    ready = select(_states.c.agent_number).where(_states.c.model_id == model.id, _is_ready)
    connection.execute(
        update(_agents).where(_agents.c.number.in_(ready)).values(models_ready=_agents.c.models_ready - 1)
    )
    connection.execute(delete(_states).where(_states.c.model_id == model.id))
    model.agents_ready = 0


def delete_states_without_labels(session: Session, agent: AgentRow) -> bool:
    """Delete a machine's states of models that need labels it does not have; return whether there were any.

    Updates the counts of ready replicas. The caller holds the team's write lock.
    """
    unfit = [
        needed
        for needed in list_desired_label_sets(session, agent.team_id)
        if not has_all_labels(needed, agent.label_set)
    ]
    if not unfit:
        return False
    models = select(_models.c.id).where(is_desired(agent.team_id), _models.c.label_set.in_(unfit))
    deleted = _delete_states_of_agent(
        session, and_(_states.c.agent_number == agent.number, _states.c.model_id.in_(models))
    )
    recount_ready_models(session, agent)
    return deleted > 0


def delete_agent_states(session: Session, agent: AgentRow) -> None:
    """Delete all replica states of a machine, and update the counts of ready replicas."""
    _delete_states_of_agent(session, _states.c.agent_number == agent.number)
    agent.models_ready = 0


def _delete_states_of_agent(session: Session, condition: ColumnElement[bool]) -> int:
    """Delete the states of one machine that meet a condition; return how many, and update the models' counts.

    The condition must be limited to one machine, so that each ready state lowers the count of one model by 1.
    """
    ready = select(_states.c.model_id).where(condition, _is_ready)
    connection = session.connection()
    connection.execute(update(_models).where(_models.c.id.in_(ready)).values(agents_ready=_models.c.agents_ready - 1))
    return connection.execute(delete(_states).where(condition)).rowcount
