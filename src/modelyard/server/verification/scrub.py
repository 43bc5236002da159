"""Re-verification of verified blobs: all of them in turn, slowly, and those whose object has changed at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, true, update

from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.leases import Interruption
from modelyard.server.models.objects.damage import Damage, DamageRecorder, find_damage, mark_repaired
from modelyard.server.storage.blob_store import BlobStore, NoSuchKey, StoredObject, StoreUnavailable
from modelyard.server.storage.byte_ranges import ObjectRangeReader
from modelyard.server.storage.digest import ObjectHasher, ReadStopped
from modelyard.server.uploads.content_hashes import compute_autov1
from modelyard.server.uploads.content_states import Verified
from modelyard.server.uploads.tables import BlobRow

# A blob is re-verified at most once in this time.
FRESH = timedelta(days=7)
# A damaged object may come back with its disk, or from a backup.
DAMAGED_FRESH = timedelta(days=1)
# Megabytes a second for objects that have changed; after a restore that is every object that is downloaded.
RECHECK_RATE = 200
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class _Examined:
    """The result of one read: the damage, or None if the object is intact, and then the state of the content."""

    damage: Damage | None
    state: Verified | None = None


class Scrubber:
    """Re-reads blobs, one at a time, at ``rate`` megabytes a second, and marks those that are damaged."""

    def __init__(
        self, database: Database, store: BlobStore, metrics: Metrics, rate: int, fresh: timedelta = FRESH
    ) -> None:
        self._database, self._store, self._metrics = database, store, metrics
        self._rate = rate
        self._fresh = fresh
        self._recorder = DamageRecorder(database, store, metrics)
        self._skipped = set[UUID]()
        self.interruption = Interruption()

    def stop(self) -> None:
        """Stop for good before the next piece; the blob being read is later read again from its beginning."""
        self.interruption.stop()

    def scrub_next(self) -> bool:
        """Re-verify one blob that is due; return False if none is, or if the scrubber was interrupted.

        A damaged blob is due a day after its last check and comes first, a verified one ``fresh`` after it; of each
        kind the one that was checked longest ago. A blob whose check raised is skipped until this has returned False.

        Raises:
            StoreUnavailable: the store does not answer; the blob's state stays.
            ReadStopped: ``stop`` was called, or this run was interrupted.
        """
        verified = (BlobRow.verification == "verified") & (BlobRow.checked_at < now() - self._fresh)
        damaged = (BlobRow.verification == "failed") & (BlobRow.checked_at < now() - DAMAGED_FRESH)
        return self._examine_next(
            select(BlobRow).where(due).order_by(BlobRow.checked_at)
            for due in (damaged & BlobRow.verified_at.is_not(None), verified)
        )

    def recheck_next(self) -> bool:
        """Re-verify a blob whose object has changed since; return False if there is none, or if interrupted.

        Blobs with a recorded object version come first; the others were verified by a release that recorded none. A
        blob whose check raised is skipped until this has returned False.

        Raises:
            StoreUnavailable, ReadStopped: see ``scrub_next``.
        """
        return self._examine_next(
            [self._select_rechecks().order_by(BlobRow.stored_version.is_(None), BlobRow.recheck_since)]
        )

    def has_rechecks(self) -> bool:
        """Return whether a blob waits for ``recheck_next``, which may skip it in this round."""
        with self._database.reading() as session:
            return session.scalar(self._select_rechecks()) is not None

    def _select_rechecks(self) -> Select[BlobRow]:
        """Build the query for verified blobs whose object was noticed to have another version since."""
        return select(BlobRow).where(BlobRow.recheck_since.is_not(None), BlobRow.verification == "verified")

    def _examine_next(self, candidates: Iterable[Select[BlobRow]]) -> bool:
        """Examine the first blob of these statements whose check has not raised in this round, and record the result.

        Returns False if there is none or the scrubber was interrupted; then the next call begins a new round.
        """
        with self._database.reading() as session:
            results = (session.scalar(statement.where(self._build_not_skipped()).limit(1)) for statement in candidates)
            blob = next((blob for blob in results if blob is not None), None)
        if blob is None or self.interruption.is_set():
            self._skipped.clear()
            return False
        # If the store fails for this blob alone, the next call continues with another one.
        self._skipped.add(blob.id)
        self._record(blob, self._examine(blob))
        self._skipped.discard(blob.id)
        return True

    def _build_not_skipped(self) -> ColumnElement[bool]:
        """Build the SQL condition for blobs whose check has not raised in this round."""
        return BlobRow.id.not_in(self._skipped) if self._skipped else true()

    def _record(self, blob: BlobRow, examined: _Examined) -> None:
        """Record the result of a read: a failed blob whose object is intact is marked as repaired.

        A verified blob is marked as damaged only if a second read, made here, finds the same damage. In all other cases
        only the check itself is stored.
        """
        if blob.verification == "failed" and examined.state is not None:
            mark_repaired(self._database, blob, examined.state)
            return
        # Memory and networks flip bits as well: the same damage must be found twice.
        if blob.verification == "verified" and examined.damage and self._examine(blob).damage == examined.damage:
            self._recorder.record(blob, examined.damage)
            return
        self._record_check(blob, examined)

    def _examine(self, blob: BlobRow) -> _Examined:
        """Read the object at the scrubber's rate, and compare size and hash with the blob's; a missing one is damage.

        Raises:
            StoreUnavailable: the object changed or was deleted while it was read, or the store does not answer.
            ReadStopped: the scrubber was interrupted.
        """
        try:
            stored = self._store.stat(blob.store_key)
            damage = find_damage(blob, stored)
            if damage is not None or stored is None:
                return _Examined(damage)
            digest = ObjectHasher(self._store, blob.store_key, stored.size, stored.version).compute_digest(self._pace)
            if digest.sha256 == blob.sha256:
                return _Examined(None, self._build_state(blob, stored))
        except NoSuchKey as error:
            raise StoreUnavailable("The object changed or was deleted while it was read.") from error
        return _Examined(
            Damage(f"the stored bytes had sha256:{digest.sha256}; those that were verified had sha256:{blob.sha256}.")
        )

    def _build_state(self, blob: BlobRow, stored: StoredObject) -> Verified:
        """Return the state of an intact content; its AutoV1 is read if an older release has stored none."""
        reader = ObjectRangeReader(self._store, blob.store_key, stored.size, stored.version)
        return Verified(stored.version, blob.autov1 or compute_autov1(reader))

    def _pace(self, length: int) -> None:
        """Wait as long as ``length`` bytes take at the rate, and count them as scrubbed.

        Raises:
            ReadStopped: the scrubber was interrupted.
        """
        if self.interruption.wait(length / (self._rate * _MEGABYTE)):
            raise ReadStopped("The scrubber was stopped.")
        self._metrics.bytes_scrubbed.inc(length)

    def _record_check(self, blob: BlobRow, examined: _Examined) -> None:
        """Store the time of the check and, if the object is intact, its version; a request for a recheck is cleared.

        Nothing is stored if the blob has got another object meanwhile. An object that was found, intact or not, resets
        the count of missing ones.
        """
        if examined.damage is None or not examined.damage.is_missing:
            self._recorder.note_present()
        values: dict[str, datetime | str | None] = {"checked_at": now(), "recheck_since": None}
        if examined.state is not None:
            values |= {"stored_version": examined.state.version, "autov1": examined.state.autov1}
        is_same_object = (BlobRow.id == blob.id) & (BlobRow.store_key == blob.store_key)
        with self._database.writing(blob.team_id) as session:
            session.execute(update(BlobRow).where(is_same_object).values(values))
