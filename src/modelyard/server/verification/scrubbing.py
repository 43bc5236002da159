"""The slow second reading: stored bytes rot, and whoever looks first should be us."""

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update

from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.observed import Metrics
from modelyard.server.storage.blob_store import BlobStore, NoSuchKey, OtherVersion, StoreUnavailable
from modelyard.server.storage.digest import Reading, Stopped
from modelyard.server.uploads.tables import BlobRow
from modelyard.server.verification.settling import settle_rotten

# What was read in this time is not read again, however quick the disk and small the registry.
FRESH = timedelta(days=7)
_MEGABYTE = 1_000_000


class Scrubber:
    """Reads verified blobs again, those first whose last reading is longest ago, at ``rate`` megabytes a second."""

    def __init__(
        self, database: Database, store: BlobStore, metrics: Metrics, rate: int, fresh: timedelta = FRESH
    ) -> None:
        self._database, self._store, self._metrics = database, store, metrics
        self._rate = rate
        self._fresh = fresh
        self._stopping = threading.Event()
        self._unreadable = set[UUID]()

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
            self._unreadable.clear()
            return False
        # The next call goes on with another one, should the store fail for this one alone.
        self._unreadable.add(blob.id)
        error = self._wrong(blob)
        # Memory and networks turn bits as well: the same must be found twice.
        if error is not None and self._wrong(blob) == error:
            moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
            if settle_rotten(self._database, blob, f"On {moment}, {error} Push the same file again to mend it."):
                self._metrics.rotten.inc()
        else:
            self._note_checked(blob)
        self._unreadable.discard(blob.id)
        return True

    def _oldest(self) -> BlobRow | None:
        verified = select(BlobRow).where(BlobRow.verification == "verified", BlobRow.checked_at < now() - self._fresh)
        if self._unreadable:
            verified = verified.where(BlobRow.id.not_in(self._unreadable))
        with self._database.reading() as session:
            return session.scalar(verified.order_by(BlobRow.checked_at).limit(1))

    def _wrong(self, blob: BlobRow) -> str | None:
        """What is wrong with the stored bytes, or None."""
        try:
            stored = self._store.stored(blob.store_key)
            if stored is None:
                return "these bytes, which were verified before, were gone from the store."
            if stored.size != blob.size:
                return f"the store held {stored.size} bytes instead of the {blob.size} that were verified before."
            reading = Reading(self._store, blob.store_key, stored.size, stored.version)
            digest = reading.digest(self._pace)
        except OtherVersion as error:
            raise StoreUnavailable("The object changed while it was read.") from error
        except NoSuchKey as error:
            raise StoreUnavailable("The object went while it was read.") from error
        if digest.sha256 == blob.sha256:
            return None
        return f"the stored bytes had sha256:{digest.sha256}, though they were verified before as sha256:{blob.sha256}."

    def _pace(self, length: int) -> None:
        """Wait as long as ``length`` bytes take at the rate."""
        if self._stopping.wait(length / (self._rate * _MEGABYTE)):
            raise Stopped("The scrubber was stopped.")
        self._metrics.bytes_scrubbed.inc(length)

    def _note_checked(self, blob: BlobRow) -> None:
        same = (BlobRow.id == blob.id) & (BlobRow.store_key == blob.store_key)
        with self._database.writing(blob.team_id) as session:
            session.execute(update(BlobRow).where(same).values(checked_at=now()))
