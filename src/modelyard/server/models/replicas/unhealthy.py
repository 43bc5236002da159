"""Unhealthy machines: those that sent no heartbeat for too long; recorded as an audit event once per outage.

No event is recorded for a machine whose agent has reported that it was being stopped.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import record_system_event
from modelyard.server.audit.tables import AuditEventRow
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.job_run import JobRun
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.wire.agents.values import UNHEALTHY_SECONDS

UNHEALTHY_AFTER = timedelta(seconds=UNHEALTHY_SECONDS)
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


def is_unhealthy(agent: AgentRow | Row[Any], moment: datetime) -> bool:
    """Return whether the machine's last heartbeat is more than ``UNHEALTHY_AFTER`` before ``moment``."""
    return agent.last_heartbeat < moment - UNHEALTHY_AFTER


def record_unhealthy_agents(run: JobRun) -> None:
    """Record an audit event for each machine that became unhealthy and has no such event since its last heartbeat.

    A team that cannot be written is left to the next run.
    """
    columns = (AgentRow.number, AgentRow.team_id)
    for page in run.iterate_pages(select(*columns).where(_is_unrecorded(run.moment)), AgentRow.number):
        run.call_for_teams(page, partial(_record_of_team, run))


def _record_of_team(run: JobRun, team_id: UUID, agents: Sequence[Row[Any]]) -> None:
    """Record an event for those of a team's machines that are still unhealthy and have none."""
    with run.writing(team_id) as session:
        moment = get_database_time(session)
        unhealthy = and_(AgentRow.number.in_([agent.number for agent in agents]), _is_unrecorded(moment))
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
