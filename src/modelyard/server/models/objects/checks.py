"""Checks of stored objects before a download, and before an upload of the same content."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import TypeVar
from uuid import UUID

from sqlalchemy import select

from modelyard.server.database.session import Database
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.models.objects.damage import DamageRecorder, find_damage
from modelyard.server.models.objects.known_failures import KnownFailures
from modelyard.server.models.objects.recheck_requests import RecheckRequests, request_rechecks
from modelyard.server.models.versions.access import build_model_damaged
from modelyard.server.storage.blob_store import BlobStore, StoredObject, StoreError
from modelyard.server.storage.stat_cache import CACHE_SECONDS, MAX_ENTRIES, StatCache, StatUnavailable
from modelyard.server.uploads.content_states import ObjectStateChanged
from modelyard.server.uploads.operations import list_trusted_blobs
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire import problems

# Rounds in which each time a damaged object was replaced by a copy.
_MAX_ROUNDS = 3
Loaded = TypeVar("Loaded")


class ObjectCheck(Enum):
    """What a check has found: the object that was verified, one that may have other bytes (see ``is_doubtful``), none.

    An object without a recorded version counts as the verified one, unless a reader has found other bytes in it.
    """

    INTACT = "intact"
    DOUBTFUL = "doubtful"
    DAMAGED = "damaged"


class ObjectChecks:
    """The object checks of one process: an object must exist, with the size and in the version that was verified.

    A blob whose object is missing or has another size is marked as damaged. An object that was written again, or whose
    version was not recorded (by an older release), is served, and its verification is requested again. With a
    ``stat_cache``, ``check`` asks the store through it. Objects in a bucket without a recorded version are not
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
        """Update what this process has cached about objects whose state one of its transactions has changed.

        Keys that failed are added to the known failures, those that did not are removed from them, and the cached
        answers of the store about them are dropped.
        """
        for change in announced:
            if isinstance(change, ObjectStateChanged):
                if change.is_failed:
                    self._failures.add(change.store_key)
                else:
                    self._failures.remove(change.store_key)
                if self._stat_cache is not None:
                    self._stat_cache.invalidate(change.store_key)

    def check(self, blob: BlobRow, *, use_cache: bool = True) -> ObjectCheck:
        """Check a verified blob's object without reading it; mark the blob as damaged, or request a verification.

        An outage is no damage: while the store does not answer in time, the object counts as present. Without
        ``use_cache``, an answer that the cache has is not used.

        Raises:
            StoreUnavailable: several objects in a row are missing, so the store itself may be.
        """
        if self._stat_cache is not None and not use_cache:
            self._stat_cache.invalidate(blob.store_key)
        try:
            stored = (
                self._stat_cache.stat(blob.store_key)
                if self._stat_cache is not None
                else self._stat_quickly(blob.store_key)
            )
        except StatUnavailable:
            return ObjectCheck.DOUBTFUL if blob.is_doubtful else ObjectCheck.INTACT
        return self._record_check(blob, stored)

    def check_until_undamaged(
        self, load: Callable[[], tuple[Loaded, Sequence[BlobRow]]], *, use_cache: bool = True
    ) -> tuple[Loaded, list[BlobRow]]:
        """Load blobs, and check all of them; return what was loaded with them, and which of them are doubtful.

        A damaged object of which the team has an intact copy is replaced by that copy, so the blobs are loaded and
        checked again then.

        Raises:
            StoreUnavailable: see ``check``.
            Unavailable: the stored objects changed during each of ``_MAX_ROUNDS``.
        """
        for _ in range(_MAX_ROUNDS):
            loaded, blobs = load()
            checks = [(self.check(blob, use_cache=use_cache), blob) for blob in blobs]
            if all(check is not ObjectCheck.DAMAGED for check, _ in checks):
                return loaded, [blob for check, blob in checks if check is ObjectCheck.DOUBTFUL]
        raise problems.Unavailable("The stored content of this model is changing. Try again.", retry_after=2)

    def check_contents(self, team_id: UUID, contents: Collection[tuple[str, int]], *, wait_for_store: bool) -> None:
        """Check the objects of the team's verified blobs with these contents, each a SHA-256 and a size.

        Damaged and changed ones are marked as such in the database, so that a new upload can replace them. The cache
        is not used: on an outdated answer, the upload that repairs an object would be discarded. A caller that would
        discard it passes ``wait_for_store``; without it, the check ends silently if the store does not answer in time.

        Raises:
            StoreUnavailable: see ``check``; with ``wait_for_store`` also if the store does not answer.
            Unavailable: the database does not answer.
        """
        with self.database.reading() as session:
            blobs = list_trusted_blobs(session, team_id, contents)
        changed = list[UUID]()
        for blob in blobs:
            try:
                stored = self.store.stat(blob.store_key) if wait_for_store else self._stat_quickly(blob.store_key)
            except StatUnavailable:
                break
            if self._record_check(blob, stored) is ObjectCheck.DOUBTFUL:
                changed.append(blob.id)
        request_rechecks(self.database, team_id, changed)

    def check_before_sending(self, key: str, stored: StoredObject | None) -> None:
        """Check the object of a key before its content is sent; ``stored`` describes the open file, None if missing.

        Skipped for an object that passed within the last ``CACHE_SECONDS`` and is not known to have failed since.
        While the database does not answer, the signature of the URL alone decides on objects that are not known to have
        failed. An object that no verified or failed blob has passes.

        A damaged object is marked as such in the database, and a changed one is requested to be verified again. The
        results are kept in memory.

        Raises:
            ModelDamaged: it is missing or has another size than the verified one, or its blob was marked as failed
                before.
            StoreUnavailable: see ``check``.
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
        is_verified = blob is not None and blob.verification == "verified"
        if blob is not None and is_verified and self._record_check(blob, stored) is ObjectCheck.DAMAGED:
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

    def _record_check(self, blob: BlobRow, stored: StoredObject | None) -> ObjectCheck:
        """Return what an object is; mark its blob as damaged, or request a verification if it was changed."""
        damage = find_damage(blob, stored)
        if damage is not None:
            self._recorder.record(blob, damage)
            if self._stat_cache is not None:
                # The blob may have been marked before: then nothing is announced.
                self._stat_cache.invalidate(blob.store_key)
            return ObjectCheck.DAMAGED
        self._recorder.note_present()
        is_changed = stored is not None and blob.stored_version not in (None, stored.version)
        if is_changed or (blob.stored_version is None and not self.store.is_remote):
            self._recheck_requests.add(blob)
        return ObjectCheck.DOUBTFUL if is_changed or blob.is_doubtful else ObjectCheck.INTACT

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
