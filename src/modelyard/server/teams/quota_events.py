"""Teams that have reached 80 % of their quota: recorded as an audit event once until they are below again."""

from functools import partial
from uuid import UUID

from sqlalchemy import ColumnElement, Double, and_, cast, func, literal, or_, select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import record_system_event
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.job_run import JobRun
from modelyard.server.revisions import TeamTotalsRow
from modelyard.server.settings import Settings
from modelyard.server.teams.tables import TeamRow

REACHED_SHARE = 0.8


def record_quota_events(run: JobRun, settings: Settings) -> None:
    """Record an audit event for each team whose stored bytes have reached 80 % of its quota since they were below.

    A team that cannot be written is left to the next run.
    """
    has_changed = or_(_has_reached(settings), _has_fallen_below(settings))
    changed = (
        select(TeamRow.id)
        .join(TeamTotalsRow, TeamTotalsRow.team_id == TeamRow.id)
        .where(TeamRow.deleted_at.is_(None), has_changed)
    )
    for page in run.iterate_pages(changed, TeamRow.id):
        for team in page:
            run.call_for_team(team.id, partial(_record_of_team, run, settings, team.id))


def _record_of_team(run: JobRun, settings: Settings, team_id: UUID) -> None:
    """Record for a team that its quota is nearly reached or is not any more, unless that changed since it was read."""
    reached, fallen = _has_reached(settings), _has_fallen_below(settings)
    query = (
        select(TeamRow, TeamTotalsRow.stored_bytes, reached)
        .join(TeamTotalsRow, TeamTotalsRow.team_id == TeamRow.id)
        .where(TeamRow.id == team_id, or_(reached, fallen))
    )
    with run.writing(team_id) as session:
        row = session.execute(query).one_or_none()
        if row is not None:
            _record(session, row[0], row[1], settings, is_reached=bool(row[2]))


def _record(session: Session, team: TeamRow, stored_bytes: int, settings: Settings, *, is_reached: bool) -> None:
    """Store when a team reached the warned share of its quota, with an audit event; or clear that time without one."""
    if not is_reached:
        team.quota_warned_at = None
        return
    team.quota_warned_at = get_database_time(session)
    quota = settings.quota_bytes if team.quota_bytes is None else team.quota_bytes
    facts = {"stored_bytes": stored_bytes, "quota_bytes": quota}
    record_system_event(session, team.id, "quota.reached_80_percent", team.id, team.quota_warned_at, **facts)


def _is_above(settings: Settings) -> ColumnElement[bool]:
    """Build the SQL condition for teams with a quota of which they store 80 % or more."""
    # As floating point numbers, since the product of large quotas has more than 64 bits.
    quota = func.coalesce(TeamRow.quota_bytes, literal(settings.quota_bytes, TeamRow.quota_bytes.type))
    return and_(quota > 0, cast(TeamTotalsRow.stored_bytes, Double) >= cast(quota, Double) * REACHED_SHARE)


def _has_reached(settings: Settings) -> ColumnElement[bool]:
    """Build the SQL condition for teams that are above the share and have no event of that."""
    return and_(_is_above(settings), TeamRow.quota_warned_at.is_(None))


def _has_fallen_below(settings: Settings) -> ColumnElement[bool]:
    """Build the SQL condition for teams that are below the share again; without a quota too."""
    return and_(func.coalesce(~_is_above(settings), True), TeamRow.quota_warned_at.is_not(None))
