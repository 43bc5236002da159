"""GET and HEAD of a stored file: the whole file or one range."""

import asyncio
import io
import os
from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import suppress

from starlette.types import Receive, Scope, Send

from modelyard.server.storage.blob_store import DownloadCheck, NoSuchKey, StoredObject
from modelyard.server.storage.disposition import build_content_disposition
from modelyard.server.storage.local.folder import get_file_version
from modelyard.server.storage.local.ranges import ByteRange, UnsatisfiableRange, matches_etag, resolve_range
from modelyard.server.storage.local.responses import build_start_message, get_headers
from modelyard.server.storage.url_server import UrlServer
from modelyard.wire import problems

_PIECE = 1 << 18
_READ_AHEAD = 8 << 20
# A client that takes less than a piece in five minutes counts as stalled.
_STALLED_SECONDS = 300.0


class FileShrank(Exception):
    """The file ended before its announced length; the connection must break, so that the client notices."""


class Sender:
    """Sends the files of one store, with a thread pool for reads that are not in the page cache."""

    def __init__(self, store: UrlServer, threads: Executor, check_download: DownloadCheck) -> None:
        self._store = store
        self._threads = threads
        self._check_download = check_download

    async def send(self, key: str, signed: Mapping[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a GET or HEAD, conditional or not; return early if the client disconnects.

        Raises:
            NoSuchKey, RangeNotSatisfiable: before anything was sent; also what ``check_download`` raises.
            RecordStale: ``If-Match`` names another ETag; before anything was sent.
            FileShrank, TimeoutError: the connection must be closed; see ``_send_bytes``.
        """
        loop = asyncio.get_running_loop()
        file, size = await loop.run_in_executor(self._threads, self._open, key)
        try:
            etag = f'"{signed["sha256"]}"'
            headers = get_headers(scope)
            if "if-match" in headers and not matches_etag(headers["if-match"], etag):
                raise problems.RecordStale("The object has another ETag.", etag=etag)
            common = _headers(etag, signed["name"])
            if "if-none-match" in headers and matches_etag(headers["if-none-match"], etag):
                await send(build_start_message(304, common))
                await send({"type": "http.response.body"})
                return
            await self._send_extent(file.fileno(), size, common, scope, receive, send)
        finally:
            await loop.run_in_executor(self._threads, file.close)

    def _open(self, key: str) -> tuple[io.FileIO, int]:
        """Open the file of a key for the caller to close, and return it with its size. Blocks.

        Raises:
            NoSuchKey
            Problem: what ``check_download`` raises, also for a missing object.
        """
        try:
            file = self._store.open_object(key)
        except NoSuchKey:
            self._check_download(key, None)
            raise
        try:
            status = os.fstat(file.fileno())
            self._check_download(key, StoredObject(status.st_size, None, get_file_version(status)))
        except BaseException:
            file.close()
            raise
        return file, status.st_size

    async def _send_extent(
        self, descriptor: int, size: int, common: Mapping[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send the headers and the requested range, or the whole file; no body for HEAD.

        Raises:
            RangeNotSatisfiable: before anything was sent.
            FileShrank, TimeoutError: see ``_send_bytes``.
        """
        try:
            byte_range = resolve_range(get_headers(scope) if scope["method"] == "GET" else {}, size, common["ETag"])
        except UnsatisfiableRange:
            raise problems.RangeNotSatisfiable("The range is outside the file.", size=size) from None
        headers = {**common, "Content-Length": str(byte_range.length)}
        if byte_range.is_partial:
            headers["Content-Range"] = byte_range.content_range(size)
        await send(build_start_message(206 if byte_range.is_partial else 200, headers))
        if scope["method"] == "HEAD" or byte_range.length == 0:
            await send({"type": "http.response.body"})
            return
        disconnected = asyncio.ensure_future(_wait_for_disconnect(receive))
        try:
            await self._send_bytes(descriptor, byte_range, disconnected, send)
        finally:
            disconnected.cancel()

    async def _send_bytes(
        self, descriptor: int, byte_range: ByteRange, disconnected: "asyncio.Future[None]", send: Send
    ) -> None:
        """Send the bytes of a range, and stop when the client disconnects.

        Raises:
            TimeoutError: the client took no more bytes for five minutes.
            FileShrank: the file ended before the range.
        """
        loop = asyncio.get_running_loop()
        position, end = byte_range.start, byte_range.start + byte_range.length
        async with asyncio.timeout(None) as stalled:
            # The server silently drops what is sent to a disconnected client, so the connection is checked here.
            while position < end and not disconnected.done():
                length = min(_PIECE, end - position)
                piece: bytes | memoryview | None = _read_cached(descriptor, position, length)
                if piece is None:
                    piece = await loop.run_in_executor(self._threads, _read_disk, descriptor, position, length)
                if not piece:
                    raise FileShrank("A stored file is shorter than it was.")
                position += len(piece)
                stalled.reschedule(loop.time() + _STALLED_SECONDS)
                await send({"type": "http.response.body", "body": piece, "more_body": position < end})
                # Sending may not wait; without a turn for others, not even the end of the connection would be noticed.
                await asyncio.sleep(0)


async def _wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has disconnected, or when this is cancelled."""
    with suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass


def _read_cached(descriptor: int, position: int, length: int) -> memoryview | None:
    """Return up to ``length`` bytes from the page cache without blocking; None if they are not known to be cached."""
    buffer = bytearray(length)
    try:
        count = os.preadv(descriptor, [buffer], position, os.RWF_NOWAIT)
    except OSError:
        return None
    return memoryview(buffer)[:count]


def _read_disk(descriptor: int, position: int, length: int) -> bytes:
    """Return up to ``length`` bytes from the disk, none at the end of the file, and ask the kernel to read ahead."""
    os.posix_fadvise(descriptor, position, _READ_AHEAD, os.POSIX_FADV_WILLNEED)
    return os.pread(descriptor, length, position)


def _headers(etag: str, file_name: str) -> dict[str, str]:
    """Build the headers of a download; files are immutable, so they may be cached for a year."""
    return {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": build_content_disposition(file_name),
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=31536000, immutable",
        "ETag": etag,
    }
