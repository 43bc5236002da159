"""Operations of people on machines: list, label, pause, approve a removal, request a sync, remove."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, select
from sqlalchemy.orm import Session

from modelyard.server.agents.desired_counts import count_desired_models
from modelyard.server.audit.operations import record
from modelyard.server.database.clock import get_database_time
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.models.replicas import states
from modelyard.server.models.replicas.desired import MachineCounts
from modelyard.server.models.replicas.labels import build_label_set, has_all_labels
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.replicas.unhealthy import UNHEALTHY_AFTER, is_unhealthy
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.agents import (
    AGENT_ID_PATTERN,
    Agent,
    AgentList,
    AgentStatus,
    AgentUpdate,
)

_ID = re.compile(AGENT_ID_PATTERN)
_FIND_AGENT = select(AgentRow).where(
    AgentRow.team_id == bindparam("of_team"), AgentRow.agent_id == bindparam("of_agent")
)
_COPIED_FIELDS = set(Agent.model_fields) - {"agent_status", "agent_labels", "tool", "models_desired"}


@dataclass(frozen=True)
class AgentFilter:
    """Which machines a list has."""

    label: str | None = None
    status: AgentStatus | None = None


def build_agent_not_found_problem() -> problems.AgentNotFound:
    """Build the problem for a machine that does not exist, or is another team's."""
    return problems.AgentNotFound("There is no such machine.")


def get_agent(session: Session, team: TeamContext, agent_id: str) -> AgentRow:
    """Return a machine of the team.

    Raises:
        AgentNotFound: it does not exist, or is another team's.
    """
    agent = find_agent(session, team.team_id, agent_id) if _ID.fullmatch(agent_id) else None
    if agent is None:
        raise build_agent_not_found_problem()
    return agent


def find_agent(session: Session, team_id: UUID, agent_id: str) -> AgentRow | None:
    """Return the machine with this agent id, or None; the statement is built once, since each heartbeat runs it."""
    return session.scalar(_FIND_AGENT, {"of_team": team_id, "of_agent": agent_id})


def list_agents(
    session: Session, team: TeamContext, filters: AgentFilter, page: Page, desired_counts: Mapping[str, int]
) -> AgentList:
    """List the team's machines that match the filters, by agent id, with their current status."""
    moment = get_database_time(session)
    statement = select(AgentRow).where(AgentRow.team_id == team.team_id)
    if filters.label is not None:
        label_sets = [
            label_set
            for label_set in MachineCounts.load(session, team.team_id).counts
            if has_all_labels(filters.label, label_set)
        ]
        statement = statement.where(AgentRow.label_set.in_(label_sets))
    if filters.status is not None:
        statement = statement.where(_build_status_condition(filters.status, moment))
    rows, meta = list_page(session, statement, page, Order((AgentRow.agent_id,)))
    return AgentList(agent_list=[_build_agent(row[0], moment, desired_counts) for row in rows], page_meta=meta)


def _build_status_condition(status: AgentStatus, moment: datetime) -> ColumnElement[bool]:
    """Build the SQL condition for a status; an unhealthy machine has no other."""
    is_unhealthy = AgentRow.last_heartbeat < moment - UNHEALTHY_AFTER
    return is_unhealthy if status == "unhealthy" else and_(~is_unhealthy, AgentRow.agent_status == status)


def _build_agent(agent: AgentRow, moment: datetime, desired_counts: Mapping[str, int]) -> Agent:
    """Build the API's view of a machine; its status is ``unhealthy`` 90 seconds after its last heartbeat."""
    status = "unhealthy" if is_unhealthy(agent, moment) else agent.agent_status
    return Agent(
        agent_status=cast(AgentStatus, status),
        agent_labels=agent.label_set.split(),
        models_desired=count_desired_models(desired_counts, agent.label_set),
        **{name: getattr(agent, name) for name in _COPIED_FIELDS},
    )


def update_agent(session: Session, team: TeamContext, agent_id: str, change: AgentUpdate) -> None:
    """Set a machine's central labels, which add to its own, or pause or resume it; fields not sent stay.

    A new label set, a pause and its end also end the wait of its manifest request. What is set already is not recorded.

    Raises:
        AgentNotFound: see ``get_agent``.
    """
    agent = get_agent(session, team, agent_id)
    labels = change.agent_labels or []
    if "agent_labels" in change.model_fields_set and labels != agent.central_labels:
        agent.central_labels = labels
        update_label_set(session, agent)
        record(session, team.actor, team.team_id, "agent.labelled", agent.agent_id, agent_labels=labels)
    if "paused" in change.model_fields_set and change.paused != agent.paused:
        agent.paused = change.paused
        agent.orders += 1
        action = "agent.paused" if change.paused else "agent.resumed"
        record(session, team.actor, team.team_id, action, agent.agent_id)


def update_label_set(session: Session, agent: AgentRow) -> None:
    """Combine own and central labels; delete the states of models that the machine should not hold any more.

    If states were deleted, the machine has to report all states again: it may not see that the labels were away.
    """
    label_set = build_label_set(agent.own_labels, agent.central_labels)
    if label_set == agent.label_set:
        return
    agent.label_set = label_set
    agent.orders += 1
    if states.delete_states_without_labels(session, agent):
        # The machine has to start a new report series.
        agent.report_series = ""


def approve_removal(session: Session, team: TeamContext, agent_id: str) -> None:
    """Approve the removal of exactly the files that the machine holds back now; does nothing if they are approved.

    Raises:
        AgentNotFound: see ``get_agent``.
        RemovalNotWaiting: it holds none back.
    """
    agent = get_agent(session, team, agent_id)
    if agent.removal_token is None:
        raise problems.RemovalNotWaiting(
            "This machine has no removal that waits for approval. Its state may be up to a minute old: check again."
        )
    if agent.approved_removal == agent.removal_token:
        return
    agent.approved_removal = agent.removal_token
    agent.orders += 1
    files = agent.removal_waiting
    record(session, team.actor, team.team_id, "agent.removal_approved", agent.agent_id, files=files)


def request_sync(session: Session, team: TeamContext, agent_id: str) -> None:
    """Ask a machine to scan its disk and read its manifest at once, and end the wait of its manifest request.

    The request is delivered once, with the response to its next heartbeat.

    Raises:
        AgentNotFound: see ``get_agent``.
    """
    agent = get_agent(session, team, agent_id)
    agent.sync_asked = True
    agent.orders += 1


def delete_agent(session: Session, team: TeamContext, agent_id: str) -> None:
    """Delete a machine and its states; if it still runs, its next heartbeat adds it again, since its key stays valid.

    Raises:
        AgentNotFound: see ``get_agent``.
    """
    agent = get_agent(session, team, agent_id)
    states.delete_agent_states(session, agent)
    session.delete(agent)
    record(session, team.actor, team.team_id, "agent.forgotten", agent.agent_id)
