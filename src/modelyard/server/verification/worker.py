"""The worker that verifies what arrives: any number of threads, in any number of processes."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from uuid import UUID

from modelyard.server.database.base import new_id
from modelyard.server.database.clock import database_now
from modelyard.server.database.session import Database
from modelyard.server.leases import renewing
from modelyard.server.observed import Metrics
from modelyard.server.storage.blob_store import BlobStore, NoSuchKey, StoreError
from modelyard.server.storage.digest import Reading, Stopped
from modelyard.server.storage.trust import Trust
from modelyard.server.uploads.discarding import Useless, discard
from modelyard.server.verification.finding import Finding, find_out, gone, make_sure_of
from modelyard.server.verification.leasing import LIFE, PATIENCE, Held, give_up, put_back, renew, take_next
from modelyard.server.verification.settling import model_names, settle
from modelyard.wire.problems import Problem, Unavailable

VERIFIED = "verified/"
log = logging.getLogger("modelyard.verification")


class Verifier:
    """Reads unread blobs, one at a time in each thread that calls ``verify_next``."""

    def __init__(
        self,
        database: Database,
        store: BlobStore,
        trust: Trust,
        metrics: Metrics,
        *,
        workers: int = 1,
        life: timedelta = LIFE,
    ) -> None:
        self._database, self._store, self._trust, self._metrics = database, store, trust, metrics
        self._life = life
        # Of one team's blobs all workers but one read at a time: whatever its reads wait for, others have that one.
        self._most_of_a_team = max(workers - 1, 1)
        self._lock = threading.Lock()
        self._held: dict[UUID, Held] = {}
        self._readings: dict[UUID, Reading] = {}
        # Leases that the database may have and no thread: the answer to a commit was lost, or it was away.
        self._lost = set[UUID]()
        self._stopping = threading.Event()

    def verify_next(self) -> bool:
        """Read one blob and say what it is; False if there is none to read now.

        Safe with any number of workers: a lease keeps two from settling the same blob, and one that died loses it.

        Raises:
            StoreUnavailable: the store does not answer anybody; the blob waits.
        """
        held = None if self._stopping.is_set() else self._taken()
        if held is None:
            return False
        with self._counted(held), self._lost_by_problems(held.lease):
            try:
                self._verify(held)
            except Stopped:
                put_back(self._database, held, is_its_fault=False)
            except StoreError as error:
                self._put_off(held, error)
            except Exception:  # raised again: whatever it is, the next try comes later, and other blobs before it
                put_back(self._database, held, is_its_fault=True)
                raise
        return True

    def stop(self) -> None:
        """Give back what is being read, so that other processes need not wait for a lease to end.

        A read that stands still cannot be called back; but it can no longer say anything.
        """
        self._stopping.set()
        with self._lock:
            held = list(self._held.values())
            for reading in self._readings.values():
                reading.stop()
        for one in held:
            with suppress(Problem):
                put_back(self._database, one, is_its_fault=False)

    def _taken(self) -> Held | None:
        """The blob to read next, after those were let go that wait for a thread which has given them up."""
        with self._lock:
            lost = list(self._lost)
        if lost:
            give_up(self._database, lost)
            with self._lock:
                self._lost.difference_update(lost)
        lease = new_id()
        with self._lost_by_problems(lease):
            return take_next(self._database, self._crowded(), self._life, lease)

    @contextmanager
    def _lost_by_problems(self, lease: UUID) -> Iterator[None]:
        try:
            yield
        except Problem:
            with self._lock:
                self._lost.add(lease)
            raise

    def _verify(self, held: Held) -> None:
        progress = _Progress()

        def go_on() -> bool:
            with self._lock:
                reading = self._readings.get(held.lease)
            return progress.has_come(reading.count if reading else 0) and renew(self._database, held, self._life)

        with renewing(go_on, self._life, lambda: self._stop(held)):
            found = self._found(held)
            is_settled = self._settled(held, found)
        if not is_settled:
            log.warning("another worker has this blob now", extra={"blob": str(held.blob.id)})
            self._give_up_copy(held)
            return
        self._metrics.blobs_read.labels("failed" if found.error else "verified").inc()

    def _settled(self, held: Held, found: Finding) -> bool:
        """Settle, as soon as the database answers: what was read for an hour is not read again for its sake."""
        ends = time.monotonic() + self._life.total_seconds()
        while True:
            try:
                return settle(self._database, held, found)
            except Unavailable:
                if time.monotonic() > ends or self._stopping.wait(1.0):
                    raise

    def _found(self, held: Held) -> Finding:
        with self._database.reading() as session:
            names = model_names(session, held.blob.id)
        try:
            key = self._final_key(held)
        except NoSuchKey:
            return gone(self._store)

        def begun(reading: Reading) -> None:
            with self._lock:
                self._readings[held.lease] = reading
                if self._stopping.is_set():
                    reading.stop()

        try:
            return find_out(self._store, held.blob, key, names, begun)
        finally:
            reading = self._readings.get(held.lease)
            self._metrics.bytes_verified.inc(reading.count if reading else 0)

    def _final_key(self, held: Held) -> str:
        """The key that the bytes are served from: in a store that lets keys be written again, that of a copy.

        Copied first and read there, since nobody was ever given a URL to write to it: what is read is what is served.
        """
        blob = held.blob
        self._trust.renew(self._store)
        if not self._trust.needs_copies or blob.store_key.startswith(VERIFIED):
            return blob.store_key
        stored = self._store.stored(blob.store_key)
        if stored is None:
            raise NoSuchKey("There are no bytes under this key.")
        # Another key each time, since a copy that was given up may appear late.
        held.copied_to = f"{VERIFIED}{blob.team_id}/{held.lease}"
        with self._database.writing(blob.team_id) as session:
            until = database_now(session) + self._life
            discard(session, [Useless(blob.team_id, held.copied_to)], until)
        self._store.copy(blob.store_key, held.copied_to, stored.version)
        return held.copied_to

    def _put_off(self, held: Held, error: StoreError) -> None:
        """Let the blob wait; whose fault it is, tells the store's answer to another question."""
        try:
            make_sure_of(self._store)
        except StoreError:
            put_back(self._database, held, is_its_fault=False)
            raise error from None
        put_back(self._database, held, is_its_fault=True)
        log.warning("a blob could not be read", extra={"blob": str(held.blob.id), "why": error.detail})

    def _give_up_copy(self, held: Held) -> None:
        """Note the copy once more: whoever removed the row may have done so before the bytes were there."""
        if held.copied_to is not None:
            with self._database.writing(held.blob.team_id) as session:
                discard(session, [Useless(held.blob.team_id, held.copied_to)], database_now(session))

    def _stop(self, held: Held) -> None:
        with self._lock:
            reading = self._readings.get(held.lease)
        if reading is not None:
            reading.stop()

    def _crowded(self) -> list[UUID]:
        with self._lock:
            teams = Counter(held.blob.team_id for held in self._held.values())
        return [team_id for team_id, count in teams.items() if count >= self._most_of_a_team]

    @contextmanager
    def _counted(self, held: Held) -> Iterator[None]:
        with self._lock:
            self._held[held.lease] = held
        try:
            yield
        finally:
            with self._lock:
                del self._held[held.lease]
                self._readings.pop(held.lease, None)


class _Progress:
    """Whether bytes still come."""

    def __init__(self) -> None:
        self._count = 0
        self._since = time.monotonic()

    def has_come(self, count: int) -> bool:
        """Whether there are more than at the last call, or it was not long ago that there were."""
        if count != self._count:
            self._count, self._since = count, time.monotonic()
        return time.monotonic() - self._since < PATIENCE.total_seconds()
