"""The only writer of what machines say of models, and of the two counts that are kept of it.

Every function is called in the team's turn, so what it has read holds until it is done. The counts move in the same
transaction; that of a model is counted anew whenever one of its states changes, so it cannot drift.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, insert, select, update
from sqlalchemy import Row as Found
from sqlalchemy.orm import Session

from modelyard.server.database.session import table_of
from modelyard.server.models.holders.labels import fits
from modelyard.server.models.holders.tables import AgentModelRow, AgentRow
from modelyard.server.models.holders.wanting import is_wanted, may_be_held, needed_sets, wanted_among
from modelyard.server.models.tables import ModelRow
from modelyard.wire.agents import ReportedModel

_states, _models, _agents = table_of(AgentModelRow), table_of(ModelRow), table_of(AgentRow)
_is_ready = _states.c.state == "ready"
_CHANGE = (
    update(_states)
    .where(_states.c.agent_number == bindparam("agent"), _states.c.model_id == bindparam("model"))
    .values({name: bindparam(name) for name in ("state", "reason", "bytes_done", "reported_at")})
)


@dataclass(frozen=True)
class Span:
    """A stretch of ids of which a report names all states: from after one, to another or to the end."""

    after: UUID | None
    last: UUID | None

    def holds(self) -> ColumnElement[bool]:
        column = _states.c.model_id
        bounds = [column > self.after] if self.after else []
        return and_(True, *bounds, *([column <= self.last] if self.last else []))


def write_report(
    session: Session, agent: AgentRow, told: Sequence[ReportedModel], span: Span | None, moment: datetime
) -> None:
    """Make the states what a machine says they are; of models that it should not have, nothing is kept."""
    wanted = wanted_among(session, agent.team_id, {model.model_id for model in told})
    may_have = {model_id for model_id, needed in wanted.items() if fits(needed, agent.label_set)}
    new = {model.model_id: model for model in told if model.model_id in may_have}
    held = _held(session, agent, new.keys(), span)
    gone = held.keys() - new.keys()
    changed = {
        model_id: model for model_id, model in new.items() if model_id not in held or _differs(held[model_id], model)
    }
    if gone:
        session.connection().execute(
            delete(_states).where(_states.c.agent_number == agent.number, _states.c.model_id.in_(gone))
        )
    _write(session, agent, changed, held.keys(), moment)

    before = {model_id for model_id, row in held.items() if row.state == "ready"}
    after = {model_id for model_id, model in new.items() if model.state == "ready"}
    _count_again(session, before ^ after)
    agent.models_ready += len(after) - len(before)


def _held(
    session: Session, agent: AgentRow, ids: Collection[UUID], span: Span | None
) -> dict[UUID, Found[*tuple[Any, ...]]]:
    if not ids and span is None:
        return {}
    which = _states.c.model_id.in_(ids) if span is None else span.holds()
    rows = session.execute(select(_states).where(_states.c.agent_number == agent.number, which))
    return {row.model_id: row for row in rows}


def _differs(row: Found[*tuple[Any, ...]], model: ReportedModel) -> bool:
    return (row.state, row.reason, row.bytes_done) != (model.state, model.reason, model.bytes_done)


def _write(
    session: Session,
    agent: AgentRow,
    changed: Mapping[UUID, ReportedModel],
    known: Collection[UUID],
    moment: datetime,
) -> None:
    values = {
        model_id: {"state": model.state, "reason": model.reason, "bytes_done": model.bytes_done, "reported_at": moment}
        for model_id, model in changed.items()
    }
    added = [
        {"agent_number": agent.number, "model_id": model_id, **said}
        for model_id, said in values.items()
        if model_id not in known
    ]
    moved = [
        {"agent": agent.number, "model": model_id, **said} for model_id, said in values.items() if model_id in known
    ]
    if added:
        session.connection().execute(insert(_states), added)
    if moved:
        session.connection().execute(_CHANGE, moved)


def _count_again(session: Session, ids: Collection[UUID]) -> None:
    if not ids:
        return
    ready = select(func.count()).where(_states.c.model_id == _models.c.id, _is_ready).scalar_subquery()
    session.connection().execute(update(_models).where(_models.c.id.in_(ids)).values(agents_ready=ready))


def count_ready(session: Session, agent: AgentRow) -> None:
    """Count what a machine holds anew: at the end of a whole report."""
    counted = select(func.count()).where(_states.c.agent_number == agent.number, _is_ready)
    agent.models_ready = session.connection().scalar(counted) or 0


def drop_unwanted(session: Session, model: ModelRow) -> None:
    """Forget what machines said of a model that they should not have: all of them, or those that lack its labels."""
    is_held = may_be_held(model)
    rows = session.connection().execute(
        select(_states.c.agent_number, _states.c.state, _agents.c.label_set)
        .join(_agents, _agents.c.number == _states.c.agent_number)
        .where(_states.c.model_id == model.id)
    )
    gone = [row for row in rows if not (is_held and fits(model.label_set, row.label_set))]
    if not gone:
        return
    numbers = [row.agent_number for row in gone]
    ready = [row.agent_number for row in gone if row.state == "ready"]
    connection = session.connection()
    connection.execute(delete(_states).where(_states.c.model_id == model.id, _states.c.agent_number.in_(numbers)))
    connection.execute(
        update(_agents).where(_agents.c.number.in_(ready)).values(models_ready=_agents.c.models_ready - 1)
    )
    _count_again(session, [model.id])


def drop_unfit(session: Session, agent: AgentRow) -> bool:
    """Forget what a machine said of models whose labels it has no more; whether there were any."""
    unfit = [needed for needed in needed_sets(session, agent.team_id) if not fits(needed, agent.label_set)]
    if not unfit:
        return False
    models = select(_models.c.id).where(is_wanted(agent.team_id), _models.c.label_set.in_(unfit))
    dropped = _drop(session, and_(_states.c.agent_number == agent.number, _states.c.model_id.in_(models)))
    count_ready(session, agent)
    return dropped > 0


def drop_all(session: Session, agent: AgentRow) -> None:
    """Forget all that a machine said."""
    _drop(session, _states.c.agent_number == agent.number)
    agent.models_ready = 0


def _drop(session: Session, which: ColumnElement[bool]) -> int:
    """Of one machine: each of these states counts for one model."""
    ready = select(_states.c.model_id).where(which, _is_ready)
    connection = session.connection()
    connection.execute(update(_models).where(_models.c.id.in_(ready)).values(agents_ready=_models.c.agents_ready - 1))
    return connection.execute(delete(_states).where(which)).rowcount
