"""Leases: exclusive work with an expiry by the database's clock, renewed while the work runs.

This module has the parts that all leases share (life, renewal) and the leases of jobs, each a row by its name.
Leases of blobs (``verification/blob_leases.py``) are columns of the blob, since choosing a blob and leasing it must be
one statement.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from modelyard.server.database.base import Row, new_id
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database, execute_and_count
from modelyard.wire.problems import Problem

LEASE_LIFE = timedelta(minutes=2)
log = logging.getLogger("modelyard.leases")


class JobLeaseRow(Row):
    """The lease of a job: its holder and expiry, and when the job was last completed."""

    __tablename__ = "job_leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[UUID | None]
    leased_until: Mapped[datetime | None]
    done_at: Mapped[datetime | None]


class Interruption:
    """A request to end work early: one run of it, when its lease is lost, or all, when the process stops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._is_over = False

    def begin(self) -> None:
        """Begin a run; an interruption of the run before is cleared, but not ``stop``."""
        with self._lock:
            if not self._is_over:
                self._event.clear()

    def interrupt(self) -> None:
        """End this run at its next step."""
        self._event.set()

    def stop(self) -> None:
        """End this run and refuse all that would follow."""
        with self._lock:
            self._is_over = True
            self._event.set()

    def is_set(self) -> bool:
        """Return whether the run has to end."""
        return self._event.is_set()

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the timeout or until the run has to end; return whether it has to end."""
        return self._event.wait(timeout_seconds)


class JobLease:
    """A process's exclusive right to a job. It expires ``life`` after the last renewal, also after a kill."""

    def __init__(self, database: Database, name: str, life: timedelta = LEASE_LIFE) -> None:
        self._database = database
        self._name = name
        self._life = life
        self._holder = new_id()

    def acquire(self, every: timedelta = timedelta(0)) -> bool:
        """Take the lease, or take over an expired one; return False if it cannot be taken now.

        It cannot while another process holds it, or if the job was completed less than ``every`` ago. One that is held
        by this object is extended.
        """
        with self._database.reading() as session:
            row = session.get(JobLeaseRow, self._name)
            if row is not None and not self._is_free(row, get_database_time(session), every):
                return False
        with self._database.writing(self._holder) as session:
            row = session.get(JobLeaseRow, self._name, with_for_update=True)
            if row is None:
                return self._insert(session)
            moment = get_database_time(session)
            if not self._is_free(row, moment, every):
                return False
            row.holder, row.leased_until = self._holder, moment + self._life
            return True

    def renew(self) -> bool:
        """Extend the lease, even an expired one; return False if another process has taken it or it was released."""
        with self._database.writing(self._holder) as session:
            is_own = (JobLeaseRow.name == self._name) & (JobLeaseRow.holder == self._holder)
            until = get_database_time(session) + self._life
            return execute_and_count(session, update(JobLeaseRow).where(is_own).values(leased_until=until)) == 1

    def release(self, *, is_done: bool) -> None:
        """Give the lease up; ``is_done`` records that the job was completed. Does nothing if the lease was lost."""
        with self._database.writing(self._holder) as session:
            row = session.get(JobLeaseRow, self._name, with_for_update=True)
            if row is not None and row.holder == self._holder:
                row.holder = row.leased_until = None
                if is_done:
                    row.done_at = get_database_time(session)

    @contextmanager
    def keep_renewed(self, on_lost: Callable[[], None]) -> Iterator[None]:
        """Renew the lease from another thread while the block runs; see ``renew_periodically`` for ``on_lost``."""
        with renew_periodically(self.renew, self._life, on_lost):
            yield

    def _is_free(self, row: JobLeaseRow, moment: datetime, every: timedelta) -> bool:
        """Return whether no other holder has the lease, and the job was not completed within the last ``every``."""
        is_held = row.leased_until is not None and row.leased_until > moment and row.holder != self._holder
        return not is_held and (row.done_at is None or row.done_at <= moment - every)

    def _insert(self, session: Session) -> bool:
        """Insert the lease of a job that never ran; return False if another process has just inserted it."""
        row = JobLeaseRow(name=self._name, holder=self._holder, leased_until=get_database_time(session) + self._life)
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:
            return False
        return True


@contextmanager
def renew_periodically(renew: Callable[[], bool], life: timedelta, on_lost: Callable[[], None]) -> Iterator[None]:
    """Call ``renew`` from another thread four times in ``life`` while the block runs.

    That thread calls ``on_lost`` once and ends when ``renew`` returns False, or when it has failed for all of ``life``.
    """
    is_over = threading.Event()
    thread = threading.Thread(target=_renew, args=(renew, life, on_lost, is_over), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _renew(renew: Callable[[], bool], life: timedelta, on_lost: Callable[[], None], is_over: threading.Event) -> None:
    """Renew until the block ends; see ``renew_periodically``. A database failure counts as lost after ``life`` only."""
    renewed = time.monotonic()
    while not is_over.wait(life.total_seconds() / 4):
        started = time.monotonic()
        try:
            is_held = renew()
            renewed = started if is_held else renewed
        except Problem as problem:
            log.warning("could not renew a lease", extra={"why": problem.detail})
            is_held = started - renewed < life.total_seconds()
        if not is_held:
            on_lost()
            return
