"""What a machine says of itself, and what it is told in turn."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from modelyard.server.agents.operations import known_agent, relabel
from modelyard.server.audit.operations import record
from modelyard.server.database.clock import database_now
from modelyard.server.identity.bearer import is_valid_key
from modelyard.server.identity.operations import bind_agent
from modelyard.server.models.holders import states
from modelyard.server.models.holders.absence import UNHEALTHY_AFTER, is_unhealthy, note_absence
from modelyard.server.models.holders.tables import AgentRow
from modelyard.server.teams.acting import Acting
from modelyard.wire import problems
from modelyard.wire.agents import Heartbeat, HeartbeatAnswer

IDLE_SECONDS, BUSY_SECONDS = 30.0, 2.0
# A key that was stolen makes no more rows than these.
MOST_AGENTS = 5_000
_AT_REST = ("idle", "waiting")
# What is kept as it was said.
_AS_SAID = (
    *("agent_status", "agent_version", "comfyui_version", "platform_arch", "sync_phase", "sync_detail", "sync_percent"),
    *("disk_free", "disk_budget", "bytes_held", "waiting_for", "removal_waiting", "removal_token"),
)


def take_heartbeat(session: Session, acting: Acting, beat: Heartbeat) -> HeartbeatAnswer:
    """Write down what a machine says, in the team's turn.

    Raises:
        KeyNotAllowed: the key belongs to another machine.
        AgentTaken: another machine, with another key, was heard under this name just now.
        QuotaExceeded: the team has too many machines.
        InvalidRequest: a part of the whole names what an earlier part has told.
    """
    moment = database_now(session)
    agent = known_agent(session, acting.team_id, beat.agent_id)
    if agent is None or agent.credential_id != acting.caller.credential_id:
        if agent is not None:
            _check_takeover(session, agent, moment)
        bind_agent(session, acting.caller, beat.agent_id)
    if agent is None:
        agent = _first_seen(session, acting, beat, moment)
    elif is_unhealthy(agent, moment):
        _note_return(session, acting, agent, moment)
    _note(session, acting, agent, beat, moment)
    is_in_step = _take_report(session, agent, beat, moment)
    return _answer(agent, beat, is_in_step=is_in_step)


def _key_of(acting: Acting) -> UUID:
    assert acting.caller.credential_id is not None  # noqa: S101 - only an agent's key comes here
    return acting.caller.credential_id


def _check_takeover(session: Session, agent: AgentRow, moment: datetime) -> None:
    """Raises:
    AgentTaken: two machines of one name would overwrite each other's states for ever.
    """
    if not is_unhealthy(agent, moment) and is_valid_key(session, agent.credential_id):
        seconds = int(UNHEALTHY_AFTER.total_seconds())
        raise problems.AgentTaken(
            f"A machine with another key was heard as '{agent.agent_id}' just now. If that was this one, revoke its "
            f"old key or wait {seconds} seconds; otherwise give one of the two another name.",
            agent_id=agent.agent_id,
        )


def _first_seen(session: Session, acting: Acting, beat: Heartbeat, moment: datetime) -> AgentRow:
    known = session.scalar(select(func.count()).where(AgentRow.team_id == acting.team_id)) or 0
    if known >= MOST_AGENTS:
        raise problems.QuotaExceeded(f"The team has {known} machines. Forget some that are gone first.")
    agent = AgentRow(
        team_id=acting.team_id,
        agent_id=beat.agent_id,
        credential_id=_key_of(acting),
        central_labels=[],
        own_labels=[],
        label_set="",
        orders=0,
        report_series="",
        report_number=0,
        models_ready=0,
        paused=False,
        sync_asked=False,
        approved_removal=None,
        connected_at=moment,
    )
    record(session, acting.actor, acting.team_id, "agent.first_seen", beat.agent_id)
    return agent


def _note_return(session: Session, acting: Acting, agent: AgentRow, moment: datetime) -> None:
    """Its absence may not have been written down yet, if no chore ran meanwhile."""
    note_absence(session, agent, moment)
    silent = int((moment - agent.last_heartbeat).total_seconds())
    record(session, acting.actor, acting.team_id, "agent.recovered", agent.agent_id, silent_seconds=silent)


def _note(session: Session, acting: Acting, agent: AgentRow, beat: Heartbeat, moment: datetime) -> None:
    for name in _AS_SAID:
        setattr(agent, name, getattr(beat, name))
    agent.credential_id = _key_of(acting)
    agent.last_heartbeat = moment
    session.add(agent)
    # A new machine gets its number.
    session.flush()
    if agent.own_labels != beat.agent_labels:
        agent.own_labels = list(beat.agent_labels)
        relabel(session, agent)
    if agent.approved_removal != agent.removal_token:
        # It was done, or other files wait now, which nobody has approved.
        agent.approved_removal = None


def _take_report(session: Session, agent: AgentRow, beat: Heartbeat, moment: datetime) -> bool:
    """Write the states down, if this report follows what is known; False if the machine has to begin anew."""
    begins = beat.is_whole and beat.whole_after is None and beat.report_number == 1 and bool(beat.report_series)
    if not begins:
        ahead = beat.report_number - agent.report_number
        is_known = bool(agent.report_series) and beat.report_series == agent.report_series
        if not is_known or ahead not in (0, 1):
            return False
    if beat.is_whole and not beat.is_last and not beat.model_list:
        return False
    span = _span_of(beat)
    if beat.model_list or span:
        states.write_report(session, agent, beat.model_list, span, moment)
    if beat.is_whole and beat.is_last:
        session.flush()
        states.count_ready(session, agent)
    agent.report_series, agent.report_number = beat.report_series, beat.report_number
    return True


def _span_of(beat: Heartbeat) -> states.Span | None:
    """The stretch of ids of which a part of the whole tells everything; None for a report of changes."""
    if not beat.is_whole:
        return None
    ids = [model.model_id for model in beat.model_list]
    if beat.whole_after is not None and ids and min(ids) <= beat.whole_after:
        message = "Every id of 'model_list' comes after it"
        raise problems.InvalidRequest(
            f"Not valid: 'whole_after'. {message}.", errors=[{"field": "whole_after", "message": message}]
        )
    return states.Span(beat.whole_after, None if beat.is_last else max(ids))


def _answer(agent: AgentRow, beat: Heartbeat, *, is_in_step: bool) -> HeartbeatAnswer:
    sync_now, agent.sync_asked = agent.sync_asked, False
    return HeartbeatAnswer(
        resend_all=not is_in_step,
        paused=agent.paused,
        approved_removal=agent.approved_removal,
        sync_now=sync_now,
        interval_seconds=IDLE_SECONDS if beat.sync_phase in _AT_REST else BUSY_SECONDS,
    )
