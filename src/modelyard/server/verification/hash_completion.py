"""Computation of the hashes that verification does not compute: AutoV3 and CRC-32, and AutoV1 of old blobs."""

import itertools
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.leases import Interruption
from modelyard.server.storage.blob_store import BlobStore, NoSuchKey, StoreError
from modelyard.server.storage.byte_ranges import check_store_answers
from modelyard.server.storage.digest import ObjectHasher, ReadStopped
from modelyard.server.uploads.content_hashes import ContentHasher, ContentHashes
from modelyard.server.uploads.tables import NO_VERSION, UNHASHED, BlobRow

# After this time a blob that could not be read, or was not what it should be, is tried again.
RETRY_PAUSE = timedelta(hours=1)
# The hashes of several small blobs are stored with one write.
BATCH, BATCH_BYTES = 50, 16 << 20
_MEGABYTE = 1_000_000
log = logging.getLogger("modelyard.verification")


class HashCompleter:
    """Reads verified blobs that lack a hash, newest first, at ``rate`` megabytes a second."""

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
            return bool(_load_batch(session))

    def complete_next(self) -> bool:
        """Compute the hashes of one batch of a team's blobs; return False if none is due, or if this was interrupted.

        A blob that cannot be read is tried again after ``RETRY_PAUSE``. So is one that is missing or has other bytes
        than were verified; it is also requested to be verified again, which decides what that means.

        Raises:
            StoreUnavailable: the store does not answer at all.
            ReadStopped: ``stop`` was called, or this run was interrupted.
        """
        with self._database.reading() as session:
            blobs = _load_batch(session)
        completed: list[tuple[BlobRow, dict[str, Any]]] = []
        try:
            for blob in blobs:
                if self.interruption.is_set():
                    return False
                completed.append((blob, self._complete(blob)))
        finally:
            self._record(completed)
        return bool(completed)

    def _complete(self, blob: BlobRow) -> dict[str, Any]:
        """Return the changed columns of a blob: its hashes, or when to try it again.

        Raises:
            StoreUnavailable, ReadStopped: see ``complete_next``.
        """
        try:
            hashes = self._compute(blob)
        except NoSuchKey:
            return _postpone(blob, "its object is missing or has changed", is_suspect=True)
        except StoreError as error:
            check_store_answers(self._store)
            return _postpone(blob, error.detail)
        if hashes.sha256 != blob.sha256:
            return _postpone(blob, "its bytes are not those that were verified", is_suspect=True) | {
                "stored_version": NO_VERSION
            }
        return {"autov1": hashes.autov1, "autov3": hashes.autov3, "crc32": hashes.crc32, "hash_retry_at": None}

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

    def _record(self, completed: Sequence[tuple[BlobRow, dict[str, Any]]]) -> None:
        """Change the columns of a batch of blobs, except of one that has other bytes or another object by now."""
        if not completed:
            return
        with self._database.writing(completed[0][0].team_id) as session:
            for blob, values in completed:
                is_same = (BlobRow.sha256 == blob.sha256) & (BlobRow.store_key == blob.store_key)
                session.execute(update(BlobRow).where(BlobRow.id == blob.id, is_same).values(values))


def _load_batch(session: Session) -> list[BlobRow]:
    """Return the newest verified blobs that lack a hash and may be tried now, of the team that has the newest one.

    One blob of any size, or several that have ``BATCH_BYTES`` together.
    """
    may_try = or_(BlobRow.hash_retry_at.is_(None), BlobRow.hash_retry_at <= now())
    query = select(BlobRow).where(UNHASHED, may_try).order_by(BlobRow.created_at.desc())
    blobs = session.scalars(query.limit(BATCH)).all()
    ends = itertools.accumulate(blob.size for blob in blobs)
    return [
        blob
        for blob, end in zip(blobs, ends, strict=True)
        if blob is blobs[0] or (blob.team_id == blobs[0].team_id and end <= BATCH_BYTES)
    ]


def _postpone(blob: BlobRow, why: str, *, is_suspect: bool = False) -> dict[str, Any]:
    """Log that a blob's hashes could not be computed, and return the columns that make it be tried again.

    It is due after ``RETRY_PAUSE``; a suspect one is to be verified again too.
    """
    log.warning("the hashes of a blob could not be computed", extra={"blob": str(blob.id), "why": why})
    moment = now()
    return {"hash_retry_at": moment + RETRY_PAUSE} | ({"recheck_since": moment} if is_suspect else {})
