"""The worker that verifies new uploads, in any number of threads and processes."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from uuid import UUID

from modelyard.server.database.base import new_id
from modelyard.server.database.clock import get_database_time
from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.fair_order import FairOrder
from modelyard.server.fairness.usage import Usage, build_worker_limits
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.leases import LEASE_LIFE, renew_periodically
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.trusted_files.rules import get_pickle_rule
from modelyard.server.storage.blob_store import NoSuchKey, StoreError, StoreUnavailable
from modelyard.server.storage.byte_ranges import check_store_answers
from modelyard.server.storage.capabilities import StoreCapabilities
from modelyard.server.storage.digest import ObjectHasher, ReadStopped
from modelyard.server.uploads.discards import DiscardedObject, discard
from modelyard.server.verification.blob_leases import (
    STALL_TIMEOUT,
    LeasedBlob,
    lease_next_blob,
    list_waiting_accounts,
    release_lease,
    release_leases,
    renew_lease,
)
from modelyard.server.verification.examine import (
    Examination,
    InspectionFailed,
    ModelFiles,
    examine_missing_object,
    examine_object,
)
from modelyard.server.verification.record_result import (
    get_folder_paths,
    get_model_paths,
    record_inspection_failure,
    record_result,
)
from modelyard.wire.problems import Problem, Unavailable

VERIFIED = "verified/"
# Charged when a file is begun, so that accounts that have used equally much alternate.
BEGIN_SECONDS = 0.01
log = logging.getLogger("modelyard.verification")


class Verifier:
    """Verifies pending blobs, one at a time in each thread that calls ``verify_next``."""

    def __init__(
        self,
        objects: ObjectChecks,
        capabilities: StoreCapabilities,
        metrics: Metrics,
        *,
        workers: int = 1,
        life: timedelta = LEASE_LIFE,
    ) -> None:
        self._objects, self._capabilities, self._metrics = objects, capabilities, metrics
        self._database, self._store = objects.database, objects.store
        self._life = life
        self._running, self._order = Usage(build_worker_limits(workers)), FairOrder()
        self._lock, self._leasing = threading.Lock(), threading.Lock()
        self._leased: dict[UUID, LeasedBlob] = {}
        self._hashers: dict[UUID, ObjectHasher] = {}
        # Leases that the database may have though no thread holds them: the response to a commit was lost.
        self._lost = set[UUID]()
        self._stopping = threading.Event()

    def verify_next(self) -> bool:
        """Lease and verify one blob; return False if none can be leased, or the verifier is stopping.

        Returns True also if the result was not recorded: the read was stopped or failed, or another worker took the
        blob. Safe with any number of workers: a lease keeps two from recording the same blob, and expires if its worker
        died.

        Raises:
            StoreUnavailable: the store does not answer at all; the blob waits.
            Unavailable: the database does not answer.
        """
        leased = None if self._stopping.is_set() else self._lease_next()
        if leased is None:
            return False
        with self._track(leased), self._remember_lost_lease(leased.lease):
            try:
                self._verify(leased)
            except ReadStopped:
                release_lease(self._database, leased, is_blob_at_fault=False)
            except StoreError as error:
                self._postpone(leased, error)
            except Exception:  # raised again: the next try comes later, after other blobs
                release_lease(self._database, leased, is_blob_at_fault=True)
                raise
        return True

    def stop(self) -> None:
        """Stop for good: end all reads, and release their leases, so that other processes can take them.

        A read that is stuck cannot be interrupted, but its result is not recorded any more.
        """
        self._stopping.set()
        with self._lock:
            all_leased = list(self._leased.values())
            for hasher in self._hashers.values():
                hasher.stop()
        for leased in all_leased:
            with suppress(Problem):
                release_lease(self._database, leased, is_blob_at_fault=False)

    def _lease_next(self) -> LeasedBlob | None:
        """Release the lost leases of this process, then lease the next blob; None if there is none to lease."""
        with self._lock:
            lost = list(self._lost)
        if lost:
            release_leases(self._database, lost)
            with self._lock:
                self._lost.difference_update(lost)
        lease = new_id()
        # One thread at a time: what it leases counts in the limits of the next one.
        with self._leasing, self._remember_lost_lease(lease):
            leased = lease_next_blob(self._database, self._order_waiting(), self._life, lease)
            if leased is not None:
                self._register(leased)
            return leased

    @contextmanager
    def _remember_lost_lease(self, lease: UUID) -> Iterator[None]:
        """Remember the lease if the block raises a problem, which is raised again, so that it is released later."""
        try:
            yield
        except Problem:
            with self._lock:
                self._lost.add(lease)
            raise

    def _verify(self, leased: LeasedBlob) -> None:
        """Examine a leased blob and record the result, renewing the lease meanwhile.

        If the result is not recorded, this is logged and the copy, if any, is discarded.
        """
        progress = _Progress()

        def renew_while_progressing() -> bool:
            """Renew the lease; return False if it is lost, or the read has made no progress for ``STALL_TIMEOUT``."""
            with self._lock:
                hasher = self._hashers.get(leased.lease)
            return progress.is_moving(hasher.bytes_read if hasher else 0) and renew_lease(
                self._database, leased, self._life
            )

        with renew_periodically(renew_while_progressing, self._life, lambda: self._stop_reading(leased)):
            try:
                examination = self._examine(leased)
            except InspectionFailed:
                examination = None
            is_recorded = self._record(leased, examination)
        if not is_recorded:
            log.warning("the result is not valid any more; the blob is read again", extra={"blob": str(leased.blob.id)})
            self._discard_copy(leased)
        elif examination is not None:
            self._metrics.blobs_read.labels("failed" if examination.error else "verified").inc()

    def _record(self, leased: LeasedBlob, examination: Examination | None) -> bool:
        """Record the result as soon as database and store answer, so that an hour's read is not repeated.

        Without one, the failure of the inspection is recorded.

        First checks the objects of the team's verified blobs of this content, and marks damaged ones. Returns False if
        the result was not recorded, see ``record_result``.

        Raises:
            Unavailable, StoreUnavailable: the database or the store did not answer for as long as a lease lasts, or the
                verifier is stopping.
        """
        if examination is None:
            return record_inspection_failure(self._database, leased)
        deadline = time.monotonic() + self._life.total_seconds()
        while True:
            try:
                # The object is discarded if the team has the same content already: only if that is not damaged.
                content = leased.blob.sha256, leased.blob.size
                self._objects.check_contents(leased.blob.team_id, {content}, wait_for_store=True)
                return record_result(self._database, leased, examination)
            except (Unavailable, StoreUnavailable):
                if time.monotonic() > deadline or self._stopping.wait(1.0):
                    raise

    def _examine(self, leased: LeasedBlob) -> Examination:
        """Copy the object if the store requires it, and examine it; raises as ``examine_object``."""
        with self._database.reading() as session:
            paths = get_model_paths(session, leased.blob.id)
            rule = get_pickle_rule(session, leased.blob)
            files = ModelFiles(paths, rule, get_folder_paths(session, leased.blob.id))
        try:
            key = self._copy_if_needed(leased)
        except NoSuchKey:
            return examine_missing_object(self._store)

        def register_hasher(hasher: ObjectHasher) -> None:
            """Make the read known to ``stop``, and stop it if the verifier is stopping."""
            with self._lock:
                self._hashers[leased.lease] = hasher
                if self._stopping.is_set():
                    hasher.stop()

        try:
            return examine_object(self._store, leased.blob, key, files, register_hasher)
        finally:
            hasher = self._hashers.get(leased.lease)
            self._metrics.bytes_verified.inc(hasher.bytes_read if hasher else 0)

    def _copy_if_needed(self, leased: LeasedBlob) -> str:
        """Return the key that is examined and served: a copy's, in a store whose keys can be overwritten.

        The copy is made before it is read, and no client has a URL that writes to it, so the examined bytes are the
        served ones. It counts as discarded until the result is recorded; its key is noted in ``leased``.

        Raises:
            NoSuchKey: the object is missing.
        """
        blob = leased.blob
        self._capabilities.ensure_probed(self._store)
        if not self._capabilities.needs_copies or blob.store_key.startswith(VERIFIED):
            return blob.store_key
        stored = self._store.stat(blob.store_key)
        if stored is None:
            raise NoSuchKey("There are no bytes under this key.")
        # A new key each time, since an abandoned copy may still appear later.
        leased.copied_to = f"{VERIFIED}{blob.team_id}/{leased.lease}"
        with self._database.writing(blob.team_id) as session:
            until = get_database_time(session) + self._life
            discard(session, [DiscardedObject(blob.team_id, leased.copied_to)], until)
        self._store.copy(blob.store_key, leased.copied_to, stored.version)
        return leased.copied_to

    def _postpone(self, leased: LeasedBlob, error: StoreError) -> None:
        """Release the blob for later; a request to the store tells whether only this blob fails.

        Raises:
            StoreError: the store does not answer at all.
        """
        try:
            check_store_answers(self._store)
        except StoreError:
            release_lease(self._database, leased, is_blob_at_fault=False)
            raise error from None
        release_lease(self._database, leased, is_blob_at_fault=True)
        log.warning("a blob could not be read", extra={"blob": str(leased.blob.id), "why": error.detail})

    def _discard_copy(self, leased: LeasedBlob) -> None:
        """Mark the copy as discarded once more: its row may have been removed before the copy was complete."""
        if leased.copied_to is not None:
            with self._database.writing(leased.blob.team_id) as session:
                discard(session, [DiscardedObject(leased.blob.team_id, leased.copied_to)], get_database_time(session))

    def _stop_reading(self, leased: LeasedBlob) -> None:
        """Stop the read of a leased blob, if it has begun."""
        with self._lock:
            hasher = self._hashers.get(leased.lease)
        if hasher is not None:
            hasher.stop()

    def _order_waiting(self) -> list[Account]:
        """Return the accounts with a blob to verify that may occupy one more thread, the next one first."""
        waiting = list_waiting_accounts(self._database)
        with self._lock:
            self._order.set_waiting(waiting)
            allowed = list(filter(self._running.fits, waiting))
            for account in allowed:
                self._order.catch_up(account)
            return sorted(allowed, key=self._order.get_virtual_time)

    def _register(self, leased: LeasedBlob) -> None:
        """Register the blob as leased here, and count it in the limits of its account."""
        with self._lock:
            self._leased[leased.lease] = leased
            self._running.add(leased.account)
            self._order.charge(leased.account, BEGIN_SECONDS)

    @contextmanager
    def _track(self, leased: LeasedBlob) -> Iterator[None]:
        """Count the time of the block against the account of a leased blob, and end its registration afterwards."""
        began = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                del self._leased[leased.lease]
                self._hashers.pop(leased.lease, None)
                self._running.remove(leased.account)
                self._order.charge(leased.account, time.monotonic() - began)


class _Progress:
    """Distinguishes a slow read from a stalled one."""

    def __init__(self) -> None:
        self._count = 0
        self._since = time.monotonic()

    def is_moving(self, count: int) -> bool:
        """Return whether ``count`` has changed within the stall timeout, as seen by the calls so far."""
        if count != self._count:
            self._count, self._since = count, time.monotonic()
        return time.monotonic() - self._since < STALL_TIMEOUT.total_seconds()
