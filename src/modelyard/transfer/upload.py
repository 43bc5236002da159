"""Uploads of a file to presigned URLs: in one request, or in parallel parts.

Hashing is separate: if ``compute_sha256`` runs during an upload, the page cache serves both and the disk is read once.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from modelyard.transfer.errors import BadResponse, FileChanged, Refused, TransferFailed
from modelyard.transfer.http.connection import Connection, Request
from modelyard.transfer.http.shared_connections import open_connection
from modelyard.transfer.options import DEFAULT_OPTIONS, TransferOptions
from modelyard.transfer.part_plan import Part
from modelyard.transfer.progress import ByteCounter, OnProgress, Sent, report_progress
from modelyard.transfer.retry import RetryDeadline, RetryPolicy, get_store_address, is_url_expired, retry_until_done
from modelyard.transfer.source_file import SourceFile
from modelyard.transfer.thread_pool import ThreadPool, run_concurrently

# Enough to keep the connections busy, few enough that each URL is used long before it expires.
_URLS_PER_REQUEST = 32


class SentPart(NamedTuple):
    """An uploaded part with the ETag that the store returned, quotes included."""

    number: int
    etag: str


# Returns the presigned requests of these parts, by part number.
GetRequests = Callable[[Sequence[int]], Awaitable[Mapping[int, Request]]]


async def upload_whole(
    path: Path, request: Request, on_progress: OnProgress, *, options: TransferOptions = DEFAULT_OPTIONS
) -> str | None:
    """Upload a whole file in one PUT request and return the store's ETag, or None if it is unknown.

    An attempt whose response was lost may have succeeded. The next attempt then gets 412 (key exists), which counts as
    success; the ETag is unknown in that case.

    Raises:
        Refused: also with 403, since no new URL can be requested, and with 412 in the first attempt.
        BadAddress: the URL is unusable.
        RetriesExhausted: no data was sent for ``options.no_progress_timeout_seconds``.
        FileChanged: the file changed meanwhile, or its size differs from the signed one.
        DiskFailed: the file cannot be read.
    """
    async with _open_upload(path, on_progress, options, 1) as upload:
        part = Part(1, 0, upload.source.identity.size)
        is_retry = False

        async def attempt() -> str | None:
            """Send the file once; 412 in any attempt but the first counts as success."""
            nonlocal is_retry
            try:
                return await upload.send(connection, part, request)
            except TransferFailed as failure:
                if is_retry and isinstance(failure, Refused) and failure.status == 412:
                    upload.counter.set_done(part.size)
                    return None
                is_retry = True
                raise

        with open_connection(options) as connection:
            return await retry_until_done(attempt, RetryPolicy(upload.deadline, can_renew_url=False))


async def upload_parts(
    path: Path,
    parts: Sequence[Part],
    get_requests: GetRequests,
    *,
    connections: int = 4,
    on_progress: OnProgress,
    options: TransferOptions = DEFAULT_OPTIONS,
) -> list[SentPart]:
    """Upload the given parts of a file, several at once, and return them sorted by number.

    ``get_requests`` is called for up to 32 parts at a time, and again when their URLs have expired. What it raises,
    other than temporary ``TransferFailed``, is re-raised. The caller leaves out parts that the store already has.

    Raises:
        Refused: the store or ``get_requests`` refused with a status that retries cannot change; uploaded parts stay.
        RetriesExhausted: no part made progress for ``options.no_progress_timeout_seconds``. One failing part
            waits while others progress.
        FileChanged: the file changed meanwhile, or its size differs from the signed one.
        DiskFailed: the file cannot be read.
    """
    waiting = deque(parts)
    requests = _PresignedRequests(get_requests, waiting)
    sent: list[SentPart] = []

    async def work(upload: _Upload) -> None:
        """Send waiting parts over one connection until none is left."""
        with open_connection(options) as connection:
            while waiting:
                part = waiting.popleft()
                sent.append(await _send_with_retries(upload, connection, part, requests))

    async with _open_upload(path, on_progress, options, connections) as upload:
        await run_concurrently(*(work(upload) for _ in range(min(connections, len(parts)))))
    return sorted(sent)


async def _send_with_retries(
    upload: "_Upload", connection: Connection, part: Part, requests: "_PresignedRequests"
) -> SentPart:
    """Send one part until it succeeds; its URL is renewed after it has expired, at most twice."""

    async def attempt() -> SentPart:
        """Send the part once; raises BadResponse if the store returns no ETag."""
        request = await requests.get(part.number)
        try:
            etag = await upload.send(connection, part, request)
        except Refused as failure:
            if is_url_expired(failure):
                requests.expire(part.number, request)
            raise
        if etag is None:
            upload.counter.add(-part.size)
            raise BadResponse(f"The store accepted part {part.number} without returning an ETag.")
        return SentPart(part.number, etag)

    return await retry_until_done(attempt, RetryPolicy(upload.deadline, can_renew_url=True))


class _PresignedRequests:
    """A cache of presigned requests. Requests for parts in ``waiting`` (not started) are obtained in advance."""

    def __init__(self, get_requests: GetRequests, waiting: deque[Part]) -> None:
        self._get_requests = get_requests
        self._waiting = waiting
        self._cached: dict[int, Request] = {}
        self._lock = asyncio.Lock()

    async def get(self, number: int) -> Request:
        """Return the request for a part; if not cached, it is obtained with those of up to 31 waiting parts."""
        async with self._lock:
            if number not in self._cached:
                ahead = (part.number for part in self._waiting if part.number not in self._cached)
                self._cached.update(await self._get_requests([number, *islice(ahead, _URLS_PER_REQUEST - 1)]))
            if number not in self._cached:
                raise BadResponse(f"The registry returned no URL for part {number}.")
            return self._cached[number]

    def expire(self, number: int, request: Request) -> None:
        """Discard all cached requests after ``request`` was refused as expired, unless it has been replaced already."""
        if self._cached.get(number) is request:
            self._cached.clear()


class _Upload:
    """An upload in progress: its open file, threads, byte counter and retry deadline."""

    def __init__(self, source: SourceFile, pool: ThreadPool, on_progress: OnProgress, options: TransferOptions) -> None:
        self.source = source
        self.counter = ByteCounter(lambda done: Sent(source.path, done, source.identity.size))
        self.deadline = RetryDeadline(options, self.counter, source.path, on_progress)
        self._pool = pool

    async def send(self, connection: Connection, part: Part, request: Request) -> str | None:
        """Send one part in a single attempt and return its ETag, None if the response has none.

        If it fails, its bytes are subtracted from ``counter`` and the failure's ``store`` is set.
        """
        attempt_counter = ByteCounter(self.counter.event)

        def count_sent(count: int) -> None:
            """Count bytes of this attempt and of the whole upload."""
            attempt_counter.add(count)
            self.counter.add(count)

        def work() -> str | None:
            """Send the part, in a thread of the pool; raises FileChanged rather than any other failure."""
            _check_length(self.source, part, request)
            try:
                return connection.put_part(request, self.source, part, count_sent)
            finally:
                self.source.ensure_unchanged()

        try:
            return await self._pool.run(work, connection.stop)
        except TransferFailed as failure:
            self.counter.add(-attempt_counter.done)
            failure.store = get_store_address(request.url)
            raise


def _check_length(source: SourceFile, part: Part, request: Request) -> None:
    """Raise ``FileChanged`` if the part has another length than the signed one, or ends beyond the file.

    The store would wait for the rest.
    """
    signed = {name.lower(): value for name, value in request.headers.items()}.get("content-length", str(part.size))
    if signed != str(part.size) or part.offset + part.size > source.identity.size:
        raise FileChanged(source.path)


@asynccontextmanager
async def _open_upload(
    path: Path, on_progress: OnProgress, options: TransferOptions, connections: int
) -> AsyncIterator[_Upload]:
    """Open a file for upload with a thread for each connection, and report its progress while the block runs."""
    async with ThreadPool(connections) as pool:
        with await pool.run(lambda: SourceFile(path, options.source_identity)) as source:
            upload = _Upload(source, pool, on_progress, options)
            async with report_progress(on_progress, upload.counter):
                yield upload
