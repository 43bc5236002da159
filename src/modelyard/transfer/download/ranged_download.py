"""The download of one object into a partial file, with parallel range requests and concurrent hashing."""

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

from modelyard.transfer.byte_ranges import ByteRange
from modelyard.transfer.download.partial_file import PartialFile, Watermark
from modelyard.transfer.errors import BadResponse, TransferFailed, Unreachable
from modelyard.transfer.http.connection import Connection
from modelyard.transfer.http.responses import ObjectChanged, check_range, check_whole, get_strong_etag
from modelyard.transfer.http.shared_connections import open_connection
from modelyard.transfer.limited_transfer import Slot
from modelyard.transfer.options import MAX_CHUNK_SIZE, TransferOptions
from modelyard.transfer.progress import ByteCounter, OnProgress, Received, Verified, report_progress
from modelyard.transfer.retry import RetryDeadline, RetryPolicy, get_store_address, is_url_expired, retry_until_done
from modelyard.transfer.thread_pool import ThreadPool, run_concurrently

# Returns a presigned URL of the object; called again when that has expired.
GetUrl = Callable[[], Awaitable[str]]

# Early at first, so that a process that is killed repeatedly still makes progress; then rarely, to spare the disk.
_FIRST_CHECKPOINT_SECONDS = 0.25
_CHECKPOINT_SECONDS = 1.0


