"""Sending a file to presigned URLs: whole, or in parts that travel in parallel.

The hash travels apart: with ``sha256_of`` running beside an upload the disk is read once for both.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from modelyard.transfer.connection import Connection, Request
from modelyard.transfer.crew import Crew, together
from modelyard.transfer.failures import BadAnswer, FileChanged, Refused, TransferFailed
from modelyard.transfer.network import USUAL, Network
from modelyard.transfer.parts import Part
from modelyard.transfer.progress import Gauge, Report, Sent, reporting
from modelyard.transfer.retry import Tries, expired, until_done
from modelyard.transfer.source import Source

# Enough to keep the connections busy, few enough that the last URL is used long before it expires.
_URLS_AT_ONCE = 32


class SentPart(NamedTuple):
    """A part that the store has, and the ETag that the store gave it, quotes included."""

    number: int
    etag: str


FreshRequests = Callable[[Sequence[int]], Awaitable[Mapping[int, Request]]]


async def send_whole(path: Path, request: Request, report: Report, *, network: Network = USUAL) -> str | None:
    """PUT a whole file; gives the ETag of the store, if it told one.

    A try whose answer was lost may have arrived. Then the next one finds the key taken, which is success; the ETag
    stays unknown.

    Raises:
        Refused: also with 403, as there is no fresh URL to ask for, and with 412 if the key was taken before.
        Unreachable, BadAnswer: the network failed too often in a row.
        FileChanged, DiskFailed: the file is not what it was or not what was signed, or cannot be read.
    """
    async with _sending(path, report, network, 1) as sending, sending.connected() as connection:
        part = Part(1, 0, sending.source.identity.size)
        tried = False

        async def attempt() -> str | None:
            nonlocal tried
            try:
                return await sending.send(connection, part, request)
            except TransferFailed as failure:
                if tried and isinstance(failure, Refused) and failure.status == 412:
                    sending.gauge.put(part.size)
                    return None
                tried = True
                raise

        return await until_done(attempt, Tries(network, renews=False), path, report)


async def send_parts(
    path: Path,
    parts: Sequence[Part],
    fresh_requests: FreshRequests,
    *,
    connections: int = 4,
    report: Report,
    network: Network = USUAL,
) -> list[SentPart]:
    """PUT these parts of a file, several at once; gives what the store has now, by number.

    ``fresh_requests`` is asked for a few parts at a time, and again when their URLs have expired. Parts that the store
    holds already are not passed in.

    Raises:
        Refused, Unreachable, BadAnswer: one part failed too often in a row; parts sent so far stay in the store.
        FileChanged, DiskFailed: the file is not what it was or not what was signed, or cannot be read.
    """
    waiting = deque(parts)
    requests = _Requests(fresh_requests, waiting)
    sent: list[SentPart] = []

    async def work(sending: _Sending) -> None:
        async with sending.connected() as connection:
            while waiting:
                part = waiting.popleft()
                sent.append(await _until_sent(sending, connection, part, requests))

    async with _sending(path, report, network, connections) as sending:
        await together(*(work(sending) for _ in range(min(connections, len(parts)))))
    return sorted(sent)


async def _until_sent(sending: "_Sending", connection: Connection, part: Part, requests: "_Requests") -> SentPart:
    async def attempt() -> SentPart:
        request = await requests.of(part.number)
        try:
            etag = await sending.send(connection, part, request)
        except Refused as failure:
            if expired(failure):
                requests.expire(part.number, request)
            raise
        if etag is None:
            raise BadAnswer(f"The store took part {part.number} without naming an ETag.")
        return SentPart(part.number, etag)

    return await until_done(attempt, Tries(sending.network, renews=True), sending.source.path, sending.report)


class _Requests:
    """The signed requests at hand. ``waiting``: the parts that nobody has started, which are asked for in advance."""

    def __init__(self, fresh: FreshRequests, waiting: deque[Part]) -> None:
        self._fresh = fresh
        self._waiting = waiting
        self._held: dict[int, Request] = {}
        self._asking = asyncio.Lock()

    async def of(self, number: int) -> Request:
        async with self._asking:
            if number not in self._held:
                ahead = (part.number for part in self._waiting if part.number not in self._held)
                self._held.update(await self._fresh([number, *islice(ahead, _URLS_AT_ONCE - 1)]))
            if number not in self._held:
                raise BadAnswer(f"The registry gave no URL for part {number}.")
            return self._held[number]

    def expire(self, number: int, request: Request) -> None:
        """Forget a URL that was refused, and with it all that are as old."""
        if self._held.get(number) is request:
            self._held.clear()


class _Sending:
    """One upload: its open file, its threads and what it has counted."""

    def __init__(self, source: Source, crew: Crew, report: Report, network: Network) -> None:
        self.source = source
        self.report = report
        self.network = network
        self.gauge = Gauge(lambda done: Sent(source.path, done, source.identity.size))
        self._crew = crew

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        connection = Connection(self.network)
        try:
            yield connection
        finally:
            connection.close()

    async def send(self, connection: Connection, part: Part, request: Request) -> str | None:
        """Try once to send one part."""
        moved = Gauge(self.gauge.event)

        def move(count: int) -> None:
            moved.move(count)
            self.gauge.move(count)

        def work() -> str | None:
            _check_length(self.source, part, request)
            try:
                return connection.put(request, self.source, part, move)
            finally:
                self.source.check()  # that the file changed explains any other failure

        try:
            return await self._crew.run(work, connection.stop)
        except TransferFailed:
            self.gauge.move(-moved.done)
            raise


def _check_length(source: Source, part: Part, request: Request) -> None:
    """A body of another length than was signed would leave the store waiting for the rest."""
    signed = {name.lower(): value for name, value in request.headers.items()}.get("content-length", str(part.size))
    if signed != str(part.size) or part.offset + part.size > source.identity.size:
        raise FileChanged(source.path)


@asynccontextmanager
async def _sending(path: Path, report: Report, network: Network, connections: int) -> AsyncIterator[_Sending]:
    async with Crew(connections) as crew:
        with await crew.run(lambda: Source(path)) as source:
            sending = _Sending(source, crew, report, network)
            async with reporting(report, sending.gauge):
                yield sending
