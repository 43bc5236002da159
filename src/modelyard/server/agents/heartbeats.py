"""Heartbeats: a machine's reported state is stored, and the response has what was requested of the machine."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from modelyard.server.agents.operations import find_agent, update_label_set
from modelyard.server.audit.operations import record
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database, get_table
from modelyard.server.identity.operations import bind_key_to_agent
from modelyard.server.models.replicas import reports, states
from modelyard.server.models.replicas.labels import FOLDERS
from modelyard.server.models.replicas.name_owners import check_takeover, record_key_change
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.replicas.unhealthy import is_unhealthy, record_unhealthy_agent
from modelyard.server.models.replicas.uses import record_uses
from modelyard.server.revisions import get_totals
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.tables import TeamRow
from modelyard.wire import problems
from modelyard.wire.agents.heartbeats import Heartbeat, HeartbeatResponse
from modelyard.wire.agents.partial_reading import get_unreadable
from modelyard.wire.teams import Role

IDLE_SECONDS, BUSY_SECONDS = 30.0, 2.0
# Who may decide with the labels of a machine of theirs which models of collections it gets.
LABELLING_ROLE = Role.MEMBER
_teams = get_table(TeamRow)
_SELECT_TEAM = select(_teams.c.display_name, _teams.c.machines_may_request).where(_teams.c.id == bindparam("of_team"))
_IDLE_PHASES = ("idle", "waiting")
# Fields that are stored as reported.
_COPIED_FIELDS = (
    *("agent_status", "agent_version", "comfyui_version", "platform_arch", "sync_phase", "sync_detail", "sync_percent"),
    *("disk_free", "disk_budget", "bytes_held", "models_unloaded", "waiting_for", "removal_waiting", "removal_token"),
    *("agent_build", "problem", "models_evicted", "sync_bytes_done", "sync_bytes_total", "sync_seconds_left"),
)


@dataclass(frozen=True)
class _PreparedReport:
    """The changes that a report makes, computed before the team is locked; valid while ``basis`` is unchanged."""

    basis: tuple[object, ...]
    changes: reports.ReportChanges


def record_heartbeat(database: Database, team: TeamContext, beat: Heartbeat, max_machines: int) -> HeartbeatResponse:
    """Record a machine's heartbeat and its report of model states; return the registry's response.

    The report is compared with the stored states before the team is locked, so that other writers wait less.

    Raises:
        KeyNotAllowed: the key belongs to another machine.
        AgentTaken: another person's machine has the name, or one that runs with another key, see ``check_takeover``.
        TooManyMachines: the machine is new, and the team has ``max_machines`` already.
        InvalidRequest: a part of a complete report has ids that an earlier part covers.
    """
    prepared = _prepare_report(database, team, beat)
    with database.writing(team.team_id) as session:
        moment = get_database_time(session)
        agent = find_agent(session, team.team_id, beat.agent_id)
        if agent is None or agent.credential_id != team.caller.credential_id:
            if agent is not None:
                check_takeover(session, team, agent, moment)
            bind_key_to_agent(session, team.caller, beat.agent_id)
            if agent is not None:
                record_key_change(session, team, agent)
        if agent is None:
            _check_machine_limit(session, team.team_id, max_machines)
            agent = _create_agent(session, team, beat, moment)
        elif agent.stopped_at is None and is_unhealthy(agent, moment):
            _record_return(session, team, agent, moment)
        is_current = prepared is not None and prepared.basis == _get_basis(session, agent)
        _update_agent(session, team, agent, beat, moment)
        is_accepted = _apply_report(session, agent, beat, moment, prepared if is_current else None)
        record_uses(session, agent, beat.use_list, moment)
        return _build_response(session, agent, beat, is_accepted=is_accepted)


def _prepare_report(database: Database, team: TeamContext, beat: Heartbeat) -> _PreparedReport | None:
    """Compute the changes of a report in a read transaction.

    None if there is no report, if it is not the expected next one, or if it must be compared under the lock since the
    machine is new, uses another key or has other labels.
    """
    if not beat.model_list and not beat.is_whole:
        return None
    with database.reading() as session:
        agent = find_agent(session, team.team_id, beat.agent_id)
        if agent is None or agent.credential_id != team.caller.credential_id or not _is_expected(agent, beat):
            return None
        if _has_other_labels(agent, team, beat):
            # New labels delete states, which is done under the team's lock.
            return None
        moment = get_database_time(session)
        changes = reports.compute_report_changes(session, agent, beat.model_list, _get_id_range(beat), moment)
        return _PreparedReport(_get_basis(session, agent), changes)


def _get_basis(session: Session, agent: AgentRow) -> tuple[object, ...]:
    """Return values that change whenever the machine's states, its labels or its desired models do.

    Every heartbeat changes the machine's time, every change of its labels its orders, every change of models the
    revision.
    """
    revision = get_totals(session, agent.team_id).revision
    return agent.number, agent.last_heartbeat, agent.orders, agent.report_series, revision


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
        trusts_own_labels=_trusts_own_labels(team),
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
    if _has_other_labels(agent, team, beat):
        agent.own_labels, agent.trusts_own_labels = _list_own_labels(beat), _trusts_own_labels(team)
        update_label_set(session, agent)
    if agent.approved_removal != agent.removal_token:
        # The approval was used, or other files wait now, which are not approved.
        agent.approved_removal = None


def _has_other_labels(agent: AgentRow, team: TeamContext, beat: Heartbeat) -> bool:
    """Return whether a machine's own labels, or whether they count for collections, differ from what is stored."""
    return (agent.own_labels, agent.trusts_own_labels) != (_list_own_labels(beat), _trusts_own_labels(team))


