"""Unhealthy machines: those that sent no heartbeat for 90 seconds; recorded as an audit event once per outage.

No event is recorded for a machine whose agent has reported that it was being stopped.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import record_system_event
from modelyard.server.audit.tables import AuditEventRow
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database
from modelyard.server.models.replicas.tables import AgentRow

# Three missed heartbeats.
UNHEALTHY_AFTER = timedelta(seconds=90)
_ACTION = "agent.unhealthy"
_has_event = (
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
    """Return whether the machine's last heartbeat is more than ``UNHEALTHY_AFTER`` before ``moment``."""
    return agent.last_heartbeat < moment - UNHEALTHY_AFTER


def record_unhealthy_agents(database: Database) -> None:
    """Record an audit event for each machine that became unhealthy and has no such event since its last heartbeat."""
    with database.reading() as session:
        rows = session.execute(select(AgentRow.team_id).where(_is_unrecorded(get_database_time(session))).distinct())
        teams = [team_id for (team_id,) in rows]
    for team_id in teams:
        with database.writing(team_id) as session:
            moment = get_database_time(session)
            unhealthy = and_(AgentRow.team_id == team_id, _is_unrecorded(moment))
            for agent in session.scalars(select(AgentRow).where(unhealthy)):
                _record(session, agent, moment)


def record_unhealthy_agent(session: Session, agent: AgentRow, moment: datetime) -> None:
    """Record the audit event for one machine, unless it has one since its last heartbeat.

    The caller has checked that the machine is unhealthy, and holds the team's write lock.
    """
    if session.scalar(select(AgentRow.number).where(AgentRow.number == agent.number, ~_has_event)) is not None:
        _record(session, agent, moment)


def _is_unrecorded(moment: datetime) -> ColumnElement[bool]:
    """Build the SQL condition for unhealthy machines, not stopped, without an event since their last heartbeat."""
    return and_(AgentRow.last_heartbeat < moment - UNHEALTHY_AFTER, AgentRow.stopped_at.is_(None), ~_has_event)


def _record(session: Session, agent: AgentRow, moment: datetime) -> None:
    """Record the audit event at ``moment``, a time of the database's clock, which also dates heartbeats.

    With a server's own clock, which may be wrong, events would be repeated or lost.
    """
    since = (agent.last_heartbeat + UNHEALTHY_AFTER).isoformat()
    record_system_event(session, agent.team_id, _ACTION, agent.agent_id, moment, since=since)
