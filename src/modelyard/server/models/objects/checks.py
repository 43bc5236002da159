"""Checks of stored objects before a download, and before an upload of the same content."""

import threading
import time
from collections import OrderedDict
from uuid import UUID

from sqlalchemy import select

from modelyard.server.database.session import Database
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.models.objects.damage import DamageRecorder, find_damage
from modelyard.server.models.objects.known_failures import KnownFailures
from modelyard.server.models.objects.recheck_requests import RecheckRequests
from modelyard.server.models.versions.access import build_model_damaged
from modelyard.server.storage.blob_store import BlobStore, StoredObject, StoreError
from modelyard.server.storage.stat_cache import CACHE_SECONDS, MAX_ENTRIES, StatCache, StatUnavailable
from modelyard.server.uploads.content_states import ObjectStateChanged
from modelyard.server.uploads.operations import find_verified_blob
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire import problems

# A team has several verified blobs of one content only if an older release created them.
_MAX_COPIES = 3


class ObjectChecks:
    """The object checks of one process: an object must exist, with the size and in the version that was verified.

    A blob whose object is missing or has another size is marked as damaged. An object that was written again, or whose
    version was not recorded (by an older release), is served, and its verification is requested again. With a
    ``stat_cache``, ``is_intact`` asks the store through it. Objects in a bucket without a recorded version are not
    verified again, since reading them may cost money.
    """

    def __init__(
        self,
        database: Database,
        store: BlobStore,
        metrics: Metrics,
        recheck_requests: RecheckRequests,
        stat_cache: StatCache | None = None,
        known_failures: KnownFailures | None = None,
    ) -> None:
        self.database, self.store, self._stat_cache = database, store, stat_cache
        self._recheck_requests = recheck_requests
        self._recorder = DamageRecorder(database, store, metrics)
        self._recent = _RecentlyChecked()
        self._failures = known_failures or KnownFailures(database)

    def on_announcement(self, announced: set[object]) -> None:
        """Take over the changed states of objects from a transaction of this process."""
        for change in announced:
            if isinstance(change, ObjectStateChanged):
                if change.is_failed:
                    self._failures.add(change.store_key)
                if self._stat_cache is not None:
                    self._stat_cache.invalidate(change.store_key)

    def is_intact(self, blob: BlobRow, *, is_cached: bool = True) -> bool:
        """Return whether a verified blob's object may be served, without reading it; mark the blob as damaged if not.

        Returns True if the store does not answer in time: an outage is no damage. Without ``is_cached``, an answer that
        the cache has is not used.

        Raises:
            StoreUnavailable: several objects in a row are missing, so the store itself may be.
        """
        if self._stat_cache is not None and not is_cached:
            self._stat_cache.invalidate(blob.store_key)
        try:
            stored = (
                self._stat_cache.stat(blob.store_key)
                if self._stat_cache is not None
                else self._stat_quickly(blob.store_key)
            )
        except StatUnavailable:
            return True
        return self._record_check(blob, stored)

    def request_recheck(self, blob: BlobRow) -> None:
        """Request a new verification of a blob whose bytes were read and found to be others."""
        self._recheck_requests.add(blob)

    def is_doubtful(self, blob: BlobRow) -> bool:
        """Return whether a blob is doubtful (see ``BlobRow.is_doubtful``), or was found to be since it was loaded."""
        return blob.is_doubtful or (blob.stored_version is not None and self._recheck_requests.has(blob))

    def record_doubts(self, team_id: UUID) -> None:
        """Write a team's requested verifications to the database, so that the blobs are doubtful for all from now on.

        Raises:
            Unavailable: the database does not answer.
        """
        self._recheck_requests.flush(self.database, team_id)

    def check_blobs_with_content(self, team_id: UUID, sha256: str, size: int, *, wait_for_store: bool) -> None:
        """Check the objects of the team's verified blobs of this content, until one is intact and not doubtful.

        Damaged and doubtful blobs are marked as such, so that a new upload can replace them. At most ``_MAX_COPIES``
        are checked. The cache is not used: on an outdated answer, the upload that repairs an object would be discarded.
        A caller that would discard it passes ``wait_for_store``; without it, the check ends silently if the store does
        not answer in time.

        Raises:
            StoreUnavailable: see ``is_intact``; with ``wait_for_store`` also if the store does not answer.
            Unavailable: see ``record_doubts``.
        """
        for _ in range(_MAX_COPIES):
            with self.database.reading() as session:
                blob = find_verified_blob(session, team_id, sha256, size)
            if blob is None or blob.is_doubtful:
                return
            try:
                stored = self.store.stat(blob.store_key) if wait_for_store else self._stat_quickly(blob.store_key)
            except StatUnavailable:
                return
            if self._record_check(blob, stored):
                if not self.is_doubtful(blob):
                    return
                self.record_doubts(team_id)

    def check_before_sending(self, key: str, stored: StoredObject | None) -> None:
        """Check the object of a key before its content is sent; ``stored`` describes the open file, None if missing.

        Skipped for an object that passed within the last ``CACHE_SECONDS`` and is not known to have failed since.
        While the database does not answer, the signature of the URL alone decides on objects that are not known to have
        failed. An object that no verified or failed blob has passes.

        Raises:
            ModelDamaged: it is missing or has another size than the verified one, or its blob was marked as failed
                before.
            StoreUnavailable: see ``is_intact``.
        """
        failure = self._failures.find(key)
        if failure is None and stored is not None and self._recent.has(key, stored):
            return
        try:
            blob = self._find_blob(key)
        except problems.Problem:
            if failure is not None:
                raise build_model_damaged("its stored file is missing or corrupt.") from None
            return
        if blob is not None and blob.verification == "verified" and not self._record_check(blob, stored):
            blob = self._find_blob(key)
        if blob is not None and blob.verification == "failed":
            self._failures.add(key)
            raise build_model_damaged(blob.verification_error)
        if failure is not None:
            self._failures.discard(key, failure)
        if stored is not None:
            self._recent.add(key, stored)

    def _stat_quickly(self, key: str) -> StoredObject | None:
        """Return the object of a key, or None, within the short deadline of the store's quick calls.

        Raises:
            StatUnavailable: the store failed or did not answer in time.
        """
        try:
            return self.store.stat_quickly(key)
        except (StoreError, OSError) as error:
            raise StatUnavailable(str(error)) from error

    def _record_check(self, blob: BlobRow, stored: StoredObject | None) -> bool:
        """Return whether an object is intact; mark its blob as damaged if not, request verification if changed."""
        damage = find_damage(blob, stored)
        if damage is not None:
            self._recorder.record(blob, damage)
            if self._stat_cache is not None:
                # The blob may have been marked before: then nothing is announced.
                self._stat_cache.invalidate(blob.store_key)
            return False
        self._recorder.note_present()
        is_trusted = blob.stored_version is None and self.store.is_remote
        if stored is not None and stored.version != blob.stored_version and not is_trusted:
            self._recheck_requests.add(blob)
        return True

    def _find_blob(self, key: str) -> BlobRow | None:
        """Return the blob whose object has this key, or None."""
        with self.database.reading() as session:
            return session.scalar(select(BlobRow).where(BlobRow.store_key == key))


class _RecentlyChecked:
    """Objects that passed a check within ``CACHE_SECONDS``, so that the ranges of one download query the database once.

    Holds at most ``MAX_ENTRIES`` objects; the oldest are dropped.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: OrderedDict[tuple[str, StoredObject], float] = OrderedDict()

    def has(self, key: str, stored: StoredObject) -> bool:
        """Return whether this version of the object passed a check within ``CACHE_SECONDS``."""
        with self._lock:
            return self._until.get((key, stored), 0.0) > time.monotonic()

    def add(self, key: str, stored: StoredObject) -> None:
        """Remember that this version of the object passed a check now; drop the oldest entry above ``MAX_ENTRIES``."""
        with self._lock:
            self._until[key, stored] = time.monotonic() + CACHE_SECONDS
            self._until.move_to_end((key, stored))
            if len(self._until) > MAX_ENTRIES:
                self._until.popitem(last=False)
