"""GET and HEAD of a stored file: whole or one range, at the speed of the page cache."""

import asyncio
import io
import os
from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import suppress

from starlette.types import Receive, Scope, Send

from modelyard.server.storage.disposition import content_disposition
from modelyard.server.storage.local import LocalStore
from modelyard.server.storage.local_answers import headers_of, start_message
from modelyard.server.storage.ranges import Extent, Unsatisfiable, extent, names_etag
from modelyard.wire import problems

_PIECE = 1 << 20
_READ_AHEAD = 8 << 20
# A client that takes less than 1 MiB in five minutes is not downloading.
_STALLED_SECONDS = 300.0


class FileShrank(Exception):
    """The file ended before the length that was promised; the connection breaks, so that nobody takes it for whole."""


class Sender:
    """Serves the files of one store, with the threads that read what is not in memory."""

    def __init__(self, store: LocalStore, threads: Executor) -> None:
        self._store = store
        self._threads = threads

    async def send(self, key: str, signed: Mapping[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a GET or HEAD.

        Raises:
            NoSuchKey, VersionStale, RangeNotSatisfiable: before anything was sent.
            FileShrank: the connection must be closed.
        """
        loop = asyncio.get_running_loop()
        file, size = await loop.run_in_executor(self._threads, _open, self._store, key)
        try:
            etag = f'"{signed["sha256"]}"'
            headers = headers_of(scope)
            if "if-match" in headers and not names_etag(headers["if-match"], etag):
                raise problems.VersionStale("The bytes have another ETag.", etag=etag)
            common = _headers(etag, signed["name"])
            if "if-none-match" in headers and names_etag(headers["if-none-match"], etag):
                await send(start_message(304, common))
                await send({"type": "http.response.body"})
                return
            await self._send_extent(file.fileno(), size, common, scope, receive, send)
        finally:
            await loop.run_in_executor(self._threads, file.close)

    async def _send_extent(
        self, descriptor: int, size: int, common: Mapping[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            wanted = extent(headers_of(scope) if scope["method"] == "GET" else {}, size, common["ETag"])
        except Unsatisfiable:
            raise problems.RangeNotSatisfiable("The range lies outside the file.", size=size) from None
        headers = {**common, "Content-Length": str(wanted.length)}
        if wanted.is_partial:
            headers["Content-Range"] = wanted.content_range(size)
        await send(start_message(206 if wanted.is_partial else 200, headers))
        if scope["method"] == "HEAD" or wanted.length == 0:
            await send({"type": "http.response.body"})
            return
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await self._send_bytes(descriptor, wanted, gone, send)
        finally:
            gone.cancel()

    async def _send_bytes(self, descriptor: int, wanted: Extent, gone: "asyncio.Future[None]", send: Send) -> None:
        loop = asyncio.get_running_loop()
        position, end = wanted.start, wanted.start + wanted.length
        async with asyncio.timeout(None) as stalled:
            # Servers drop what is sent to a client that left, without a word; so we look ourselves.
            while position < end and not gone.done():
                length = min(_PIECE, end - position)
                piece: bytes | memoryview | None = _cached(descriptor, position, length)
                if piece is None:
                    piece = await loop.run_in_executor(self._threads, _from_disk, descriptor, position, length)
                if not piece:
                    raise FileShrank("A stored file is shorter than it was.")
                position += len(piece)
                stalled.reschedule(loop.time() + _STALLED_SECONDS)
                await send({"type": "http.response.body", "body": piece, "more_body": position < end})


async def _disconnected(receive: Receive) -> None:
    with suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass


def _open(store: LocalStore, key: str) -> tuple[io.FileIO, int]:
    file = store.open_object(key)
    return file, os.fstat(file.fileno()).st_size


def _cached(descriptor: int, position: int, length: int) -> memoryview | None:
    """Bytes that are in memory already, without waiting for any disk; None if there are none, or nobody can tell."""
    buffer = bytearray(length)
    try:
        count = os.preadv(descriptor, [buffer], position, os.RWF_NOWAIT)
    except OSError:
        return None
    return memoryview(buffer)[:count]


def _from_disk(descriptor: int, position: int, length: int) -> bytes:
    """Bytes from the disk, which is told to bring the next ones meanwhile."""
    os.posix_fadvise(descriptor, position, _READ_AHEAD, os.POSIX_FADV_WILLNEED)
    return os.pread(descriptor, length, position)


def _headers(etag: str, file_name: str) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": content_disposition(file_name),
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=31536000, immutable",
        "ETag": etag,
    }
