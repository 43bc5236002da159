"""PUT of a whole file or of a part: bytes from the socket to the disk, at most a few MiB in memory."""

import asyncio
import base64
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from starlette.types import Receive

from modelyard.server.storage.local import CHECKSUM_HEADER, LocalStore
from modelyard.server.storage.writing import Writing
from modelyard.wire import problems

IDLE_SECONDS = 60.0
_PIECE = 1 << 20
_MOST_CHUNKS = 512


class ClientGone(Exception):
    """The client closed the connection before its last byte; there is nobody to answer."""


def check_upload(signed: Mapping[str, str], headers: Mapping[str, str]) -> None:
    """Whether the headers are those that were signed; nothing of the body is read before.

    Raises:
        LengthRequired, LengthWrong, SignatureRefused
    """
    length = headers.get("content-length")
    if length is None:
        raise problems.LengthRequired("Send Content-Length: this URL is for a body of a known length.")
    if length != signed["size"]:
        raise problems.LengthWrong("Content-Length is not the signed one.", expected=signed["size"], found=length)
    if "part" not in signed and headers.get("if-none-match", "").strip() != "*":
        raise problems.SignatureRefused('Send the signed header "If-None-Match: *".')
    expected = base64.b64encode(bytes.fromhex(signed.get("sha256", ""))).decode("ascii")
    if headers.get(CHECKSUM_HEADER, "") != expected:
        raise problems.SignatureRefused(f'The header "{CHECKSUM_HEADER}" is not as it was signed.')


class Receiver:
    """Receives bodies for one store, with the threads that do its file work."""

    def __init__(self, store: LocalStore, threads: ThreadPoolExecutor, idle_seconds: float = IDLE_SECONDS) -> None:
        self._store = store
        self._threads = threads
        self._idle_seconds = idle_seconds

    async def receive(self, key: str, signed: Mapping[str, str], receive: Receive) -> str:
        """Read the body, store it durably, and give its etag without quotes. On any failure nothing is left.

        Raises:
            ClientGone
            UploadStalled: no byte came for a minute.
            LengthWrong: the server handed on more or fewer bytes than the headers said.
            StoreError: see ``Writing``.
        """
        size = int(signed["size"])
        writing = await self._begin(key, signed)
        try:
            await self._copy(receive, writing, size)
            return await asyncio.wrap_future(self._threads.submit(writing.commit))
        except asyncio.CancelledError:
            self._threads.submit(writing.discard)
            raise
        except BaseException:
            await asyncio.wrap_future(self._threads.submit(writing.discard))
            raise

    async def _begin(self, key: str, signed: Mapping[str, str]) -> Writing:
        begun: Future[Writing] = self._threads.submit(self._open, key, signed)
        try:
            return await asyncio.shield(asyncio.wrap_future(begun))
        except asyncio.CancelledError:
            begun.add_done_callback(_discard_result)
            raise

    def _open(self, key: str, signed: Mapping[str, str]) -> Writing:
        if "part" in signed:
            return self._store.write_part(key, signed["upload"], int(signed["part"]))
        return self._store.write_whole(key, int(signed["size"]), signed.get("sha256"))

    async def _copy(self, receive: Receive, writing: Writing, size: int) -> None:
        """One piece is written while the next one comes in."""
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
                        raise problems.LengthWrong("The body is longer than signed.", expected=size)
                    if running is not None:
                        await asyncio.wrap_future(running)
                    running = self._threads.submit(writing.write, chunks)
        except TimeoutError:
            raise problems.UploadStalled("No bytes came for a minute; send the part again.") from None
        if running is not None:
            await asyncio.wrap_future(running)


async def _next_piece(
    receive: Receive, idle: asyncio.Timeout, loop: asyncio.AbstractEventLoop, idle_seconds: float
) -> tuple[list[bytes], int]:
    """About 1 MiB in the chunks in which it came, or the rest of the body."""
    chunks: list[bytes] = []
    length = 0
    while length < _PIECE and len(chunks) < _MOST_CHUNKS:
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


def _discard_result(begun: "Future[Writing]") -> None:
    if not begun.cancelled() and begun.exception() is None:
        begun.result().discard()
