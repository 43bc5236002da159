"""Leases of imports: one worker runs an import at a time, by the database's clock; and what a run records."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, or_, select, update
from sqlalchemy.orm import Session

from modelyard.server.database.base import new_id
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.engine import IMPORT_LEASES
from modelyard.server.database.session import Database, execute_and_count
from modelyard.server.fairness.accounts import Account, Holder
from modelyard.server.fairness.usage import UNLIMITED, Limits, Usage
from modelyard.server.imports.tables import WAITING, ImportRow
from modelyard.server.leases import LEASE_LIFE

# Imports from one host that run at the same time, in all processes.
HOST_LIMITS = Limits(3, per_person=2, per_team=2)
# Conversions take processor time and memory. Those of one process leave a worker to other imports.
CONVERSION_LIMITS = Limits(2, per_person=1, per_team=1)
# Turns are by the last import that ended, if it did within this time.
_TURNS_REMEMBERED = timedelta(hours=1)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=5)


@dataclass(frozen=True)
class LeasedImport:
    """An import whose result this run may record."""

    row: ImportRow
    lease: UUID

    @property
    def account(self) -> Account:
        """The account that the import is charged to."""
        return Account(self.row.person_id, self.row.team_id)


def lease_next_import(
    database: Database,
    life: timedelta = LEASE_LIFE,
    fits: Callable[[Account], bool] = lambda _: True,
    *,
    may_convert: bool = True,
) -> LeasedImport | None:
    """Give the next import a lease for ``life``, and mark it as running; None if none may run now.

    None may if no import is due, if all that are wait at a limit, or if other workers have locked their rows.

    The person and team with the fewest running imports come first, then those whose last import ended the longest time
    ago; of one account, those with the fewest failed tries, then the oldest. Those of a host that limits requests wait
    until it may be asked. ``fits`` and ``may_convert`` tell what the
    caller's process may run: imports of which accounts, and whether conversions.
    """
    with database.reading() as session:
        accounts = list(filter(fits, _list_waiting_accounts(session, get_database_time(session))))
    if not accounts:
        return None
    lease = new_id()
    # Leasing is serialised, since the limits count the leases of all teams.
    with database.writing(IMPORT_LEASES) as session:
        moment = get_database_time(session)
        running = _load_running(session, moment)
        allowed = ((account, running.build_condition(account, may_convert=may_convert)) for account in accounts)
        found = (_lock_next(session, account, moment, condition) for account, condition in allowed)
        row = next((row for row in found if row is not None), None)
        if row is None:
            return None
        row.lease, row.leased_until, row.import_state = lease, moment + life, "running"
        return LeasedImport(row, lease)


def _list_waiting_accounts(session: Session, moment: datetime) -> list[Account]:
    """Return the accounts that have an import to run now, the next one first.

    First those whose person and team have the fewest running imports, then those for which none has ended for the
    longest time: for their person and team, then for just this account. Then the oldest import comes first.
    """
    columns, since = (ImportRow.person_id, ImportRow.team_id), moment - _TURNS_REMEMBERED
    running, ended = Usage(UNLIMITED), dict[Holder | Account | None, datetime]()
    for row in session.execute(select(*columns).where(_is_running(moment))):
        running.add(Account(*row))
    last: Any = func.max(ImportRow.finished_at)
    recent = select(*columns, last).where(ImportRow.finished_at > since).group_by(*columns).order_by(last)
    for person, team, ended_at in session.execute(recent):
        ended |= dict.fromkeys((person, team, Account(person, team)), ended_at)
    # An import of an older release has no person.
    ended.pop(None, None)

    def get_order(account: Account) -> tuple[int, datetime, datetime]:
        """Return what is least for the account that comes next."""
        of_person = running.people.get(account.person, 0) if account.person else 0
        count = max(of_person, running.teams.get(account.team, 0))
        last_ended = max(ended.get(holder, since) for holder in account)
        return count, last_ended, ended.get(account, since)

    waiting = select(*columns).where(WAITING, _is_due(moment)).group_by(*columns)
    rows = session.execute(waiting.order_by(func.min(ImportRow.created_at)))
    return sorted((Account(*row) for row in rows), key=get_order)


class _Running:
    """The imports that run in all processes: by host, and conversions; and the hosts that may not be asked now."""

    def __init__(self, held_hosts: set[str]) -> None:
        self.held_hosts = held_hosts
        self.hosts: defaultdict[str, Usage] = defaultdict(lambda: Usage(HOST_LIMITS))
        self.conversions = Usage(CONVERSION_LIMITS)

    def build_condition(self, account: Account, *, may_convert: bool) -> ColumnElement[bool]:
        """Build the SQL condition for imports of an account that may run beside these."""
        full = {host for host, usage in self.hosts.items() if not usage.fits(account)}
        busy = sorted(full | self.held_hosts)
        if may_convert and self.conversions.fits(account):
            return ImportRow.host.not_in(busy)
        return ImportRow.host.not_in(busy) & ImportRow.derived_from.is_(None)


def _load_running(session: Session, moment: datetime) -> _Running:
    """Return the imports that run in all processes, and the hosts that limit requests at this moment."""
    running = _Running(set(find_held_hosts(session, moment)))
    columns = ImportRow.host, ImportRow.person_id, ImportRow.team_id, ImportRow.derived_from.is_not(None)
    for host, person, team, converts in session.execute(select(*columns).where(_is_running(moment))):
        (running.conversions if converts else running.hosts[host]).add(Account(person, team))
    return running


def find_held_hosts(session: Session, moment: datetime) -> dict[str, datetime]:
    """Return the hosts that limit requests at ``moment``, and until when no import asks each."""
    columns = ImportRow.host, func.max(ImportRow.held_until)
    held = select(*columns).where(ImportRow.held_until > moment).group_by(ImportRow.host)
    return {host: until for host, until in session.execute(held) if until is not None}


def release_host(session: Session, host: str) -> None:
    """Let all imports ask a host that limits requests at once, also those of other teams.

    Call it in a transaction of ``IMPORT_LEASES``: two of these at the same time would wait for each other's rows.
    """
    is_held = (ImportRow.host == host) & ImportRow.held_until.is_not(None)
    session.execute(update(ImportRow).where(is_held).values(held_until=None))


def _lock_next(session: Session, account: Account, moment: datetime, allowed: ColumnElement[bool]) -> ImportRow | None:
    """Return an account's next import, locked; rows that another worker has locked are skipped."""
    is_of_account = ImportRow.team_id == account.team, ImportRow.person_id == account.person
    due = select(ImportRow).where(WAITING, *is_of_account, _is_due(moment), allowed)
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


