"""PUT of a whole file or a part: streams the body to disk with at most a few MiB in memory."""

import asyncio
import base64
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from starlette.types import Receive

from modelyard.server.storage.local.signing import CHECKSUM_HEADER
from modelyard.server.storage.url_server import BodyWriter, UrlServer
from modelyard.wire import problems

IDLE_SECONDS = 60.0
_PIECE = 1 << 20
_MAX_CHUNKS = 512


class ClientGone(Exception):
    """The client closed the connection before its last byte, so that no response can be sent."""


def check_upload_headers(signed: Mapping[str, str], headers: Mapping[str, str]) -> None:
    """Check that the request headers are the signed ones; call it before the body is read.

    The names in ``headers`` are in lower case. An unsigned checksum may not be sent.

    Raises:
        LengthRequired, LengthWrong, SignatureRefused
    """
    length = headers.get("content-length")
    if length is None:
        raise problems.LengthRequired("Send Content-Length: this URL is for a body of a known length.")
    if length != signed["size"]:
        raise problems.LengthWrong(
            "Content-Length differs from the signed length.", expected=signed["size"], found=length
        )
    if "part" not in signed and headers.get("if-none-match", "").strip() != "*":
        raise problems.SignatureRefused('Send the signed header "If-None-Match: *".')
    expected = base64.b64encode(bytes.fromhex(signed.get("sha256", ""))).decode("ascii")
    if headers.get(CHECKSUM_HEADER, "") != expected:
        raise problems.SignatureRefused(f'The header "{CHECKSUM_HEADER}" differs from the signed value.')


class Receiver:
    """Receives request bodies for one store, with a thread pool for the file operations."""

    def __init__(self, store: UrlServer, threads: ThreadPoolExecutor, idle_seconds: float = IDLE_SECONDS) -> None:
        self._store = store
        self._threads = threads
        self._idle_seconds = idle_seconds

    async def receive(self, key: str, signed: Mapping[str, str], receive: Receive) -> str:
        """Write the request body to the store durably and return its etag without quotes.

        On any failure the bytes are discarded. A part that is sent again is no longer listed meanwhile, nor after a
        failure.

        Raises:
            ClientGone
            UploadStalled: no byte arrived for ``idle_seconds``, also because the body is shorter than signed.
            LengthWrong: the body is longer than signed.
            StoreError: see ``local.object_writer.ObjectWriter``.
        """
        size = int(signed["size"])
        writer = await self._open_writer_in_thread(key, signed)
        try:
            await self._copy(receive, writer, size)
            return await asyncio.wrap_future(self._threads.submit(writer.commit))
        except asyncio.CancelledError:
            self._threads.submit(writer.discard)
            raise
        except BaseException:
            await asyncio.wrap_future(self._threads.submit(writer.discard))
            raise

    async def _open_writer_in_thread(self, key: str, signed: Mapping[str, str]) -> BodyWriter:
        """Open the writer in a thread; if this is cancelled, the writer is discarded once it is open."""
        opening: Future[BodyWriter] = self._threads.submit(self._open_writer, key, signed)
        try:
            return await asyncio.shield(asyncio.wrap_future(opening))
        except asyncio.CancelledError:
            opening.add_done_callback(_discard_result)
            raise

    def _open_writer(self, key: str, signed: Mapping[str, str]) -> BodyWriter:
        """Open the writer of a part or of a whole file, as the URL says. Blocks."""
        if "part" in signed:
            return self._store.open_part_writer(key, signed["upload"], int(signed["part"]))
        return self._store.open_whole_writer(key, int(signed["size"]), signed.get("sha256"))

    async def _copy(self, receive: Receive, writer: BodyWriter, size: int) -> None:
        """Copy the body to the writer; one piece is written while the next one is received.

        Raises:
            ClientGone, UploadStalled, LengthWrong, StoreError: see ``receive``.
        """
        loop = asyncio.get_running_loop()
        running: Future[None] | None = None
        received = 0
        try:
            async with asyncio.timeout(None) as idle:
                while received < size:
                    idle.reschedule(loop.time() + self._idle_seconds)
                    chunks, length = await _next_piece(receive, idle, loop, self._idle_seconds)
                    idle.reschedule(None)
                    received += length
                    if received > size:
                        raise problems.LengthWrong("The body is longer than the signed length.", expected=size)
                    if running is not None:
                        await asyncio.wrap_future(running)
                    running = self._threads.submit(writer.write, chunks)
        except TimeoutError:
            raise problems.UploadStalled("No bytes arrived for a minute. Send the part again.") from None
        if running is not None:
            await asyncio.wrap_future(running)


async def _next_piece(
    receive: Receive, idle: asyncio.Timeout, loop: asyncio.AbstractEventLoop, idle_seconds: float
) -> tuple[list[bytes], int]:
    """Receive about 1 MiB, 512 chunks or the rest of the body; return the chunks and their length in bytes.

    Each chunk moves the deadline of ``idle`` to ``idle_seconds`` from now.

    Raises:
        ClientGone
    """
    chunks: list[bytes] = []
    length = 0
    while length < _PIECE and len(chunks) < _MAX_CHUNKS:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if body := message.get("body"):
            chunks.append(body)
            length += len(body)
            idle.reschedule(loop.time() + idle_seconds)
        if not message.get("more_body"):
            break
    return chunks, length


def _discard_result(opening: "Future[BodyWriter]") -> None:
    """Discard the writer that was opened after its request had been cancelled."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().discard()
