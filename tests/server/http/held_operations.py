"""Operations that are held at a real seam while a test looks at those that wait and those that pass."""

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from sqlalchemy import Engine, event

from modelyard.server.database.session import Database
from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.server.storage.local.store import LocalStore
from tests.server.harness import ApiCaller, Harness
from tests.waiting import PATIENCE_SECONDS


class HeldOperations:
    """Threads that wait before a statement or a read; ``most`` is how many did so at once."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.release = threading.Event()
        self._lock = threading.Lock()

    def hold(self) -> None:
        """Wait until all are released."""
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.release.wait(2 * PATIENCE_SECONDS)
        with self._lock:
            self.running -= 1


class StallingStore(LocalStore):
    """A store over the folder of another one, whose reads ``stall_reads`` holds."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, secrets.token_bytes(32))
        self._held = dict[str, HeldOperations]()

    @contextmanager
    def stall_reads(self, team: ApiCaller) -> Iterator["HeldOperations"]:
        """Hold each read of a team's content; all are released when the block ends."""
        held = self._held[str(team.team_id)] = HeldOperations()
        try:
            yield held
        finally:
            del self._held[str(team.team_id)]
            held.release.set()

    def read(self, key: str, start: int, length: int, version: str | None = None) -> Iterator[bytes]:
        held = self._held.get(key.split("/")[1])
        if held is not None:
            held.hold()
        return super().read(key, start, length, version)


@contextmanager
def hold_statements(engine: Engine, value: str, beginning: str = "") -> Iterator[HeldOperations]:
    """Hold each thread before a statement with this text among its values; all are released when the block ends.

    With ``beginning``, only statements that begin so.
    """
    held = HeldOperations()

    def hold(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith(beginning) and value in str(values):
            held.hold()

    event.listen(engine, "before_cursor_execute", hold)
    try:
        yield held
    finally:
        held.release.set()
        event.remove(engine, "before_cursor_execute", hold)


@contextmanager
def record_transactions(engine: Engine, *beginnings: str) -> Iterator[list[str]]:
    """Record which of these beginnings of a statement each transaction had first, in the order of the transactions."""
    recorded, transactions = list[str](), list[object]()

    def record(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        named = next((each for each in beginnings if statement.startswith(each)), None)
        if named is not None and connection.get_transaction() not in transactions:
            transactions.append(connection.get_transaction())
            recorded.append(named)

    event.listen(engine, "before_cursor_execute", record)
    try:
        yield recorded
    finally:
        event.remove(engine, "before_cursor_execute", record)


@contextmanager
def sending(
    count: int, send: Callable[[int], httpx2.Response], release: Callable[[], object]
) -> Iterator[list[Future[httpx2.Response]]]:
    """Send so many requests at once, each with its number; their operations are released when the block ends."""
    with ThreadPoolExecutor(count) as threads:
        try:
            yield [threads.submit(send, number) for number in range(count)]
        finally:
            release()


def count_queued(limiter: OperationLimiter, team: ApiCaller) -> int:
    """Return how many operations of a team wait for a thread."""
    return limiter.places.waiting.teams.get(get_id(team), 0)


def count_waiting_writers(database: Database, team: ApiCaller) -> int:
    """Return how many threads of a team wait for the place of a writer."""
    return database.writers.places.waiting.teams.get(get_id(team), 0)


def get_id(team: ApiCaller) -> UUID:
    return UUID(team.team_id)


def create_teams(registry: Harness) -> tuple[ApiCaller, ApiCaller]:
    """Return the owners of two new teams, who have no team in common."""
    return registry.create_team(), registry.create_other_team()
