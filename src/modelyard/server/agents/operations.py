"""What people see of machines, and what they tell them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, select
from sqlalchemy.orm import Session

from modelyard.server.agents.demand import wanted_by
from modelyard.server.audit.operations import record
from modelyard.server.database.clock import database_now
from modelyard.server.identity.listing import Order, listed
from modelyard.server.models.holders import states
from modelyard.server.models.holders.absence import UNHEALTHY_AFTER, is_unhealthy
from modelyard.server.models.holders.labels import fits, label_set
from modelyard.server.models.holders.tables import AgentRow
from modelyard.server.models.holders.wanting import Machines
from modelyard.server.paging import Page
from modelyard.server.teams.acting import Acting
from modelyard.wire import problems
from modelyard.wire.agents import (
    AGENT_ID_PATTERN,
    Agent,
    AgentChange,
    AgentList,
    AgentStatus,
)

_ID = re.compile(AGENT_ID_PATTERN)
_KNOWN = select(AgentRow).where(AgentRow.team_id == bindparam("of_team"), AgentRow.agent_id == bindparam("of_agent"))
_SAME_NAMES = set(Agent.model_fields) - {"agent_status", "agent_labels", "tool", "models_wanted"}


@dataclass(frozen=True)
class AgentFilter:
    """Which machines a list shows."""

    label: str | None = None
    status: AgentStatus | None = None


def agent_not_found() -> problems.AgentNotFound:
    return problems.AgentNotFound("There is no such machine.")


def find_agent(session: Session, acting: Acting, agent_id: str) -> AgentRow:
    """A machine of the team.

    Raises:
        AgentNotFound: not there, or another team's.
    """
    agent = known_agent(session, acting.team_id, agent_id) if _ID.fullmatch(agent_id) else None
    if agent is None:
        raise agent_not_found()
    return agent


def known_agent(session: Session, team_id: UUID, agent_id: str) -> AgentRow | None:
    """The machine of this name. Each heartbeat asks, so the statement is made once."""
    return session.scalar(_KNOWN, {"of_team": team_id, "of_agent": agent_id})


def list_agents(
    session: Session, acting: Acting, asked: AgentFilter, page: Page, demand: Mapping[str, int]
) -> AgentList:
    """The team's machines by their names, as they are now."""
    moment = database_now(session)
    found = select(AgentRow).where(AgentRow.team_id == acting.team_id)
    if asked.label is not None:
        sets = [has for has in Machines.of(session, acting.team_id).counts if fits(asked.label, has)]
        found = found.where(AgentRow.label_set.in_(sets))
    if asked.status is not None:
        found = found.where(_has_status(asked.status, moment))
    rows, meta = listed(session, found, page, Order((AgentRow.agent_id,)))
    return AgentList(agent_list=[_shown(row[0], moment, demand) for row in rows], page_meta=meta)


def _has_status(status: AgentStatus, moment: datetime) -> ColumnElement[bool]:
    is_unhealthy = AgentRow.last_heartbeat < moment - UNHEALTHY_AFTER
    return is_unhealthy if status == "unhealthy" else and_(~is_unhealthy, AgentRow.agent_status == status)


def _shown(agent: AgentRow, moment: datetime, demand: Mapping[str, int]) -> Agent:
    status = "unhealthy" if is_unhealthy(agent, moment) else agent.agent_status
    return Agent(
        agent_status=cast(AgentStatus, status),
        agent_labels=agent.label_set.split(),
        models_wanted=wanted_by(demand, agent.label_set),
        **{name: getattr(agent, name) for name in _SAME_NAMES},
    )


def change_agent(session: Session, acting: Acting, agent_id: str, change: AgentChange) -> None:
    """Give a machine labels here, beside its own, or pause it or let it go on.

    Raises:
        AgentNotFound
    """
    agent = find_agent(session, acting, agent_id)
    labels = change.agent_labels or []
    if "agent_labels" in change.model_fields_set and labels != agent.central_labels:
        agent.central_labels = labels
        relabel(session, agent)
        record(session, acting.actor, acting.team_id, "agent.labelled", agent.agent_id, agent_labels=labels)
    if "paused" in change.model_fields_set and change.paused != agent.paused:
        agent.paused = change.paused
        agent.orders += 1
        action = "agent.paused" if change.paused else "agent.resumed"
        record(session, acting.actor, acting.team_id, action, agent.agent_id)


def relabel(session: Session, agent: AgentRow) -> None:
    """Make both kinds of labels one set; what the machine should hold may be something else then."""
    has = label_set(agent.own_labels, agent.central_labels)
    if has == agent.label_set:
        return
    agent.label_set = has
    agent.orders += 1
    if states.drop_unfit(session, agent):
        # The labels may come back before the machine has seen that they were gone: it has to say all of it again.
        agent.report_series = ""


def approve_removal(session: Session, acting: Acting, agent_id: str) -> None:
    """Let a machine remove the files that it holds back; exactly those.

    Raises:
        AgentNotFound
        RemovalNotWaiting: it holds none back.
    """
    agent = find_agent(session, acting, agent_id)
    if agent.removal_token is None:
        raise problems.RemovalNotWaiting("This machine has no removal that waits. Look at it again in a minute.")
    if agent.approved_removal == agent.removal_token:
        return
    agent.approved_removal = agent.removal_token
    agent.orders += 1
    files = agent.removal_waiting
    record(session, acting.actor, acting.team_id, "agent.removal_approved", agent.agent_id, files=files)


def ask_to_sync(session: Session, acting: Acting, agent_id: str) -> None:
    """Have a machine look at its disk and its manifest now.

    Raises:
        AgentNotFound
    """
    agent = find_agent(session, acting, agent_id)
    agent.sync_asked = True
    agent.orders += 1


def forget_agent(session: Session, acting: Acting, agent_id: str) -> None:
    """Strike a machine off the list; if it is still there, it comes back with its next heartbeat.

    Raises:
        AgentNotFound
    """
    agent = find_agent(session, acting, agent_id)
    states.drop_all(session, agent)
    session.delete(agent)
    record(session, acting.actor, acting.team_id, "agent.forgotten", agent.agent_id)
