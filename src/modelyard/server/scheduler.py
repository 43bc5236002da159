"""The scheduler and its jobs: verification, scrub, rechecks, hashes, garbage collection, key use, and machines."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from modelyard.server.garbage.collection import collect_garbage
from modelyard.server.garbage.run_state import RunOptions
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.identity.operations import delete_expired_identity_rows
from modelyard.server.leases import Interruption, JobLease
from modelyard.server.models.replicas.unhealthy import record_unhealthy_agents
from modelyard.server.resources import Resources
from modelyard.server.storage.blob_store import StoreError
from modelyard.server.storage.digest import ReadStopped
from modelyard.server.uploads.operations import BLOB_PENDING
from modelyard.server.verification.hash_completion import HashCompleter
from modelyard.server.verification.scrub import RECHECK_RATE, Scrubber
from modelyard.server.verification.worker import Verifier
from modelyard.wire.problems import Problem

# Jobs end at their next step once asked to stop; one that takes longer is abandoned, and the next process repeats it.
STOP_SECONDS = 3.0
# A repeated failure is logged once in this time, and counted each time.
LOG_INTERVAL_SECONDS = 60.0
log = logging.getLogger("modelyard.scheduler")


def _do_nothing() -> None: ...


@dataclass(frozen=True)
class Job:
    """A periodic job. ``do`` returns whether there is more to do at once; ``stop`` ends a running ``do`` early.

    The database stores leases by ``name``: renaming a job takes a migration.
    """

    name: str
    every_seconds: float
    do: Callable[[], bool]
    threads: int = 1
    stop: Callable[[], None] = _do_nothing
    # The announcement in this process that wakes the job before its interval is over.
    wakes_on: object = None
    wake: threading.Event = field(default_factory=threading.Event)


def build_jobs(resources: Resources, metrics: Metrics) -> list[Job]:
    """Return the jobs of a process; verification and scrub only if the settings enable them."""
    return [
        *_build_verification(resources, metrics),
        *_build_scrub(resources, metrics),
        _build_rechecks(resources, metrics),
        *_build_hash_completion(resources, metrics),
        _build_clean_up(resources, metrics, "clean-up", timedelta(hours=1), is_thorough=False),
        _build_clean_up(resources, metrics, "thorough clean-up", timedelta(days=1), is_thorough=True),
        _build_key_use(resources),
        _build_unhealthy_machines(resources),
    ]


def _build_verification(resources: Resources, metrics: Metrics) -> list[Job]:
    """Build the job that verifies new uploads, in ``verification_workers`` threads; none if that is 0."""
    workers = resources.settings.verification_workers
    if workers == 0:
        return []
    verifier = Verifier(resources.database, resources.store, resources.capabilities, metrics, workers=workers)
    return [
        Job("verification", 1.0, verifier.verify_next, threads=workers, stop=verifier.stop, wakes_on=BLOB_PENDING),
    ]


def _build_scrub(resources: Resources, metrics: Metrics) -> list[Job]:
    """Build the job that re-verifies all blobs that are due, in one process at a time; none if the rate is 0."""
    rate = resources.settings.scrub_rate
    if rate == 0:
        return []
    scrubber = Scrubber(resources.database, resources.store, metrics, rate)

    def scrub() -> bool:
        """Scrub until no blob is due; return True, also if it was interrupted between two blobs."""
        while scrubber.scrub_next():
            pass
        return True

    return [_build_exclusive_job(resources, "scrubber", timedelta(minutes=1), scrub, scrubber.interruption)]


def _build_rechecks(resources: Resources, metrics: Metrics) -> Job:
    """Build the job that verifies changed objects again, in one process at a time that has verification workers.

    Each process stores the changed objects that its own routes noticed.
    """
    scrubber = Scrubber(resources.database, resources.store, metrics, RECHECK_RATE)
    lease = JobLease(resources.database, "recheck")

    def recheck() -> bool:
        """Store the noticed objects, and verify all that wait if this process gets the lease."""
        resources.recheck_requests.flush(resources.database)
        if resources.settings.verification_workers and scrubber.has_rechecks() and lease.acquire():
            with _leased(lease, scrubber.interruption):
                while scrubber.recheck_next():
                    resources.recheck_requests.flush(resources.database)
        return False

    return Job("recheck", 1.0, recheck, stop=scrubber.stop)


def _build_hash_completion(resources: Resources, metrics: Metrics) -> list[Job]:
    """Build the job that computes missing hashes of verified blobs, in one process at a time; none if the rate is 0."""
    rate = resources.settings.hash_rate
    if rate == 0:
        return []
    completer = HashCompleter(resources.database, resources.store, metrics, rate)
    lease = JobLease(resources.database, "hashes")

    def complete() -> bool:
        """Compute the hashes of all blobs that are due, if there are any and this process gets the lease."""
        if completer.is_due() and lease.acquire():
            with _leased(lease, completer.interruption):
                while completer.complete_next():
                    pass
        return False

    return [Job("hashes", 5.0, complete, stop=completer.stop)]


def _build_clean_up(resources: Resources, metrics: Metrics, name: str, every: timedelta, *, is_thorough: bool) -> Job:
    """Build the job that collects garbage and deletes expired identity rows, in one process at a time."""
    interruption = Interruption()

    def clean() -> bool:
        """Collect garbage and delete expired identity rows; return whether the collection was complete."""
        options = RunOptions(is_thorough=is_thorough)
        collected = collect_garbage(
            resources.database, resources.store, resources.settings, options, lambda: not interruption.is_set()
        )
        metrics.collected.inc(collected.bytes)
        with resources.database.writing() as session:
            delete_expired_identity_rows(session)
        return collected.is_complete

    return _build_exclusive_job(resources, name, every, clean, interruption)


def _build_key_use(resources: Resources) -> Job:
    """Build the job that stores when keys were last used."""

    def flush() -> bool:
        """Store the recorded key uses."""
        resources.identity.flush_last_used(resources.database)
        return False

    return Job("key use", 60.0, flush)


def _build_unhealthy_machines(resources: Resources) -> Job:
    """Build the job that records machines which stopped sending heartbeats, in one process at a time."""

    def record_unhealthy() -> bool:
        """Record unhealthy machines; the job is complete then."""
        record_unhealthy_agents(resources.database)
        return True

    # The job's name is stored with its lease, and a label of metrics.
    return _build_exclusive_job(resources, "offline machines", timedelta(minutes=1), record_unhealthy, Interruption())


def _build_exclusive_job(
    resources: Resources, name: str, every: timedelta, do: Callable[[], bool], interruption: Interruption
) -> Job:
    """Build a job that one process at a time does for all; ``do`` returns whether the job was completed.

    A completed job runs again after ``every``; one that was not, after at most a minute.
    """
    lease = JobLease(resources.database, name)

    def run() -> bool:
        """Do the job if it is due and this process gets the lease."""
        if lease.acquire(every):
            with _leased(lease, interruption) as outcome:
                outcome.is_done = do()
        return False

    return Job(name, min(every.total_seconds(), 60.0), run, stop=interruption.stop)


@dataclass
class _Outcome:
    """The outcome of a leased block; the block sets ``is_done``."""

    is_done: bool = False


@contextmanager
def _leased(lease: JobLease, interruption: Interruption) -> Iterator[_Outcome]:
    """Renew an acquired lease while the block runs and release it after; interrupt the block if the lease is lost."""
    outcome = _Outcome()
    interruption.begin()
    try:
        with lease.keep_renewed(interruption.interrupt):
            yield outcome
    finally:
        lease.release(is_done=outcome.is_done)


class Scheduler:
    """Runs the jobs in threads, from ``start`` to ``stop``. A failed job is logged, counted and tried again."""

    def __init__(self, resources: Resources, metrics: Metrics, jobs: Sequence[Job] | None = None) -> None:
        self._stopping = threading.Event()
        self._resources = resources
        self._metrics = metrics
        self._jobs = build_jobs(resources, metrics) if jobs is None else jobs
        self._subscription = ExitStack()
        self._next_log_at: dict[str, float] = {}
        self._threads = [
            threading.Thread(target=self._run_job, args=(job,), name=f"job: {job.name}", daemon=True)
            for job in self._jobs
            for _ in range(job.threads)
        ]

    def start(self) -> None:
        """Start the threads, and wake jobs by this process's announcements."""
        self._subscription.enter_context(self._resources.database.subscribe(self._on_announcement))
        for thread in self._threads:
            thread.start()

    def begin_stop(self) -> None:
        """Ask all jobs to end at their next step, without waiting. Idempotent."""
        self._stopping.set()
        self._subscription.close()
        for job in self._jobs:
            job.stop()
            job.wake.set()

    def stop(self) -> None:
        """Stop all jobs, waiting at most 3 seconds in all, and write the recorded key use. Idempotent.

        Raises:
            Unavailable: the database does not answer when key use is written.
        """
        self.begin_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(timeout=max(deadline - time.monotonic(), 0))
        self._resources.identity.flush_last_used(self._resources.database)

    def _on_announcement(self, announced: set[object]) -> None:
        """Wake the jobs that wait for one of these announcements."""
        for job in self._jobs:
            if job.wakes_on in announced:
                job.wake.set()

    def _run_job(self, job: Job) -> None:
        """Run a job until the scheduler stops, pausing when it has nothing more to do."""
        while not self._stopping.is_set():
            if not self._run_once(job):
                job.wake.wait(job.every_seconds)
                # An announcement from here on is seen by the next run or ends the wait after it.
                job.wake.clear()

    def _run_once(self, job: Job) -> bool:
        """Run the job once; return whether there is more to do at once.

        An exception is logged and counted, except that a read was stopped, and returns False.
        """
        try:
            is_more = job.do()
        except ReadStopped:
            return False
        except (Problem, StoreError, OSError) as error:
            if self._count_failure(job):
                log.warning("a job failed and will be tried again", extra={"job": job.name, "why": str(error)})
        except Exception:  # a bug must not end the thread: it is logged and counted, and tried again
            if self._count_failure(job):
                log.exception("a job failed", extra={"job": job.name})
        else:
            self._metrics.job_done.labels(job.name).set_to_current_time()
            return is_more
        return False

    def _count_failure(self, job: Job) -> bool:
        """Count a failure; return whether it should be logged, which is so once a minute for each job."""
        self._metrics.job_failures.labels(job.name).inc()
        is_due = time.monotonic() > self._next_log_at.get(job.name, 0.0)
        if is_due:
            self._next_log_at[job.name] = time.monotonic() + LOG_INTERVAL_SECONDS
        return is_due
