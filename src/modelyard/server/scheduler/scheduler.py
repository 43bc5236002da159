"""The threads that run the jobs."""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack

from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.resources import Resources
from modelyard.server.scheduler.job import Job
from modelyard.server.scheduler.jobs import build_jobs
from modelyard.server.storage.blob_store import StoreError
from modelyard.server.storage.digest import ReadStopped
from modelyard.wire.problems import Problem

# Jobs end at their next step once asked to stop; one that takes longer is abandoned, and the next process repeats it.
STOP_SECONDS = 3.0
# A repeated failure is logged once in this time, and counted each time.
LOG_INTERVAL_SECONDS = 60.0
log = logging.getLogger("modelyard.scheduler")


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
