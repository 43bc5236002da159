"""The states in a heartbeat: compared before the team is locked, and written in short transactions."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from modelyard.server.agents.heartbeats.sender import is_same_sender
from modelyard.server.agents.operations import find_agent
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database
from modelyard.server.models.replicas import reports, states
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.replicas.unhealthy import is_unhealthy
from modelyard.server.revisions import get_totals
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.agents.heartbeats import Heartbeat

# Meanwhile the team's other writers wait, on SQLite those of all teams.
CHANGES_PER_TRANSACTION = 200


@dataclass(frozen=True)
class PreparedReport:
    """The changes that a report makes, computed before the team is locked; valid while ``basis`` is unchanged."""

    basis: tuple[object, ...]
    changes: reports.ReportChanges

    def is_current(self, session: Session, agent: AgentRow) -> bool:
        """Return whether everything that these changes were computed from is unchanged."""
        return self.basis == _get_basis(session, agent)


def check_ids(beat: Heartbeat) -> None:
    """Check that a part of a complete report lists only ids above ``whole_after``.

    Raises:
        InvalidRequest: one is not greater.
    """
    ids = [model.model_id for model in beat.model_list]
    if beat.is_whole and beat.whole_after is not None and ids and min(ids) <= beat.whole_after:
        raise problems.InvalidRequest.for_field("whole_after", "Every id of 'model_list' must be greater")


def is_long(beat: Heartbeat) -> bool:
    """Return whether a report may change more states than one transaction writes; a complete one may remove any."""
    return beat.is_whole or len(beat.model_list) > CHANGES_PER_TRANSACTION


def prepare_report(database: Database, team: TeamContext, beat: Heartbeat) -> PreparedReport | None:
    """Compute the changes of a report in a read transaction.

    None if there is no report, if it is not the expected next one, or if the machine is new, unhealthy, or has another
    key or other labels: that is stored first.
    """
    if not beat.model_list and not beat.is_whole:
        return None
    with database.reading() as session:
        agent, moment = find_agent(session, team.team_id, beat.agent_id), get_database_time(session)
        if agent is None or not is_same_sender(agent, team, beat, moment) or not _is_expected(agent, beat):
            return None
        changes = reports.compute_report_changes(session, agent, beat.model_list, _get_id_range(beat), moment)
        return PreparedReport(_get_basis(session, agent), changes)


def write_in_batches(
    database: Database, team: TeamContext, beat: Heartbeat, prepared: PreparedReport
) -> PreparedReport | None:
    """Write all but the last changes of a large report in short transactions, between which other teams write.

    Return what is left to write; None if it has to be computed anew. The report is not acknowledged by this: a machine
    that gets no response sends it again.
    """
    *batches, last = prepared.changes.split(CHANGES_PER_TRANSACTION)
    basis = prepared.basis
    for batch in batches:
        with database.writing(team.team_id) as session:
            agent, moment = find_agent(session, team.team_id, beat.agent_id), get_database_time(session)
            if agent is None or basis != _get_basis(session, agent) or is_unhealthy(agent, moment):
                # The return of an unhealthy machine is recorded first.
                return None
            states.apply_report_changes(session, agent, batch)
            # Another report that was compared before is out of date now.
            agent.last_heartbeat = moment
            basis = _get_basis(session, agent)
    return PreparedReport(basis, last)


def _get_basis(session: Session, agent: AgentRow) -> tuple[object, ...]:
    """Return values that change whenever the machine's states, its labels or its desired models do.

    Every heartbeat changes the machine's time, every change of its labels its orders, every change of models the
    revision.
    """
    revision = get_totals(session, agent.team_id).revision
    return agent.number, agent.last_heartbeat, agent.orders, agent.report_series, revision


def _is_expected(agent: AgentRow, beat: Heartbeat) -> bool:
    """Return whether this report follows the last one of its series (or repeats it), or starts a new series.

    A part of a complete report that lists no models is expected only as the last part.
    """
    is_first = beat.is_whole and beat.whole_after is None and beat.report_number == 1 and bool(beat.report_series)
    is_same_series = bool(agent.report_series) and beat.report_series == agent.report_series
    if not is_first and not (is_same_series and beat.report_number - agent.report_number in (0, 1)):
        return False
    return not beat.is_whole or beat.is_last or bool(beat.model_list)


def apply_report(
    session: Session, agent: AgentRow, beat: Heartbeat, moment: datetime, prepared: PreparedReport | None
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
    """Return the range of ids for which a part of a complete report is complete; None for a report of changes."""
    if not beat.is_whole:
        return None
    return reports.IdRange(beat.whole_after, None if beat.is_last else max(model.model_id for model in beat.model_list))
