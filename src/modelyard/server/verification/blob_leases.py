"""Leases of blobs that wait for verification: one worker examines a blob at a time, by the database's clock."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select, update
from sqlalchemy.orm import Session

from modelyard.server.database.base import new_id
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database, execute_and_count
from modelyard.server.fairness.accounts import Account
from modelyard.server.leases import LEASE_LIFE
from modelyard.server.uploads.discards import postpone_discard
from modelyard.server.uploads.tables import PENDING, BlobRow

# A read that brought no byte for so long is stuck where it cannot be interrupted; another worker may try then.
STALL_TIMEOUT = timedelta(minutes=10)
# Pauses before a blob whose read failed is tried again; a store that stalls for one team stalls for a while.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=5)


@dataclass
class LeasedBlob:
    """A blob whose result this process may record; ``copied_to`` is the key of its copy, if it was copied."""

    blob: BlobRow
    lease: UUID
    copied_to: str | None = None

    @property
    def account(self) -> Account:
        """The account that the verification is charged to."""
        return Account(self.blob.person_id, self.blob.team_id)


def list_waiting_accounts(database: Database) -> list[Account]:
    """Return the accounts that have a blob to examine now.

    Ordered by the fewest failed attempts on any of their waiting blobs, then by the age of the oldest of these.
    """
    with database.reading() as session:
        account = BlobRow.person_id, BlobRow.team_id
        waiting = select(*account).where(PENDING, _is_lease_free(get_database_time(session))).group_by(*account)
        waiting = waiting.order_by(func.min(BlobRow.tries), func.min(BlobRow.created_at))
        return [Account(*row) for row in session.execute(waiting)]


def lease_next_blob(
    database: Database, accounts: Sequence[Account], life: timedelta = LEASE_LIFE, lease: UUID | None = None
) -> LeasedBlob | None:
    """Lease the next pending blob of the first of these accounts that has one; return None if none has.

    Within an account, blobs with the fewest failed attempts come first, then the oldest. A blob that another worker is
    leasing at this moment is skipped. A caller that passes ``lease`` can release it even when the response to the
    commit was lost.
    """
    if not accounts:
        return None
    lease = lease or new_id()
    with database.writing(lease) as session:
        moment = get_database_time(session)
        # Workers do not wait for each other: a row that another worker has locked is skipped.
        found = (session.scalar(_select_next(account, moment)) for account in accounts)
        blob = next((blob for blob in found if blob is not None), None)
        if blob is None:
            return None
        blob.lease, blob.leased_until = lease, moment + life
        return LeasedBlob(blob, lease)


def _select_next(account: Account, moment: datetime) -> Select[BlobRow]:
    """Build the query for an account's next blob, which locks it; rows that another worker has locked are skipped."""
    is_of_account = BlobRow.team_id == account.team, BlobRow.person_id == account.person
    statement = select(BlobRow).where(PENDING, *is_of_account, _is_lease_free(moment))
    return statement.order_by(BlobRow.tries, BlobRow.created_at).limit(1).with_for_update(skip_locked=True)


def _is_lease_free(moment: datetime) -> ColumnElement[bool]:
    """Build the SQL condition for blobs without a lease, or with one that has expired at ``moment``."""
    return or_(BlobRow.leased_until.is_(None), BlobRow.leased_until <= moment)


def renew_lease(database: Database, leased: LeasedBlob, life: timedelta = LEASE_LIFE) -> bool:
    """Extend the lease to ``life`` from now, and keep its copy from removal; return False if either is lost.

    The lease is lost if another worker has the blob, or it is not pending any more; the copy, if its removal has begun.
    """
    with database.writing(leased.lease) as session:
        until = get_database_time(session) + life
        if not execute_and_count(
            session, update(BlobRow).where(_build_lease_condition(leased)).values(leased_until=until)
        ):
            return False
        return leased.copied_to is None or postpone_discard(session, leased.copied_to, until)


def release_lease(database: Database, leased: LeasedBlob, *, is_blob_at_fault: bool) -> None:
    """Release the lease: the blob can be leased at once, or after a growing pause if only this blob cannot be read.

    The pause grows from ``FIRST_PAUSE`` to ``LONGEST_PAUSE`` with the failed attempts in a row. Does nothing if the
    lease is lost.
    """
    with database.writing(leased.lease) as session:
        tries = leased.blob.tries + is_blob_at_fault
        pause = compute_pause(tries, LONGEST_PAUSE) if is_blob_at_fault else timedelta(0)
        values = {"lease": None, "leased_until": get_database_time(session) + pause, "tries": tries}
        session.execute(update(BlobRow).where(_build_lease_condition(leased)).values(values))


def compute_pause(tries: int, longest: timedelta) -> timedelta:
    """Return the pause after ``tries`` failures in a row: from ``FIRST_PAUSE``, doubled each time, to ``longest``."""
    return min(FIRST_PAUSE * (1 << min(tries - 1, 20)), longest)


def release_leases(database: Database, leases: Collection[UUID]) -> None:
    """Release the pending blobs that have one of these leases; they can be leased at once."""
    with database.writing(new_id()) as session:
        has_lease = PENDING & BlobRow.lease.in_(leases)
        session.execute(update(BlobRow).where(has_lease).values(lease=None, leased_until=None))


def lock_leased_blob(session: Session, leased: LeasedBlob) -> BlobRow | None:
    """Return the blob, locked, or None if another worker has it or it is not pending any more."""
    return session.scalar(select(BlobRow).where(_build_lease_condition(leased)).with_for_update())


def _build_lease_condition(leased: LeasedBlob) -> ColumnElement[bool]:
    """Build the SQL condition for the leased blob while it is pending and has this lease.

    A lease that has expired counts as held until another worker takes the blob.
    """
    return (BlobRow.id == leased.blob.id) & (BlobRow.lease == leased.lease) & PENDING
