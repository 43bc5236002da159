"""Which unread blob is read next, by whom, and until when: leases by the database's clock, one reading each."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select, update
from sqlalchemy.orm import Session

from modelyard.server.database.base import new_id
from modelyard.server.database.clock import database_now
from modelyard.server.database.session import Database, changed_rows
from modelyard.server.uploads.discarding import keep_for_now
from modelyard.server.uploads.tables import PENDING, BlobRow

LIFE = timedelta(minutes=2)
# A reading that brought no byte for so long has hung where nobody can wake it; then another worker may try.
PATIENCE = timedelta(minutes=10)
# A store that stalls for one team stalls for a while: its blobs come back after seconds, then minutes.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=5)


@dataclass
class Held:
    """A blob that one reading of this process may settle, and the key that its bytes are copied to, if they are."""

    blob: BlobRow
    lease: UUID
    copied_to: str | None = None


def _waiting(shunned: Collection[UUID], moment: datetime) -> Select[BlobRow]:
    """The blob to read next: not of these teams, those whose reading failed after all others, then the oldest."""
    free = or_(BlobRow.leased_until.is_(None), BlobRow.leased_until <= moment)
    found = select(BlobRow).where(PENDING, free).order_by(BlobRow.tries, BlobRow.created_at).limit(1)
    return found.where(BlobRow.team_id.not_in(shunned)) if shunned else found


def take_next(database: Database, shunned: Collection[UUID], life: timedelta, lease: UUID | None = None) -> Held | None:
    """Lease the blob to read next, or None if there is none; a caller who names the lease can give it up unseen."""
    with database.reading() as session:
        if session.scalar(_waiting(shunned, database_now(session))) is None:
            return None
    lease = lease or new_id()
    # Nobody has to wait for a turn here: of two that look at once, one skips the row that the other has.
    with database.writing(lease) as session:
        moment = database_now(session)
        blob = session.scalar(_waiting(shunned, moment).with_for_update(skip_locked=True))
        if blob is None:
            return None
        blob.lease, blob.leased_until = lease, moment + life
        return Held(blob, lease)


def renew(database: Database, held: Held, life: timedelta) -> bool:
    """Go on reading; False if another worker has the blob now."""
    with database.writing(held.lease) as session:
        until = database_now(session) + life
        if not changed_rows(session, update(BlobRow).where(_mine(held)).values(leased_until=until)):
            return False
        return held.copied_to is None or keep_for_now(session, held.copied_to, until)


def put_back(database: Database, held: Held, *, is_its_fault: bool) -> None:
    """Let the blob be read later: soon, or if the store fails for it alone after a pause that grows each time."""
    with database.writing(held.lease) as session:
        tries = held.blob.tries + is_its_fault
        pause = min(FIRST_PAUSE * 2 ** min(tries - 1, 10), LONGEST_PAUSE) if is_its_fault else timedelta(0)
        values = {"lease": None, "leased_until": database_now(session) + pause, "tries": tries}
        session.execute(update(BlobRow).where(_mine(held)).values(values))


def give_up(database: Database, leases: Collection[UUID]) -> None:
    """Let others read whatever is held by these leases, if anything is."""
    with database.writing(new_id()) as session:
        theirs = PENDING & BlobRow.lease.in_(leases)
        session.execute(update(BlobRow).where(theirs).values(lease=None, leased_until=None))


def mine(session: Session, held: Held) -> BlobRow | None:
    """The blob, locked, if this reading may still settle it."""
    return session.scalar(select(BlobRow).where(_mine(held)).with_for_update())


def _mine(held: Held) -> ColumnElement[bool]:
    return (BlobRow.id == held.blob.id) & (BlobRow.lease == held.lease) & PENDING
