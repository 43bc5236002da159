"""Machines that were not heard of for so long that something must be wrong: written down while it lasts."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import record_noticed
from modelyard.server.audit.tables import AuditEventRow
from modelyard.server.database.clock import database_now
from modelyard.server.database.session import Database
from modelyard.server.models.holders.tables import AgentRow

# A machine that misses three heartbeats is not well.
UNHEALTHY_AFTER = timedelta(seconds=90)
_ACTION = "agent.unhealthy"
_noted = (
    select(AuditEventRow.id)
    .where(
        AuditEventRow.team_id == AgentRow.team_id,
        AuditEventRow.object_id == AgentRow.agent_id,
        AuditEventRow.action == _ACTION,
        AuditEventRow.created_at > AgentRow.last_heartbeat,
    )
    .exists()
)


def is_unhealthy(agent: AgentRow, moment: datetime) -> bool:
    """Whether it has not been heard of for so long that something must be wrong."""
    return agent.last_heartbeat < moment - UNHEALTHY_AFTER


def note_absences(database: Database) -> None:
    """Write down which machines have gone silent since the last time."""
    with database.reading() as session:
        found = session.execute(select(AgentRow.team_id).where(_is_news(database_now(session))).distinct())
        teams = [team_id for (team_id,) in found]
    for team_id in teams:
        with database.writing(team_id) as session:
            moment = database_now(session)
            silent = and_(AgentRow.team_id == team_id, _is_news(moment))
            for agent in session.scalars(select(AgentRow).where(silent)):
                _note(session, agent, moment)


def note_absence(session: Session, agent: AgentRow, moment: datetime) -> None:
    """The same for one machine, in its team's turn."""
    if session.scalar(select(AgentRow.number).where(AgentRow.number == agent.number, ~_noted)) is not None:
        _note(session, agent, moment)


def _is_news(moment: datetime) -> ColumnElement[bool]:
    return and_(AgentRow.last_heartbeat < moment - UNHEALTHY_AFTER, ~_noted)


def _note(session: Session, agent: AgentRow, moment: datetime) -> None:
    """By the clock that heartbeats are noted by: a server's own may be wrong, and would say it again or never."""
    since = (agent.last_heartbeat + UNHEALTHY_AFTER).isoformat()
    record_noticed(session, agent.team_id, _ACTION, agent.agent_id, moment, since=since)
