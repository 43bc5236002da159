"""Record a heartbeat: the machine, its labels and the states it reports; and build the response."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from modelyard.server.agents.heartbeats.own_labels import has_other_labels, list_own_labels, trusts_own_labels
from modelyard.server.agents.heartbeats.reported_states import apply_report, prepare_report, write_in_batches
from modelyard.server.agents.operations import find_agent, update_label_set
from modelyard.server.audit.operations import record
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database, get_table
from modelyard.server.identity.operations import bind_key_to_agent
from modelyard.server.models.replicas.name_owners import check_takeover, record_key_change
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.replicas.unhealthy import is_unhealthy, record_unhealthy_agent
from modelyard.server.models.replicas.uses import record_uses
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.tables import TeamRow
from modelyard.wire import problems
from modelyard.wire.agents.heartbeats import Heartbeat, HeartbeatResponse
from modelyard.wire.agents.partial_reading import get_unreadable

IDLE_SECONDS, BUSY_SECONDS = 30.0, 2.0
_teams = get_table(TeamRow)
_SELECT_TEAM = select(_teams.c.display_name, _teams.c.machines_may_request).where(_teams.c.id == bindparam("of_team"))
_IDLE_PHASES = ("idle", "waiting")
# Fields that are stored as reported.
_COPIED_FIELDS = (
    *("agent_status", "agent_version", "comfyui_version", "platform_arch", "sync_phase", "sync_detail", "sync_percent"),
    *("disk_free", "disk_budget", "bytes_held", "models_unloaded", "waiting_for", "removal_waiting", "removal_token"),
    *("agent_build", "problem", "models_evicted", "sync_bytes_done", "sync_bytes_total", "sync_seconds_left"),
)


def record_heartbeat(database: Database, team: TeamContext, beat: Heartbeat, max_machines: int) -> HeartbeatResponse:
    """Record a machine's heartbeat and its report of model states; return the registry's response.

    The report is compared with the stored states before the team is locked, so that other writers wait less.

    Raises:
        KeyNotAllowed: the key belongs to another machine.
        AgentTaken: another person's machine has the name, or one that runs with another key, see ``check_takeover``.
        TooManyMachines: the machine is new, and the team has ``max_machines`` already.
        InvalidRequest: a part of a complete report has ids that an earlier part covers.
    """
    prepared = write_in_batches(database, team, beat, prepare_report(database, team, beat))
    with database.writing(team.team_id) as session:
        moment = get_database_time(session)
        agent = find_agent(session, team.team_id, beat.agent_id)
        _bind_key(session, team, agent, beat.agent_id, moment)
        if agent is None:
            _check_machine_limit(session, team.team_id, max_machines)
            agent = _create_agent(session, team, beat, moment)
        elif agent.stopped_at is None and is_unhealthy(agent, moment):
            _record_return(session, team, agent, moment)
        is_current = prepared is not None and prepared.is_current(session, agent)
        _update_agent(session, team, agent, beat, moment)
        is_accepted = apply_report(session, agent, beat, moment, prepared if is_current else None)
        record_uses(session, agent, beat.use_list, moment)
        return _build_response(session, agent, beat, is_accepted=is_accepted)


def _bind_key(session: Session, team: TeamContext, agent: AgentRow | None, agent_id: str, moment: datetime) -> None:
    """Bind the caller's key to the machine's name, if that is new or has another key.

    Raises:
        KeyNotAllowed, AgentTaken: see ``record_heartbeat``.
    """
    if agent is None:
        bind_key_to_agent(session, team.caller, agent_id)
    elif agent.credential_id != team.caller.credential_id:
        check_takeover(session, team, agent, moment)
        bind_key_to_agent(session, team.caller, agent_id)
        record_key_change(session, team, agent)


def _get_key_id(team: TeamContext) -> UUID:
    """Return the id of the machine's key."""
    assert team.caller.credential_id is not None  # noqa: S101 - an agent's key has been required
    return team.caller.credential_id