@dataclass(frozen=True)
class FailedTry:
    """Why a try of an import failed: the number of such tries in a row, and whether its host limits requests."""

    tries: int
    error: str
    code: str
    is_host_limited: bool = False


def release_abandoned_imports(database: Database) -> int:
    """Release the leases of all imports, so that they continue at once; return how many there were.

    Call it only where no other process can run imports of this registry, and before this one does: then all leases are
    of a process that was killed.
    """
    with database.writing(IMPORT_LEASES) as session:
        state = case((ImportRow.import_state == "running", "queued"), else_=ImportRow.import_state)
        values = {"lease": None, "leased_until": None, "import_state": state}
        return execute_and_count(session, update(ImportRow).where(ImportRow.lease.is_not(None)).values(values))


def postpone_import(
    database: Database, leased: LeasedImport, failure: FailedTry, *, pause_seconds: float = 0.0
) -> None:
    """Release the lease until a pause is over: it grows with the tries, and is at least ``pause_seconds``.

    If the host limits requests, no import from it is leased for ``pause_seconds``, in any process, also if this one is
    cancelled.
    """
    pause = min(FIRST_PAUSE * 2 ** min(max(failure.tries - 1, 0), 10), LONGEST_PAUSE)
    with database.writing(leased.lease) as session:
        moment, asked = get_database_time(session), timedelta(seconds=pause_seconds)
        until = moment + max(pause, asked)
        values = {"lease": None, "leased_until": until, "import_state": "queued", "tries": failure.tries}
        values |= {"error": failure.error, "error_code": failure.code}
        values |= {"held_until": moment + asked} if failure.is_host_limited else {}
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
