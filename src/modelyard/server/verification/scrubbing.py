"""The slow second reading: stored bytes rot, and whoever looks first should be us."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, select, true, update

from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.observed import Metrics
from modelyard.server.storage.blob_store import BlobStore, NoSuchKey, StoreUnavailable
from modelyard.server.storage.digest import Reading, Stopped
from modelyard.server.uploads.tables import BlobRow
from modelyard.server.verification.finding import make_sure_of
from modelyard.server.verification.settling import settle_healed, settle_rotten

# What was read in this time is not read again, however quick the disk and small the registry.
FRESH = timedelta(days=7)
# What has rotted may come back with its disk, or from a backup.
ROTTEN_FRESH = timedelta(days=1)
# Two files may be lost. More, and none in between that is there, and it is the place that is wrong.
MOST_GONE = 2
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class _Wrong:
    """What a reading found instead of the bytes."""

    found: str
    is_gone: bool = False


class Scrubber:
    """Reads verified blobs again, those first whose last reading is longest ago, at ``rate`` megabytes a second."""

    def __init__(
        self, database: Database, store: BlobStore, metrics: Metrics, rate: int, fresh: timedelta = FRESH
    ) -> None:
        self._database, self._store, self._metrics = database, store, metrics
        self._rate = rate
        self._fresh = fresh
        self._stopping = threading.Event()
        self._passed_over = set[UUID]()
        self._gone_in_a_row = 0

    def stop(self) -> None:
        """End before the next stretch; what was half read is read from its beginning another time."""
        self._stopping.set()

    def scrub_next(self) -> bool:
        """Read one blob again; False if all were read not long ago.

        Raises:
            StoreUnavailable: nobody can tell now; the blob is as good as it was.
            Stopped
        """
        blob = self._oldest()
        if blob is None or self._stopping.is_set():
            self._passed_over.clear()
            return False
        # The next call goes on with another one, should the store fail for this one alone.
        self._passed_over.add(blob.id)
        wrong = self._wrong(blob)
        if blob.verification == "failed" and wrong is None:
            settle_healed(self._database, blob)
        # Memory and networks turn bits as well: the same must be found twice.
        elif blob.verification == "verified" and wrong is not None and self._wrong(blob) == wrong:
            self._say_rotten(blob, wrong)
        else:
            self._note_checked(blob)
        self._passed_over.discard(blob.id)
        return True

    def _oldest(self) -> BlobRow | None:
        """Of what is verified, and of what was so before it rotted, the one to read now."""
        verified = (BlobRow.verification == "verified") & (BlobRow.checked_at < now() - self._fresh)
        rotten = (BlobRow.verification == "failed") & (BlobRow.checked_at < now() - ROTTEN_FRESH)
        with self._database.reading() as session:
            found = [
                session.scalar(select(BlobRow).where(due, self._is_new()).order_by(BlobRow.checked_at).limit(1))
                for due in (rotten & BlobRow.verified_at.is_not(None), verified)
            ]
        return next((blob for blob in found if blob is not None), None)

    def _is_new(self) -> ColumnElement[bool]:
        return BlobRow.id.not_in(self._passed_over) if self._passed_over else true()

    def _wrong(self, blob: BlobRow) -> _Wrong | None:
        """What is wrong with the stored bytes, or None."""
        try:
            stored = self._store.stored(blob.store_key)
            if stored is None:
                make_sure_of(self._store)
                return _Wrong("these bytes, which were verified before, were gone from the store.", is_gone=True)
            if stored.size != blob.size:
                return _Wrong(f"the store held {stored.size} bytes instead of the {blob.size} that were verified.")
            reading = Reading(self._store, blob.store_key, stored.size, stored.version)
            digest = reading.digest(self._pace)
        except NoSuchKey as error:
            raise StoreUnavailable("The object changed or went while it was read.") from error
        if digest.sha256 == blob.sha256:
            return None
        return _Wrong(
            f"the stored bytes had sha256:{digest.sha256}; those that were verified had sha256:{blob.sha256}."
        )

    def _say_rotten(self, blob: BlobRow, wrong: _Wrong) -> None:
        """Refuse the blob; but if nothing is where it should be, it is the place that is wrong.

        Raises:
            StoreUnavailable: too many were gone, one after the other.
        """
        self._gone_in_a_row = self._gone_in_a_row + 1 if wrong.is_gone else 0
        if self._gone_in_a_row > MOST_GONE:
            raise StoreUnavailable("File after file is gone from the store. Is this the registry's bucket or folder?")
        moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        if settle_rotten(self._database, blob, f"On {moment}, {wrong.found} Push the same file again to mend it."):
            self._metrics.rotten.inc()

    def _pace(self, length: int) -> None:
        """Wait as long as ``length`` bytes take at the rate."""
        if self._stopping.wait(length / (self._rate * _MEGABYTE)):
            raise Stopped("The scrubber was stopped.")
        self._metrics.bytes_scrubbed.inc(length)

    def _note_checked(self, blob: BlobRow) -> None:
        self._gone_in_a_row = 0
        same = (BlobRow.id == blob.id) & (BlobRow.store_key == blob.store_key)
        with self._database.writing(blob.team_id) as session:
            session.execute(update(BlobRow).where(same).values(checked_at=now()))
