"""Computation of the hashes that verification does not compute: AutoV3 and CRC-32, and AutoV1 of old blobs."""

import logging
from datetime import timedelta

from sqlalchemy import Select, or_, select, update

from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.leases import Interruption
from modelyard.server.storage.blob_store import BlobStore, NoSuchKey, StoreError
from modelyard.server.storage.byte_ranges import check_store_answers
from modelyard.server.storage.digest import ObjectHasher, ReadStopped
from modelyard.server.uploads.tables import UNHASHED, BlobRow
from modelyard.server.verification.content_hashes import ContentHasher, ContentHashes

# After this time a blob that could not be read, or was not what it should be, is tried again.
RETRY_PAUSE = timedelta(hours=1)
_MEGABYTE = 1_000_000
log = logging.getLogger("modelyard.verification")


class HashCompleter:
    """Reads verified blobs that lack a hash, one at a time and newest first, at ``rate`` megabytes a second."""

    def __init__(self, database: Database, store: BlobStore, metrics: Metrics, rate: int) -> None:
        self._database, self._store, self._metrics = database, store, metrics
        self._rate = rate
        self.interruption = Interruption()

    def stop(self) -> None:
        """Stop for good before the next piece; the blob being read is later read again from its beginning."""
        self.interruption.stop()

    def is_due(self) -> bool:
        """Return whether a blob waits for ``complete_next``."""
        with self._database.reading() as session:
            return session.scalar(self._select_next()) is not None

    def complete_next(self) -> bool:
        """Compute the hashes of one blob; return False if none is due, or if this was interrupted.

        A blob that cannot be read is tried again after ``RETRY_PAUSE``. So is one that is missing or has other bytes
        than were verified; it is also requested to be verified again, which decides what that means.

        Raises:
            StoreUnavailable: the store does not answer at all.
            ReadStopped: ``stop`` was called, or this run was interrupted.
        """
        with self._database.reading() as session:
            blob = session.scalar(self._select_next())
        if blob is None or self.interruption.is_set():
            return False
        try:
            hashes = self._compute(blob)
        except NoSuchKey:
            self._postpone(blob, "its object is missing or has changed", is_suspect=True)
        except StoreError as error:
            check_store_answers(self._store)
            self._postpone(blob, error.detail)
        else:
            if hashes.sha256 == blob.sha256:
                self._record(blob, hashes)
            else:
                self._postpone(blob, "its bytes are not those that were verified", is_suspect=True)
        return True

    def _select_next(self) -> Select[BlobRow]:
        """Build the query for the newest verified blob that lacks a hash and may be tried now."""
        may_try = or_(BlobRow.hash_retry_at.is_(None), BlobRow.hash_retry_at <= now())
        return select(BlobRow).where(UNHASHED, may_try).order_by(BlobRow.created_at.desc()).limit(1)

    def _compute(self, blob: BlobRow) -> ContentHashes:
        """Read the object at the rate, and return its hashes.

        Raises:
            NoSuchKey: it is missing, has another size, or changed while it was read.
            StoreUnavailable: the store does not answer.
            ReadStopped: the run was interrupted.
        """
        stored = self._store.stat(blob.store_key)
        if stored is None or stored.size != blob.size:
            raise NoSuchKey("The object is missing or has another size.")
        hasher = ContentHasher()
        for pieces in ObjectHasher(self._store, blob.store_key, stored.size, stored.version).iterate_ranges(self._pace):
            hasher.update(b"".join(pieces))
        return hasher.build_hashes()

    def _pace(self, length: int) -> None:
        """Wait as long as ``length`` bytes take at the rate, and count them.

        Raises:
            ReadStopped: the run was interrupted.
        """
        if self.interruption.wait(length / (self._rate * _MEGABYTE)):
            raise ReadStopped("The computation of hashes was stopped.")
        self._metrics.bytes_hashed.inc(length)

    def _record(self, blob: BlobRow, hashes: ContentHashes) -> None:
        """Store the hashes, which hold for every object with the blob's SHA-256."""
        values = {"autov1": hashes.autov1, "autov3": hashes.autov3, "crc32": hashes.crc32, "hash_retry_at": None}
        is_same_content = (BlobRow.id == blob.id) & (BlobRow.sha256 == blob.sha256)
        with self._database.writing(blob.team_id) as session:
            session.execute(update(BlobRow).where(is_same_content).values(values))

    def _postpone(self, blob: BlobRow, why: str, *, is_suspect: bool = False) -> None:
        """Try the blob again after ``RETRY_PAUSE``; a suspect one is also marked to be verified again."""
        log.warning("the hashes of a blob could not be computed", extra={"blob": str(blob.id), "why": why})
        moment = now()
        values = {"hash_retry_at": moment + RETRY_PAUSE} | ({"recheck_since": moment} if is_suspect else {})
        is_same_object = (BlobRow.id == blob.id) & (BlobRow.store_key == blob.store_key)
        with self._database.writing(blob.team_id) as session:
            session.execute(update(BlobRow).where(is_same_object).values(values))