def _check_machine_limit(session: Session, team_id: UUID, max_machines: int) -> None:
    """Check that the team may have one more machine: with a stolen key, any number could be added.

    Raises:
        TooManyMachines: it has ``max_machines``.
    """
    count = session.scalar(select(func.count()).where(AgentRow.team_id == team_id)) or 0
    if count >= max_machines:
        raise problems.TooManyMachines(
            f"The team has {count} machines, and may have {max_machines}. Remove those that are no longer used: "
            "modelyard machine rm MACHINE. The operator can allow more: MODELYARD_MAX_MACHINES.",
            machines=count,
            max_machines=max_machines,
        )


def _create_agent(session: Session, team: TeamContext, beat: Heartbeat, moment: datetime) -> AgentRow:
    """Build the row of a new machine and record the audit event; the row is not yet in the session."""
    agent = AgentRow(
        team_id=team.team_id,
        agent_id=beat.agent_id,
        credential_id=_get_key_id(team),
        central_labels=[],
        own_labels=[],
        trusts_own_labels=trusts_own_labels(team),
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
    record(session, team.actor, team.team_id, "agent.first_seen", beat.agent_id)
    return agent


def _record_return(session: Session, team: TeamContext, agent: AgentRow, moment: datetime) -> None:
    """Record that an unhealthy machine has sent a heartbeat, and first that it was unhealthy if no job has done so."""
    record_unhealthy_agent(session, agent, moment)
    silent = int((moment - agent.last_heartbeat).total_seconds())
    record(session, team.actor, team.team_id, "agent.recovered", agent.agent_id, silent_seconds=silent)


def _update_agent(session: Session, team: TeamContext, agent: AgentRow, beat: Heartbeat, moment: datetime) -> None:
    """Store the reported fields and labels, the key and the time; inserts the row of a new machine.

    Revokes the approval of a removal that is no longer the one that waits.
    """
    for name in _COPIED_FIELDS:
        setattr(agent, name, getattr(beat, name))
    agent.credential_id = _get_key_id(team)
    agent.last_heartbeat = moment
    agent.use_counted_since = _find_counting_start(agent, beat, moment)
    agent.stopped_at = moment if beat.is_stopping else None
    session.add(agent)
    # Gives a new machine its number.
    session.flush()
    if has_other_labels(agent, team, beat):
        agent.own_labels, agent.trusts_own_labels = list_own_labels(beat), trusts_own_labels(team)
        update_label_set(session, agent)
    if agent.approved_removal != agent.removal_token:
        # The approval was used, or other files wait now, which are not approved.
        agent.approved_removal = None


def _find_counting_start(agent: AgentRow, beat: Heartbeat, moment: datetime) -> datetime | None:
    """Return since when a machine has counted use: not before the first heartbeat that said so without interruption.

    None if it does not count. Its clock may be wrong, or its file restored.
    """
    if beat.use_counted_since is None:
        return None
    return min(max(beat.use_counted_since, agent.use_counted_since or moment), moment)


def _build_response(session: Session, agent: AgentRow, beat: Heartbeat, *, is_accepted: bool) -> HeartbeatResponse:
    """Build the response, and clear a request for an immediate sync, which is delivered once."""
    sync_now, agent.sync_asked = agent.sync_asked, False
    team = session.connection().execute(_SELECT_TEAM, {"of_team": agent.team_id}).one()
    unreadable_list, unreadable_count = get_unreadable(beat)
    return HeartbeatResponse(
        resend_all=not is_accepted,
        paused=agent.paused,
        approved_removal=agent.approved_removal,
        sync_now=sync_now,
        interval_seconds=IDLE_SECONDS if beat.sync_phase in _IDLE_PHASES else BUSY_SECONDS,
        team_name=team.display_name,
        team_id=agent.team_id,
        may_request_models=team.machines_may_request,
        unreadable_list=unreadable_list,
        unreadable_count=unreadable_count,
    )
