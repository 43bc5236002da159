"""A periodic job, and the lease by which one process at a time does it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from modelyard.comfyui.quoting import counted
from modelyard.server.database.job_run import JobRun, RunStopped
from modelyard.server.database.session import Database
from modelyard.server.leases import Interruption, JobLease
from modelyard.server.resources import Resources
from modelyard.wire.problems import Unavailable


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


def build_exclusive_job(
    resources: Resources, name: str, every: timedelta, do: Callable[[], bool], interruption: Interruption
) -> Job:
    """Build a job that one process at a time does for all; ``do`` returns whether the job was completed.

    A completed job runs again after ``every``; one that was not, after at most a minute.
    """
    lease = JobLease(resources.database, name)

    def run() -> bool:
        """Do the job if it is due and this process gets the lease."""
        if lease.acquire(every):
            with leased(lease, interruption) as outcome:
                outcome.is_done = do()
        return False

    return Job(name, min(every.total_seconds(), 60.0), run, stop=interruption.stop)


def build_paged_job(resources: Resources, name: str, every: timedelta, work: Callable[[JobRun], None]) -> Job:
    """Build an exclusive job that works on pages of rows; it may be stopped between two of them."""
    interruption = Interruption()
    do = partial(run_pages, resources.database, name, interruption, work)
    return build_exclusive_job(resources, name, every, do, interruption)


def run_pages(database: Database, name: str, interruption: Interruption, work: Callable[[JobRun], None]) -> bool:
    """Do work on pages of rows; return False if it was interrupted.

    Raises:
        Unavailable: some teams were left out. The work is done for the others.
    """
    run = JobRun(database, name, lambda: not interruption.is_set())
    try:
        work(run)
    except RunStopped:
        return False
    if run.failed_teams:
        raise Unavailable(f"The job failed for {counted(len(run.failed_teams), 'team')}.")
    return True


@dataclass
class Outcome:
    """The outcome of a leased block; the block sets ``is_done``."""

    is_done: bool = False


@contextmanager
def leased(lease: JobLease, interruption: Interruption) -> Iterator[Outcome]:
    """Renew an acquired lease while the block runs and release it after; interrupt the block if the lease is lost."""
    outcome = Outcome()
    interruption.begin()
    try:
        with lease.keep_renewed(interruption.interrupt):
            yield outcome
    finally:
        lease.release(is_done=outcome.is_done)