@dataclass
class RangedDownload:
    """A download in progress, created in the event loop. ``path`` is the path in its progress events.

    ``pool`` has two threads more than there are connections, for hashing and checkpoints.
    """

    source: GetUrl
    size: int
    path: Path
    file: PartialFile
    pool: ThreadPool
    on_progress: OnProgress
    options: TransferOptions

    def __post_init__(self) -> None:
        self._url_source = _PresignedUrl(self.source)
        self._received = ByteCounter(lambda done: Received(self.path, done, self.size), self.file.received_bytes)
        self._deadline = RetryDeadline(self.options, self._received, self.path, self.on_progress)
        self._verified = ByteCounter(lambda done: Verified(self.path, done, self.size))
        self._loop = asyncio.get_running_loop()
        self._open = asyncio.Event()
        self._complete = asyncio.Event()

    async def download_and_hash(self, connections: int) -> str:
        """Download the missing ranges and return the SHA-256 of the whole file in lower-case hex.

        Meanwhile checkpoints are written, and progress is reported. Failures that a retry may change are retried.

        Raises:
            Refused: the source refused with a status that retries cannot change.
            RetriesExhausted: no byte arrived for ``options.no_progress_timeout_seconds``.
            BadAddress: a URL is unusable.
            DiskFull: the disk is full.
            DiskFailed: the partial file cannot be written.
        """
        digests: list[str] = []

        async def receive() -> None:
            """Receive all bytes, then end the checkpoints."""
            await self._receive(connections)
            self._complete.set()

        async def verify() -> None:
            """Hash the file from the beginning while it is received."""
            digests.append(await self.pool.run(self._hash_received, self.file.stop_waiting))

        async with report_progress(self.on_progress, self._received, self._verified):
            await run_concurrently(receive(), verify(), self._keep_checkpoints())
        return digests[0]

    def _hash_received(self) -> str:
        """Hash the received prefix while it grows, from the page cache; start again if the contents are discarded.

        Returns early with an unusable digest after ``stop_waiting``.
        """
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(MAX_CHUNK_SIZE))
        position, seen = 0, Watermark(-1, 0)
        while position < self.size:
            # Wait for whole chunks: waking up for a few bytes costs more than hashing them.
            now = self.file.wait_for_bytes(seen, min(position + MAX_CHUNK_SIZE, self.size))
            if now == seen:
                break  # stopped
            if now.generation != seen.generation:
                digest, position = hashlib.sha256(), 0
            while position < now.end and (count := self.file.read(buffer[: now.end - position], position)):
                digest.update(buffer[:count])
                position += count
                self._verified.set_done(position)
            seen = now
        return digest.hexdigest()

    async def _keep_checkpoints(self) -> None:
        """Save checkpoints until all is received: after 0.25 and 0.5 seconds, then every second, and at the end.

        None if all is received before the first one would be saved.
        """
        pause = _FIRST_CHECKPOINT_SECONDS
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._complete.wait(), pause)
            return
        await self.pool.run(self.file.save_checkpoint)
        while not self._complete.is_set():
            pause = min(2 * pause, _CHECKPOINT_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._complete.wait(), pause)
            await self.pool.run(self.file.save_checkpoint)

    async def _receive(self, connections: int) -> None:
        """Receive all bytes, in ranges if the source serves them, else as one stream.

        If it serves no ranges or another object than before, the received bytes are discarded. After a failure of the
        stream, ranges are tried again first.
        """
        retries, max_received = RetryPolicy(self._deadline, can_renew_url=True), self.file.received_bytes
        while True:
            try:
                return await self._receive_ranges(connections)
            except ObjectChanged:
                await self._discard_contents()
            try:
                return await self._receive_whole()
            except TransferFailed as failure:
                if self.file.received_bytes > max_received:
                    max_received = self.file.received_bytes
                    retries.reset()
                wait = retries.wait_after(failure)
            await asyncio.sleep(wait)

    async def _discard_contents(self) -> None:
        """Discard the received bytes, on disk and in the progress count."""
        await self.pool.run(self.file.discard_contents)
        self._received.set_done(0)

    async def _receive_ranges(self, connections: int) -> None:
        """Receive the missing bytes in ranges over several connections; the others wait for the first response.

        Raises:
            ObjectChanged: the source serves no ranges, or another object than before.
        """
        step = max(1, self.size) if connections == 1 else self.options.range_size
        gaps = self.file.find_missing(0, self.size)
        ranges = deque((at, min(at + step, end)) for start, end in gaps for at in range(start, end, step))

        async def work(*, is_first: bool) -> None:
            """Receive ranges over one connection until none is left."""
            if not is_first:
                # The first response shows whether the source serves ranges, and of which object.
                await self._open.wait()
            with open_connection(self.options) as connection:
                while ranges:
                    await self._receive_range(connection, ranges.popleft())

        await run_concurrently(*(work(is_first=number == 0) for number in range(min(connections, len(ranges)))))

    async def _receive_range(self, connection: Connection, requested: ByteRange) -> None:
        """Receive one range, with retries for its missing bytes; progress resets the backoff and the URL renewals."""
        retries = RetryPolicy(self._deadline, can_renew_url=True)

        async def attempt() -> None:
            """Request what is missing of the range until it is complete."""
            missing = self.file.find_missing(*requested)
            try:
                # A preempted slot ends a request in the middle of a range; the rest is requested in the next slot.
                while gaps := self.file.find_missing(*requested):
                    await self._run_request(connection, partial(self._read_range, connection, gaps[0]))
            except TransferFailed:
                if self.file.find_missing(*requested) != missing:
                    retries.reset()
                raise

        await retry_until_done(attempt, retries)

    async def _receive_whole(self) -> None:
        """Receive the whole object from its first byte with one request, without retries."""
        with open_connection(self.options) as connection:
            await self._run_request(connection, partial(self._read_whole, connection))

    async def _run_request(self, connection: Connection, read: Callable[[str, Slot | None], None]) -> None:
        """Wait for a slot, then call ``read`` with a URL and the slot in a thread.

        A failure gets its ``store`` and is re-raised; a URL that was refused as expired is discarded.
        """
        async with self._acquire_slot(connection) as slot:
            url = await self._url_source.get()
            if slot is not None:
                slot.is_reading = True
            try:
                await self.pool.run(partial(read, url, slot), connection.stop)
            except TransferFailed as failure:
                failure.store = get_store_address(url)
                if is_url_expired(failure):
                    self._url_source.expire(url)
                raise

    @asynccontextmanager
    async def _acquire_slot(self, connection: Connection) -> AsyncIterator[Slot | None]:
        """Hold a slot of the shared limiter while the block runs; yields None if there is no limiter.

        If others wait for a slot, ``connection`` is closed after the block; its next request opens it again.
        """
        transfer = self.options.limited_transfer
        if transfer is None:
            yield None
            return
        transfer.remaining = transfer.following + self.size - self._received.done
        async with transfer.acquire_slot() as slot:
            try:
                yield slot
            except TransferFailed as failure:
                if not is_url_expired(failure):
                    transfer.note_failure()
                raise
            if transfer.limiter.has_next:
                # The next transfer opens its own, and there must never be more connections than slots.
                connection.close()

    def _read_range(self, connection: Connection, requested: ByteRange, url: str, slot: Slot | None) -> None:
        """Request a range and write it to the partial file, or only its beginning if ``slot`` is preempted; blocking.

        Raises:
            ObjectChanged: the server serves no ranges or another object.
        """
        headers = {"Range": f"bytes={requested[0]}-{requested[1] - 1}", "Accept-Encoding": "identity"}
        if (etag := get_strong_etag(self.file.etag)) is not None:
            headers["If-Range"] = etag
        with connection.get(url, headers) as response:
            check_range(response, requested, self.size)
            if not self.file.matches_or_records_etag(response.getheader("ETag")):
                raise ObjectChanged
            self._loop.call_soon_threadsafe(self._open.set)
            self._copy(connection, response, requested, slot)

    def _read_whole(self, connection: Connection, url: str, slot: Slot | None) -> None:
        """Request the whole object and write it to the partial file, also if the slot is preempted. Blocking."""
        if slot is not None:
            slot.can_pause = False
        with connection.get(url, {"Accept-Encoding": "identity"}) as response:
            check_whole(response, self.size)
            self.file.matches_or_records_etag(response.getheader("ETag"))
            self._copy(connection, response, (0, self.size), slot)

    def _copy(self, connection: Connection, response: HTTPResponse, span: ByteRange, slot: Slot | None) -> None:
        """Write the body to the partial file; return early, with the body unread, if ``slot`` is preempted.

        Raises:
            Unreachable: the body ends before ``span`` does.
            BadResponse: the body is longer than ``span``.
        """
        offset, end = span
        buffer = memoryview(bytearray(min(MAX_CHUNK_SIZE, end - offset)))
        while offset < end:
            if slot is not None:
                slot.is_reading = True
            count = connection.read(response, buffer[: end - offset], None if slot is None else slot.add_received)
            if count == 0:
                raise Unreachable(f"The connection was closed {end - offset} bytes early.")
            self.file.write(buffer[:count], offset)
            offset += count
            self._received.set_done(self.file.received_bytes)
            if slot is not None and slot.is_preempted and slot.can_pause and offset < end:
                return
        # A body without a declared length may continue; one with a length has ended.
        if connection.read(response, memoryview(bytearray(1))):
            raise BadResponse("The server sent more bytes than the file should have.")


class _PresignedUrl:
    """The presigned URL in use, renewed after it has expired."""

    def __init__(self, request_url: GetUrl) -> None:
        self._request_url = request_url
        self._url: str | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> str:
        """Return the URL in use; if there is none, request and keep one, shared by concurrent callers."""
        async with self._lock:
            if self._url is None:
                self._url = await self._request_url()
            return self._url

    def expire(self, url: str) -> None:
        """Discard ``url``, so that the next ``get`` requests another, unless it has been replaced already."""
        if self._url == url:
            self._url = None
