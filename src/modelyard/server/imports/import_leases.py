"""Leases of imports: one worker runs an import at a time, by the database's clock; and what a run records."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from modelyard.server.database.base import new_id
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.engine import IMPORT_LEASES
from modelyard.server.database.session import Database, execute_and_count
from modelyard.server.imports.tables import WAITING, ImportRow
from modelyard.server.leases import LEASE_LIFE

# Imports from one host that run at the same time, in all processes.
MAX_PER_HOST = 2
# Conversions take processor time and memory: so many run at the same time in all processes, and one of a team. See
# ``count_conversion_workers`` for those of one process.
MAX_CONVERSIONS, MAX_CONVERSIONS_PER_TEAM = 2, 1
# Turns of teams are by their last import that ended, if it did within this time.
_TURNS_REMEMBERED = timedelta(hours=1)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=5)


@dataclass(frozen=True)
class LeasedImport:
    """An import whose result this run may record."""

    row: ImportRow
    lease: UUID


def count_conversion_workers(workers: int) -> int:
    """Return how many of a process's workers may convert at the same time: not all of several, nor none of one."""
    return max(1, workers - 1)


def lease_next_import(
    database: Database, life: timedelta = LEASE_LIFE, *, may_convert: bool = True
) -> LeasedImport | None:
    """Lease the next import; None if none is due, or all that are wait for their hosts.

    The team with the fewest running imports comes first, then the one whose last import ended the longest time ago;
    within a team, those with the fewest failed tries, then the oldest. ``may_convert``: also a conversion.
    """
    with database.reading() as session:
        teams = _list_waiting_teams(session, get_database_time(session))
    if not teams:
        return None
    lease = new_id()
    # Leasing is serialised, since the limits count the leases of all teams.
    with database.writing(IMPORT_LEASES) as session:
        moment = get_database_time(session)
        allowed = _build_limits(session, moment, may_convert=may_convert)
        row = next((row for team in teams if (row := _lock_next(session, team, moment, allowed)) is not None), None)
        if row is None:
            return None
        row.lease, row.leased_until, row.import_state = lease, moment + life, "running"
        return LeasedImport(row, lease)


def _list_waiting_teams(session: Session, moment: datetime) -> list[UUID]:
    """Return the teams that have an import to run now, in the order of their turns."""
    running = Counter(session.scalars(select(ImportRow.team_id).where(_is_running(moment))))
    last = (
        select(ImportRow.team_id, func.max(ImportRow.finished_at).label("ended_at"))
        .where(ImportRow.finished_at > moment - _TURNS_REMEMBERED)
        .group_by(ImportRow.team_id)
    )
    ended = {row.team_id: row.ended_at for row in session.execute(last)}
    waiting = session.scalars(select(ImportRow.team_id).where(WAITING, _is_due(moment)).distinct())
    return sorted(waiting, key=lambda team: (running[team], ended.get(team, moment - _TURNS_REMEMBERED), team))


def _build_limits(session: Session, moment: datetime, *, may_convert: bool) -> ColumnElement[bool]:
    """Build the SQL condition for imports that may run beside those which do."""
    running = session.execute(select(ImportRow.host, ImportRow.derived_from.is_not(None)).where(_is_running(moment)))
    hosts, conversions = Counter[str](), Counter[str]()
    for host, is_conversion in running:
        (conversions if is_conversion else hosts)[host] += 1
    busy = [host for host, count in hosts.items() if count >= MAX_PER_HOST]
    busy += [host for host, count in conversions.items() if count >= MAX_CONVERSIONS_PER_TEAM]
    allowed = ImportRow.host.not_in(busy)
    may_convert = may_convert and conversions.total() < MAX_CONVERSIONS
    return allowed if may_convert else allowed & ImportRow.derived_from.is_(None)


