"""The machine that sends a heartbeat: found by its name or created, with its key, its labels and what it reports."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from modelyard.server.agents.heartbeats.own_labels import has_other_labels, list_own_labels, trusts_own_labels
from modelyard.server.agents.operations import find_agent, update_label_set
from modelyard.server.agents.processes import record_process
from modelyard.server.audit.operations import record
from modelyard.server.identity.operations import bind_key_to_agent
from modelyard.server.models.replicas.name_owners import check_takeover, record_key_change
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.replicas.unhealthy import is_unhealthy, record_unhealthy_agent
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.agents.heartbeats import Heartbeat

# Fields that are stored as reported.
_COPIED_FIELDS = (
    *("agent_status", "agent_version", "comfyui_version", "platform_arch", "sync_phase", "sync_detail", "sync_percent"),
    *("disk_free", "disk_budget", "bytes_held", "models_unloaded", "waiting_for", "removal_waiting", "removal_token"),
    *("agent_build", "problem", "models_evicted", "sync_bytes_done", "sync_bytes_total", "sync_seconds_left"),
)


def is_same_sender(agent: AgentRow, team: TeamContext, beat: Heartbeat, moment: datetime) -> bool:
    """Return whether a stored machine is healthy, and has the key and the labels with which this heartbeat was sent."""
    has_same_key = agent.credential_id == team.caller.credential_id
    return has_same_key and not is_unhealthy(agent, moment) and not has_other_labels(agent, team, beat)


def find_sender(session: Session, team: TeamContext, beat: Heartbeat, max_machines: int, moment: datetime) -> AgentRow:
    """Return the row of the machine that sends a heartbeat, and bind the caller's key to its name.

    The row of a new machine is built, but not yet in the session. A key that is new to the machine, a new machine and
    the return of an unhealthy one are recorded in the audit log.

    Raises:
        KeyNotAllowed, AgentTaken, TooManyMachines: see ``record_heartbeat``.
    """
    agent = find_agent(session, team.team_id, beat.agent_id)
    _bind_key(session, team, agent, beat.agent_id, moment)
    if agent is None:
        _check_machine_limit(session, team.team_id, max_machines)
        return _create_agent(session, team, beat, moment)
    if agent.stopped_at is None and is_unhealthy(agent, moment):
        _record_return(session, team, agent, moment)
    return agent


def update_sender(session: Session, team: TeamContext, agent: AgentRow, beat: Heartbeat, moment: datetime) -> None:
    """Store what a heartbeat says about its machine, the key and the time; insert the row of a new machine.

    New labels may delete replica states and change subscriptions, see ``update_label_set``. The approval of a removal
    that is no longer the one that waits is deleted. Flushes the session.
    """
    for name in _COPIED_FIELDS:
        setattr(agent, name, getattr(beat, name))
    agent.credential_id = _get_key_id(team)
    agent.last_heartbeat = moment
    agent.use_counted_since = _find_counting_start(agent, beat, moment)
    agent.stopped_at = moment if beat.is_stopping else None
    record_process(agent, beat.agent_process, moment)
    session.add(agent)
    # Gives a new machine its number.
    session.flush()
    if has_other_labels(agent, team, beat):
        agent.own_labels, agent.trusts_own_labels = list_own_labels(beat), trusts_own_labels(team)
        update_label_set(session, agent)
    if agent.approved_removal != agent.removal_token:
        # The approval was used, or other files wait now, which are not approved.
        agent.approved_removal = None


def _bind_key(session: Session, team: TeamContext, agent: AgentRow | None, agent_id: str, moment: datetime) -> None:
    """Bind the caller's key to the machine's name, if the machine is new or has another key; record a change of key.

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


def _find_counting_start(agent: AgentRow, beat: Heartbeat, moment: datetime) -> datetime | None:
    """Return since when a machine has counted use: not before the first heartbeat that said so without interruption.

    None if it does not count. Its clock may be wrong, or its file restored.
    """
    if beat.use_counted_since is None:
        return None
    return min(max(beat.use_counted_since, agent.use_counted_since or moment), moment)