def _trusts_own_labels(team: TeamContext) -> bool:
    """Return whether the labels that the caller's machine gives itself count for collections: not a viewer's."""
    return team.responsible_role is not None and team.responsible_role.rank >= LABELLING_ROLE.rank


def _list_own_labels(beat: Heartbeat) -> list[str]:
    """Return the labels that a machine reports, and the one of its ability to place folders."""
    return [*beat.agent_labels, *([FOLDERS] if beat.places_folders else [])]


def _find_counting_start(agent: AgentRow, beat: Heartbeat, moment: datetime) -> datetime | None:
    """Return since when a machine has counted use: not before the first heartbeat that said so without interruption.

    None if it does not count. Its clock may be wrong, or its file restored.
    """
    if beat.use_counted_since is None:
        return None
    return min(max(beat.use_counted_since, agent.use_counted_since or moment), moment)


def _is_expected(agent: AgentRow, beat: Heartbeat) -> bool:
    """Return whether this report follows the last one of its series (or repeats it), or starts a new series.

    A part of a complete report that lists no models is expected only as the last part.
    """
    is_first = beat.is_whole and beat.whole_after is None and beat.report_number == 1 and bool(beat.report_series)
    is_same_series = bool(agent.report_series) and beat.report_series == agent.report_series
    if not is_first and not (is_same_series and beat.report_number - agent.report_number in (0, 1)):
        return False
    return not beat.is_whole or beat.is_last or bool(beat.model_list)


def _apply_report(
    session: Session, agent: AgentRow, beat: Heartbeat, moment: datetime, prepared: _PreparedReport | None
) -> bool:
    """Write the states of an expected report; return False without writing if the machine has to start a new series."""
    if not _is_expected(agent, beat):
        return False
    id_range = _get_id_range(beat)
    if prepared is not None:
        states.apply_report_changes(session, agent, prepared.changes)
    elif beat.model_list or id_range:
        changes = reports.compute_report_changes(session, agent, beat.model_list, id_range, moment)
        states.apply_report_changes(session, agent, changes)
    if beat.is_whole and beat.is_last:
        session.flush()
        states.recount_ready_models(session, agent)
    agent.report_series, agent.report_number = beat.report_series, beat.report_number
    return True


def _get_id_range(beat: Heartbeat) -> reports.IdRange | None:
    """Return the range of ids for which a part of a complete report is complete; None for a report of changes.

    Raises:
        InvalidRequest: an id is not greater than ``whole_after``.
    """
    if not beat.is_whole:
        return None
    ids = [model.model_id for model in beat.model_list]
    if beat.whole_after is not None and ids and min(ids) <= beat.whole_after:
        raise problems.InvalidRequest.for_field("whole_after", "Every id of 'model_list' must be greater")
    return reports.IdRange(beat.whole_after, None if beat.is_last else max(ids))


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
