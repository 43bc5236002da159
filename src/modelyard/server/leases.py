"""What one process at a time does for all: leases by name, by the database's clock, that end with their holder."""

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
from modelyard.server.database.clock import database_now
from modelyard.server.database.session import Database, changed_rows
from modelyard.wire.problems import Problem

LIFE = timedelta(minutes=2)
log = logging.getLogger("modelyard.leases")


class ChoreLeaseRow(Row):
    """Who does a chore now, and when it was last done whole."""

    __tablename__ = "chore_leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[UUID | None]
    leased_until: Mapped[datetime | None]
    done_at: Mapped[datetime | None]


class Lease:
    """One process's right to a chore. It ends ``life`` after it was last renewed, however its holder ended."""

    def __init__(self, database: Database, name: str, life: timedelta = LIFE) -> None:
        self._database = database
        self._name = name
        self._life = life
        self._holder = new_id()

    def take(self, every: timedelta = timedelta(0)) -> bool:
        """Begin, unless somebody is at it, or it was done whole less than ``every`` ago."""
        with self._database.reading() as session:
            row = session.get(ChoreLeaseRow, self._name)
            if row is not None and not self._is_free(row, database_now(session), every):
                return False
        with self._database.writing(self._holder) as session:
            row = session.get(ChoreLeaseRow, self._name, with_for_update=True)
            if row is None:
                return self._begun(session)
            moment = database_now(session)
            if not self._is_free(row, moment, every):
                return False
            row.holder, row.leased_until = self._holder, moment + self._life
            return True

    def renew(self) -> bool:
        """Go on; False if this process was silent for too long, and another has begun."""
        with self._database.writing(self._holder) as session:
            mine = (ChoreLeaseRow.name == self._name) & (ChoreLeaseRow.holder == self._holder)
            until = database_now(session) + self._life
            return changed_rows(session, update(ChoreLeaseRow).where(mine).values(leased_until=until)) == 1

    def release(self, *, is_done: bool) -> None:
        """Let others in; what is done waits for its time. Does nothing if it is lost."""
        with self._database.writing(self._holder) as session:
            row = session.get(ChoreLeaseRow, self._name, with_for_update=True)
            if row is not None and row.holder == self._holder:
                row.holder = row.leased_until = None
                if is_done:
                    row.done_at = database_now(session)

    @contextmanager
    def kept(self, on_lost: Callable[[], None]) -> Iterator[None]:
        """Renew it while the block runs, from another thread, which calls ``on_lost`` when it is gone."""
        with renewing(self.renew, self._life, on_lost):
            yield

    def _is_free(self, row: ChoreLeaseRow, moment: datetime, every: timedelta) -> bool:
        is_held = row.leased_until is not None and row.leased_until > moment and row.holder != self._holder
        return not is_held and (row.done_at is None or row.done_at <= moment - every)

    def _begun(self, session: Session) -> bool:
        """The first time of all: of two that begin at once, the database lets one."""
        row = ChoreLeaseRow(name=self._name, holder=self._holder, leased_until=database_now(session) + self._life)
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:
            return False
        return True


@contextmanager
def renewing(renew: Callable[[], bool], life: timedelta, on_lost: Callable[[], None]) -> Iterator[None]:
    """Call ``renew`` four times in a lease's life while the block runs.

    ``on_lost`` is called in that thread when ``renew`` says so, or when nobody could be asked for a whole life.
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
    renewed = time.monotonic()
    while not is_over.wait(life.total_seconds() / 4):
        begun = time.monotonic()
        try:
            is_mine = renew()
            renewed = begun if is_mine else renewed
        except Problem as problem:
            log.warning("a lease could not be renewed", extra={"why": problem.detail})
            is_mine = begun - renewed < life.total_seconds()
        if not is_mine:
            on_lost()
            return