def _lock_next(session: Session, team: UUID, moment: datetime, allowed: ColumnElement[bool]) -> ImportRow | None:
    """Return a team's next import, locked; rows that another worker has locked are skipped."""
    due = select(ImportRow).where(WAITING, ImportRow.team_id == team, _is_due(moment), allowed)
    return session.scalar(due.order_by(ImportRow.tries, ImportRow.id).limit(1).with_for_update(skip_locked=True))


def _is_due(moment: datetime) -> ColumnElement[bool]:
    """Build the SQL condition for imports without a lease or pause, or with one that has ended at ``moment``."""
    return or_(ImportRow.leased_until.is_(None), ImportRow.leased_until <= moment)


def _is_running(moment: datetime) -> ColumnElement[bool]:
    """Build the SQL condition for imports that a worker runs, also conversions that were cancelled meanwhile."""
    is_open = or_(WAITING, (ImportRow.import_state == "cancelled") & (ImportRow.finished_at > moment - LEASE_LIFE))
    return is_open & ImportRow.lease.is_not(None) & (ImportRow.leased_until > moment)


def renew_import(database: Database, leased: LeasedImport, life: timedelta = LEASE_LIFE, **values: Any) -> bool:
    """Extend the lease, and record ``values``; return False if the import was cancelled, or another worker has it."""
    with database.writing(leased.lease) as session:
        values["leased_until"] = get_database_time(session) + life
        return execute_and_count(session, update(ImportRow).where(_has_lease(leased)).values(values)) == 1


def release_import(database: Database, leased: LeasedImport) -> None:
    """Release the lease, so that any worker can continue at once. Does nothing if it is lost.

    An import that was cancelled meanwhile stays so; one that was then queued again is due.
    """
    own = (ImportRow.id == leased.row.id) & (ImportRow.lease == leased.lease)
    with database.writing(leased.lease) as session:
        session.execute(update(ImportRow).where(_has_lease(leased)).values(import_state="queued"))
        session.execute(update(ImportRow).where(own).values(lease=None, leased_until=None))


def postpone_import(
    database: Database, leased: LeasedImport, tries: int, *, error: str, code: str, pause_seconds: float = 0.0
) -> None:
    """Release the lease until a pause is over: it grows with ``tries``, and is at least ``pause_seconds``."""
    pause = min(FIRST_PAUSE * 2 ** min(max(tries - 1, 0), 10), LONGEST_PAUSE)
    with database.writing(leased.lease) as session:
        until = get_database_time(session) + max(pause, timedelta(seconds=pause_seconds))
        values = {"lease": None, "leased_until": until, "import_state": "queued", "tries": tries}
        values |= {"error": error, "error_code": code}
        session.execute(update(ImportRow).where(_has_lease(leased)).values(values))


def finish_import(session: Session, leased: LeasedImport, state: str, **values: Any) -> bool:
    """Record the end of an import in this transaction; return False if the lease is lost."""
    values |= {"import_state": state, "finished_at": get_database_time(session), "lease": None, "leased_until": None}
    return execute_and_count(session, update(ImportRow).where(_has_lease(leased)).values(values)) == 1


def finish_cancelled_import(session: Session, leased: LeasedImport, **values: Any) -> bool:
    """Record in this transaction that an import is done whose file was registered while it was being cancelled.

    Returns False if it was not cancelled, or was queued again with another upload.
    """
    own = (ImportRow.id == leased.row.id) & (ImportRow.storage_key == leased.row.storage_key)
    values |= {"import_state": "done", "lease": None, "leased_until": None}
    cancelled = own & (ImportRow.import_state == "cancelled")
    return execute_and_count(session, update(ImportRow).where(cancelled).values(values)) == 1


def _has_lease(leased: LeasedImport) -> ColumnElement[bool]:
    """Build the SQL condition for the leased import while it runs under this lease, or this has expired unused."""
    return (ImportRow.id == leased.row.id) & (ImportRow.lease == leased.lease) & (ImportRow.import_state == "running")
