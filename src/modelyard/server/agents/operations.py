"""Operations of people on machines: list, label, pause, approve a removal, request a sync, remove."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, select
from sqlalchemy.orm import Session, load_only

from modelyard.server import revisions
from modelyard.server.agents.desired_counts import DesiredCounts, TeamDesiredCounts
from modelyard.server.agents.machine_states import STATE_COLUMNS, StateAndReason, decide_machine_state
from modelyard.server.audit.operations import record
from modelyard.server.collections.machine_updates import update_machine
from modelyard.server.collections.subscribed_models import record_ended_subscriptions
from modelyard.server.database.clock import get_database_time
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.identity.operations import build_other_machine_problem
from modelyard.server.models.replicas import states
from modelyard.server.models.replicas.assignments import delete_assignments_of_agent, recount_relabelled_agent
from modelyard.server.models.replicas.desired import MachineCounts
from modelyard.server.models.replicas.labels import FOLDERS, build_label_set, has_all_labels
from modelyard.server.models.replicas.machine_keys import MachineKey, load_key_refusals, load_machine_keys
from modelyard.server.models.replicas.problems import load_problem_reasons
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.replicas.unhealthy import UNHEALTHY_AFTER, is_unhealthy
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.tables import TeamRow
from modelyard.wire import problems
from modelyard.wire.agents.machines import Agent, AgentList, AgentUpdate
from modelyard.wire.agents.values import AGENT_ID_PATTERN, AgentStatus, MachineState
from modelyard.wire.people.roles import Role

_ID = re.compile(AGENT_ID_PATTERN)
_FIND_AGENT = select(AgentRow).where(
    AgentRow.team_id == bindparam("of_team"), AgentRow.agent_id == bindparam("of_agent")
)
_PROGRESS_FIELDS = ("sync_bytes_done", "sync_bytes_total", "sync_seconds_left")
_COPIED_FIELDS = set(Agent.model_fields) - {
    *("agent_status", "machine_state", "state_reason", "agent_labels", "ignored_labels", "tool", "models_desired"),
    *("key_name", "key_prefix"),
    *_PROGRESS_FIELDS,
}


@dataclass(frozen=True)
class AgentFilter:
    """Which machines a list has."""

    label: str | None = None
    status: AgentStatus | None = None
    state: MachineState | None = None


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


def get_own_agent(session: Session, team: TeamContext, agent_id: str) -> AgentRow:
    """Return the machine that the caller's key is used by.

    Raises:
        KeyNotAllowed: the key belongs to another machine.
        AgentUnknown: there is no such machine, or it uses another key.
    """
    if team.caller.agent_id not in (None, agent_id):
        raise build_other_machine_problem(team.caller.agent_id)
    agent = find_agent(session, team.team_id, agent_id)
    if agent is None or agent.credential_id != team.caller.credential_id:
        raise problems.AgentUnknown("No machine of this name uses this key yet. Send a heartbeat first.")
    return agent


def list_agents(
    session: Session, team: TeamContext, filters: AgentFilter, page: Page, desired_counts: TeamDesiredCounts
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
    if filters.state is not None:
        states_of_all = _load_machine_states(session, session.scalars(statement).all(), moment, desired_counts)
        numbers = [number for number, each in states_of_all.items() if each.state == filters.state]
        statement = statement.where(AgentRow.number.in_(numbers))
    rows, meta = list_page(session, statement, page, Order((AgentRow.agent_id,)))
    agents = [row[0] for row in rows]
    machine_states = _load_machine_states(session, agents, moment, desired_counts)
    numbers = [agent.number for agent in agents]
    keys = load_machine_keys(session, numbers) if team.is_at_least(Role.ADMIN) else {}
    shown = [
        _build_agent(agent, moment, desired_counts, machine_states[agent.number], keys.get(agent.number))
        for agent in agents
    ]
    return AgentList(agent_list=shown, page_meta=meta)


def count_machine_states(session: Session, desired_counts: DesiredCounts) -> Counter[MachineState]:
    """Count the machines by their ``machine_state``, except those of deleted teams."""
    moment = get_database_time(session)
    is_counted = AgentRow.team_id.in_(select(TeamRow.id).where(TeamRow.deleted_at.is_(None)))
    only_state_columns = load_only(*STATE_COLUMNS, raiseload=True)
    agents = session.scalars(select(AgentRow).where(is_counted).options(only_state_columns)).all()
    numbers = select(AgentRow.number).where(is_counted)
    reasons, refusals = load_problem_reasons(session, numbers), load_key_refusals(session, numbers)
    counts_by_team = desired_counts.get_all(session, {agent.team_id for agent in agents})
    return Counter(
        decide_machine_state(
            agent,
            moment,
            counts_by_team[agent.team_id].count_for(agent),
            reasons.get(agent.number, {}),
            refusals.get(agent.number),
        ).state
        for agent in agents
    )


def _load_machine_states(
    session: Session, agents: Sequence[AgentRow], moment: datetime, desired_counts: TeamDesiredCounts
) -> dict[int, StateAndReason]:
    """Return the ``machine_state`` of each machine, and its reason, by the machine's number."""
    numbers = [agent.number for agent in agents]
    reasons, refusals = load_problem_reasons(session, numbers), load_key_refusals(session, numbers)
    return {
        agent.number: decide_machine_state(
            agent,
            moment,
            desired_counts.count_for(agent),
            reasons.get(agent.number, {}),
            refusals.get(agent.number),
        )
        for agent in agents
    }


