"""Record a heartbeat: the machine, its labels and the states it reports; and build the response."""

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from modelyard.server.agents.heartbeats.reported_states import (
    PreparedReport,
    apply_report,
    check_ids,
    is_long,
    prepare_report,
    write_in_batches,
)
from modelyard.server.agents.heartbeats.sender import find_sender, is_same_sender, update_sender
from modelyard.server.agents.operations import find_agent
from modelyard.server.agents.processes import is_reported_by_two
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database, get_table
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.replicas.uses import record_uses
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.tables import TeamRow
from modelyard.wire.agents.heartbeats import Heartbeat, HeartbeatResponse
from modelyard.wire.agents.partial_reading import get_unreadable

# Each compares the report anew after a change of the team's models in between.
MAX_TRIES = 10
IDLE_SECONDS, BUSY_SECONDS = 30.0, 2.0
_teams = get_table(TeamRow)
_SELECT_TEAM = select(_teams.c.display_name, _teams.c.machines_may_request).where(_teams.c.id == bindparam("of_team"))
_IDLE_PHASES = ("idle", "waiting")


def record_heartbeat(database: Database, team: TeamContext, beat: Heartbeat, max_machines: int) -> HeartbeatResponse:
    """Record a machine's heartbeat and its report of model states; return the registry's response.

    The report is compared with the stored states before the team is locked, so that other writers wait less.

    Also stores the machine's description and uses of models, and adds a new machine, with the audit events that belong
    to it.

    Raises:
        KeyNotAllowed: the key belongs to another machine.
        AgentTaken: another person's machine has the name, or one that runs with another key, see ``check_takeover``.
        TooManyMachines: the machine is new, and the team has ``max_machines`` already.
        InvalidRequest: a part of a complete report has ids that an earlier part covers.
    """
    check_ids(beat)
    prepared = _write_early(database, team, beat, max_machines)
    with database.writing(team.team_id) as session:
        moment = get_database_time(session)
        agent = find_sender(session, team, beat, max_machines, moment)
        is_current = prepared is not None and prepared.is_current(session, agent)
        update_sender(session, team, agent, beat, moment)
        is_accepted = apply_report(session, agent, beat, moment, prepared if is_current else None)
        record_uses(session, agent, beat.use_list, moment)
        response = _build_response(session, agent, beat, is_accepted=is_accepted)
        return response.model_copy(update={"is_reported_by_two": is_reported_by_two(agent, moment)})


def _write_early(database: Database, team: TeamContext, beat: Heartbeat, max_machines: int) -> PreparedReport | None:
    """Compare a report with the stored states, write all but its last changes in short transactions; return these.

    None if there is no report to compare, or if the team's data changed during each of ``MAX_TRIES``: then it is
    compared, and what is left written, under the team's lock.
    """
    for _ in range(MAX_TRIES):
        if is_long(beat):
            _store_other_sender(database, team, beat, max_machines)
        prepared = prepare_report(database, team, beat)
        left = None if prepared is None else write_in_batches(database, team, beat, prepared)
        if prepared is None or left is not None:
            return left
    return None


def _store_other_sender(database: Database, team: TeamContext, beat: Heartbeat, max_machines: int) -> None:
    """Store a machine that is new, returns, or has another key or other labels, in a transaction without its report."""
    with database.reading() as session:
        agent = find_agent(session, team.team_id, beat.agent_id)
        if agent is not None and is_same_sender(agent, team, beat, get_database_time(session)):
            return
    with database.writing(team.team_id) as session:
        moment = get_database_time(session)
        update_sender(session, team, find_sender(session, team, beat, max_machines, moment), beat, moment)


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
