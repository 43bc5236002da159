"""When machines used models last: what they report, and which models are unused.

Rows change while the team's write lock is held, as those of ``states``.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, exists, insert, select, update
from sqlalchemy.orm import Session

from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow, AssignmentRow, ModelUseRow
from modelyard.server.models.tables import ModelRow
from modelyard.wire.uses.reports import MAX_USE_GAP, ModelUse

_uses, _models, _agents = get_table(ModelUseRow), get_table(ModelRow), get_table(AgentRow)
_states, _assignments = get_table(AgentModelRow), get_table(AssignmentRow)
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
_CHANGE_USE = (
    update(_uses)
    .where(_uses.c.agent_number == bindparam("agent"), _uses.c.model_id == bindparam("model"))
    .values(last_used_at=bindparam("used"))
)
_CHANGE_MODEL = (
    update(_models)
    .where(_models.c.id == bindparam("model"), _models.c.last_used_second < bindparam("second"))
    .values(last_used_second=bindparam("second"))
)


def record_uses(session: Session, agent: AgentRow, reported: Sequence[ModelUse], moment: datetime) -> None:
    """Store when a machine used models last, and the last use of each model on any machine.

    Earlier times than the stored ones change nothing. Models of other teams are ignored. Times are cut to seconds, and
    those after ``moment``, of a clock that is ahead, are that moment. The caller holds the team's write lock.
    """
    if not reported:
        return
    ids = {use.model_id for use in reported}
    # The team is compared here for the reason that ``load_models_by_id`` gives.
    teams = session.execute(select(_models.c.id, _models.c.team_id).where(_models.c.id.in_(ids)))
    own = {model_id for model_id, team_id in teams if team_id == agent.team_id}
    new: dict[UUID, datetime] = {}
    for use in reported:
        used = min(use.last_used_at, moment).replace(microsecond=0)
        if use.model_id in own and used.year > 1970:
            new[use.model_id] = max(used, new.get(use.model_id, used))
    known = load_uses(session, [agent.number], new)
    later = {
        model_id: used for model_id, used in new.items() if used > known.get((agent.number, model_id), _BEFORE_ALL)
    }
    added = [
        {"agent_number": agent.number, "model_id": model_id, "last_used_at": used}
        for model_id, used in later.items()
        if (agent.number, model_id) not in known
    ]
    changed = [
        {"agent": agent.number, "model": model_id, "used": used}
        for model_id, used in later.items()
        if (agent.number, model_id) in known
    ]
    connection = session.connection()
    if added:
        connection.execute(insert(_uses), added)
    if changed:
        connection.execute(_CHANGE_USE, changed)
    if later:
        seconds = [{"model": model_id, "second": int(used.timestamp())} for model_id, used in later.items()]
        connection.execute(_CHANGE_MODEL, seconds)


def load_uses(session: Session, numbers: Collection[int], ids: Collection[UUID]) -> dict[tuple[int, UUID], datetime]:
    """Return when these machines used these models last, by machine and model, without those that they never used."""
    if not numbers or not ids:
        return {}
    # Only the ORM's class converts the times that SQLite stores.
    columns = (ModelUseRow.agent_number, ModelUseRow.model_id, ModelUseRow.last_used_at)
    of_pairs = ModelUseRow.agent_number.in_(numbers), ModelUseRow.model_id.in_(ids)
    rows = session.execute(select(*columns).where(*of_pairs))
    return {(row.agent_number, row.model_id): row.last_used_at for row in rows}


def build_unused_condition(session: Session, team_id: UUID, since: datetime) -> ColumnElement[bool]:
    """Build the condition that a model was added before a time, and no machine has used it after that, as far as known.

    What is on a machine that has not counted use since then may have been used.
    """
    uncounted = [agent.number for agent in list_counted_agents(session, team_id, since) if not agent.has_counted]
    is_old = and_(_models.c.last_used_second < int(since.timestamp()), _models.c.created_at < since)
    if not uncounted:
        return is_old
    there = _states.c.model_id == _models.c.id, _states.c.agent_number.in_(uncounted)
    return and_(is_old, ~exists().where(*there, _states.c.state == "ready"))


class CountedAgent(NamedTuple):
    """A machine, and whether it has counted the use of models since a time and still reports."""

    number: int
    agent_id: str
    has_counted: bool


def list_counted_agents(session: Session, team_id: UUID, since: datetime) -> list[CountedAgent]:
    """Return all machines of a team by agent id, and which of them have counted the use of models since a time.

    One that has not reported for ``MAX_USE_GAP``, or since that time, has not counted.
    """
    columns = AgentRow.number, AgentRow.agent_id, AgentRow.use_counted_since, AgentRow.last_heartbeat
    rows = session.execute(select(*columns).where(AgentRow.team_id == team_id).order_by(AgentRow.agent_id))
    reported_since = max(since, get_database_time(session) - MAX_USE_GAP)
    return [
        CountedAgent(
            row.number,
            row.agent_id,
            row.use_counted_since is not None
            and row.use_counted_since <= since
            and row.last_heartbeat >= reported_since,
        )
        for row in rows
    ]


def is_safe_to_remove(numbers: Collection[int], since: datetime) -> ColumnElement[bool]:
    """Build the condition that a replica is on one of these counted machines, unused, and there because of labels only.

    It is about joined rows of states and models. ``wire.uses.lists.UnusedModelList`` has the definition.
    """
    of_pair = _uses.c.agent_number == _states.c.agent_number, _uses.c.model_id == _states.c.model_id
    assigned = _assignments.c.agent_number == _states.c.agent_number, _assignments.c.model_id == _states.c.model_id
    return and_(
        _states.c.agent_number.in_(numbers),
        _states.c.state == "ready",
        _states.c.reported_at < since,
        _models.c.deleted_at.is_(None),
        _models.c.created_at < since,
        ~exists().where(*of_pair, _uses.c.last_used_at >= since),
        ~exists().where(*assigned),
    )
