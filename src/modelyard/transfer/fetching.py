"""The bytes of one object on their way into a partial file, and their hash beside them."""

import asyncio
import contextlib
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPResponse
from pathlib import Path

from modelyard.transfer.answers import OtherObject, check_range, check_whole, strong_etag
from modelyard.transfer.connection import Connection
from modelyard.transfer.crew import Crew, together
from modelyard.transfer.failures import BadAnswer, TransferFailed, Unreachable
from modelyard.transfer.network import LARGEST_PIECE, Network
from modelyard.transfer.partial import Frontier, Partial
from modelyard.transfer.progress import Gauge, Received, Report, Retrying, Verified, reporting
from modelyard.transfer.retry import Tries, expired, until_done
from modelyard.transfer.spans import Span

FreshUrl = Callable[[], Awaitable[str]]

# Soon at first, so that even a machine that is killed again and again gets somewhere; then seldom, to spare the disk.
_FIRST_CHECKPOINT_SECONDS = 0.25
_CHECKPOINT_SECONDS = 1.0


@dataclass
class Fetching:
    """One download in progress. ``path`` is the name that events carry."""

    source: FreshUrl
    size: int
    path: Path
    file: Partial
    crew: Crew
    report: Report
    network: Network

    def __post_init__(self) -> None:
        self._address = _Address(self.source)
        self._received = Gauge(lambda done: Received(self.path, done, self.size), self.file.held)
        self._verified = Gauge(lambda done: Verified(self.path, done, self.size))
        self._loop = asyncio.get_running_loop()
        self._opened = asyncio.Event()
        self._complete = asyncio.Event()

    async def digest_of_all(self, connections: int) -> str:
        """Fetch what is missing; gives the SHA-256 of everything, in lower-case hex.

        Raises:
            Refused, Unreachable, BadAnswer: the source failed too often in a row without progress.
            DiskFull, DiskFailed: the partial file could not grow.
        """
        digests: list[str] = []

        async def receive() -> None:
            await self._receive(connections)
            self._complete.set()

        async def verify() -> None:
            digests.append(await self.crew.run(self._follow, self.file.stop_waiting))

        async with reporting(self.report, self._received, self._verified):
            await together(receive(), verify(), self._keep_checkpoints())
        return digests[0]

    def _follow(self) -> str:
        """Hash behind the frontier, through the page cache; from the start again when all was thrown away."""
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(LARGEST_PIECE))
        position, seen = 0, Frontier(-1, 0)
        while position < self.size:
            # Not for every few bytes: waking up costs more than hashing them.
            now = self.file.wait_for_more(seen, min(position + LARGEST_PIECE, self.size))
            if now == seen:
                break  # stopped
            if now.generation != seen.generation:
                digest, position = hashlib.sha256(), 0
            while position < now.end and (count := self.file.read(buffer[: now.end - position], position)):
                digest.update(buffer[:count])
                position += count
                self._verified.put(position)
            seen = now
        return digest.hexdigest()

    async def _keep_checkpoints(self) -> None:
        pause = _FIRST_CHECKPOINT_SECONDS
        while not self._complete.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._complete.wait(), pause)
            await self.crew.run(self.file.checkpoint)
            pause = min(2 * pause, _CHECKPOINT_SECONDS)

    async def _receive(self, connections: int) -> None:
        """In ranges where the source can, else as one stream that starts anew when it breaks."""
        tries, most = Tries(self.network, renews=True), self.file.held
        while True:
            try:
                return await self._in_ranges(connections)
            except OtherObject:
                await self._start_over()
            try:
                return await self._as_one_stream()
            except TransferFailed as failure:
                if self.file.held > most:
                    most = self.file.held
                    tries.progressed()
                wait = tries.wait_after(failure)
                self.report(Retrying(self.path, str(failure), wait))
            await asyncio.sleep(wait)

    async def _start_over(self) -> None:
        await self.crew.run(self.file.start_over)
        self._received.put(0)

    async def _in_ranges(self, connections: int) -> None:
        step = max(1, self.size) if connections == 1 else self.network.range_size
        gaps = self.file.missing(0, self.size)
        ranges = deque((at, min(at + step, end)) for start, end in gaps for at in range(start, end, step))

        async def work(*, is_first: bool) -> None:
            if not is_first:
                # One answer tells whether the source serves ranges, and of which object.
                await self._opened.wait()
            async with self._connected() as connection:
                while ranges:
                    await self._range(connection, ranges.popleft())

        await together(*(work(is_first=number == 0) for number in range(min(connections, len(ranges)))))

    async def _range(self, connection: Connection, asked: Span) -> None:
        tries = Tries(self.network, renews=True)

        async def attempt() -> None:
            missing = self.file.missing(*asked)
            try:
                for gap in missing:
                    await self._run(connection, partial(self._read_range, connection, gap))
            except TransferFailed:
                if self.file.missing(*asked) != missing:
                    tries.progressed()
                raise

        await until_done(attempt, tries, self.path, self.report)

    async def _as_one_stream(self) -> None:
        async with self._connected() as connection:
            await self._run(connection, partial(self._read_whole, connection))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        connection = Connection(self.network)
        try:
            yield connection
        finally:
            connection.close()

    async def _run(self, connection: Connection, read: Callable[[str], None]) -> None:
        """Call ``read`` with a URL in a thread; a URL that is refused is not used again."""
        async with self._turn(connection):
            url = await self._address.current()
            try:
                await self.crew.run(partial(read, url), connection.stop)
            except TransferFailed as failure:
                if expired(failure):
                    self._address.expire(url)
                raise

    @asynccontextmanager
    async def _turn(self, connection: Connection) -> AsyncIterator[None]:
        queue = self.network.queue
        if queue is None:
            yield
            return
        async with queue.turn():
            yield
            if queue.turns.is_awaited:
                # Whoever comes next opens one, and there are never more of them than turns.
                connection.close()

    def _read_range(self, connection: Connection, asked: Span, url: str) -> None:
        headers = {"Range": f"bytes={asked[0]}-{asked[1] - 1}", "Accept-Encoding": "identity"}
        if (etag := strong_etag(self.file.etag)) is not None:
            headers["If-Range"] = etag
        with connection.get(url, headers) as response:
            check_range(response, asked, self.size)
            if not self.file.is_object(response.getheader("ETag")):
                raise OtherObject
            self._loop.call_soon_threadsafe(self._opened.set)
            self._copy(connection, response, asked)

    def _read_whole(self, connection: Connection, url: str) -> None:
        with connection.get(url, {"Accept-Encoding": "identity"}) as response:
            check_whole(response, self.size)
            self.file.is_object(response.getheader("ETag"))
            self._copy(connection, response, (0, self.size))

    def _copy(self, connection: Connection, response: HTTPResponse, span: Span) -> None:
        offset, end = span
        buffer = memoryview(bytearray(min(LARGEST_PIECE, end - offset)))
        while offset < end:
            count = connection.read(response, buffer[: end - offset])
            if count == 0:
                raise Unreachable(f"The connection ended {end - offset} bytes early.")
            self.file.write(buffer[:count], offset)
            offset += count
            self._received.put(self.file.held)
        # A body without a length may go on; one with a length has ended, or its connection is closed.
        if connection.read(response, memoryview(bytearray(1))):
            raise BadAnswer("The server sent more than the file should have.")


class _Address:
    """The URL in use, asked for anew when it has expired."""

    def __init__(self, fresh: FreshUrl) -> None:
        self._fresh = fresh
        self._url: str | None = None
        self._asking = asyncio.Lock()

    async def current(self) -> str:
        async with self._asking:
            if self._url is None:
                self._url = await self._fresh()
            return self._url

    def expire(self, url: str) -> None:
        """Do not use ``url`` again; another one may have taken its place already."""
        if self._url == url:
            self._url = None