def _build_status_condition(status: AgentStatus, moment: datetime) -> ColumnElement[bool]:
    """Build the SQL condition for a status; an unhealthy machine has no other."""
    is_unhealthy = AgentRow.last_heartbeat < moment - UNHEALTHY_AFTER
    return is_unhealthy if status == "unhealthy" else and_(~is_unhealthy, AgentRow.agent_status == status)


def _build_agent(
    agent: AgentRow,
    moment: datetime,
    desired_counts: TeamDesiredCounts,
    machine_state: StateAndReason,
    key: MachineKey | None,
) -> Agent:
    """Build the API's view of a machine; its status is ``unhealthy`` if its heartbeats do not arrive.

    ``key`` is None for callers who may not list the team's keys.
    """
    status = "unhealthy" if is_unhealthy(agent, moment) else agent.agent_status
    labels = [label for label in agent.label_set.split() if label != FOLDERS]
    return Agent(
        agent_status=cast(AgentStatus, status),
        machine_state=machine_state.state,
        state_reason=machine_state.reason,
        agent_labels=labels,
        ignored_labels=[label for label in labels if not has_all_labels(label, agent.collection_label_set)],
        models_desired=desired_counts.count_for(agent),
        key_name=key and key.display_name,
        key_prefix=key and key.key_prefix,
        **{name: getattr(agent, name) for name in _COPIED_FIELDS},
        **{name: getattr(agent, name) if machine_state.state == "syncing" else None for name in _PROGRESS_FIELDS},
    )


def update_agent(session: Session, team: TeamContext, agent_id: str, change: AgentUpdate) -> None:
    """Set a machine's central labels, which add to its own, or its disk budget, or pause or resume it.

    Fields not sent stay. A change also ends the wait of its manifest request, and is recorded in the audit log; what is
    set already is not. New labels may delete replica states, see ``update_label_set``.

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
    if "disk_budget_bytes" in change.model_fields_set and change.disk_budget_bytes != agent.disk_budget_bytes:
        agent.disk_budget_bytes = change.disk_budget_bytes
        # The manifest has it.
        revisions.increment_revision(session, team.team_id)
        facts = {"disk_budget_bytes": change.disk_budget_bytes}
        record(session, team.actor, team.team_id, "agent.budget_set", agent.agent_id, **facts)


def update_label_set(session: Session, agent: AgentRow) -> None:
    """Set a machine's label set to its own and central labels, and update what follows from it.

    States of models that the machine should not hold any more are deleted; then it has to report all states again, as
    it may not see that the labels were away. The counts of assigned models are updated. Subscriptions of labels end or
    begin by that too, also if only which of the labels count for collections changed.
    """
    label_set = build_label_set(agent.own_labels, agent.central_labels)
    if label_set != agent.label_set:
        before, agent.label_set = agent.label_set, label_set
        recount_relabelled_agent(session, agent, before)
        agent.orders += 1
        if states.delete_states_without_labels(session, agent):
            # The machine has to start a new report series.
            agent.report_series = ""
    update_machine(session, agent)


def approve_removal(session: Session, team: TeamContext, agent_id: str, token: str | None) -> None:
    """Approve the removal of exactly the files that the machine holds back now; does nothing if they are approved.

    ``token`` is the ``removal_token`` that the caller was shown; None for whatever waits now.

    Raises:
        AgentNotFound: see ``get_agent``.
        RemovalNotWaiting: it holds none back.
        RemovalChanged: it holds other files back than those of ``token``.
    """
    agent = get_agent(session, team, agent_id)
    if agent.removal_token is None:
        raise problems.RemovalNotWaiting(
            "This machine has no removal that waits for approval. Its state may be up to a minute old: check again."
        )
    if token not in (None, agent.removal_token):
        raise problems.RemovalChanged(
            f"Nothing is approved: the removals that wait on this machine have changed, {agent.removal_waiting} files "
            f"wait now. Look at the machine again before you approve them (modelyard machine show {agent.agent_id}).",
            removal_waiting=agent.removal_waiting,
        )
    if agent.approved_removal == agent.removal_token:
        return
    agent.approved_removal = agent.removal_token
    agent.orders += 1
    files = agent.removal_waiting
    record(session, team.actor, team.team_id, "agent.removal_approved", agent.agent_id, files=files)


def request_sync(session: Session, team: TeamContext, agent_id: str) -> None:
    """Set that a machine is to scan its disk and read its manifest at once, and end the wait of its manifest request.

    The request is delivered once, with the response to its next heartbeat.

    Raises:
        AgentNotFound: see ``get_agent``.
    """
    agent = get_agent(session, team, agent_id)
    agent.sync_asked = True
    agent.orders += 1


def delete_agent(session: Session, team: TeamContext, agent_id: str) -> None:
    """Delete a machine with its states, assignments and own subscriptions, and record that in the audit log.

    If it still runs, its next heartbeat adds it again, since its key stays valid.

    Raises:
        AgentNotFound: see ``get_agent``.
    """
    agent = get_agent(session, team, agent_id)
    record_ended_subscriptions(session, team, agent)
    states.delete_agent_states(session, agent)
    if delete_assignments_of_agent(session, agent):
        # What is cached by revision names its assignments by its number, which another machine may get.
        revisions.increment_revision(session, team.team_id)
    session.delete(agent)
    record(session, team.actor, team.team_id, "agent.forgotten", agent.agent_id)
