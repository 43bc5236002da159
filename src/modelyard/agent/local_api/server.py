"""The socket of the local API and its connections."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path

from modelyard.agent.local_api.http import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    LocalProblem,
    LocalResponse,
    RequestHead,
    build_problem_response,
    read_body,
    read_head,
    write_response,
)
from modelyard.agent.local_api.routes import Route, Router
from modelyard.client.atomic_file import ensure_private_folder
from modelyard.transfer.portable.local_sockets import is_other_user, open_private_socket, remove_private_socket

log = logging.getLogger("modelyard.agent")

MAX_CONNECTIONS = 32
# Requests with a body above MAX_BODY_BYTES that are read and answered at once: each takes several times its size.
MAX_LARGE_REQUESTS = 2
_HEAD_SECONDS = 10.0
_SLOT_SECONDS = 20.0
_BODY_SECONDS = 60.0
_WRITE_SECONDS = 60.0
_DISCARD_SECONDS = 5.0


class LocalApiServer:
    """The local API of one agent. Belongs to its event loop. The lock of the agent's state folder must be held."""

    def __init__(self, path: Path, router: Router) -> None:
        self._path = path
        self._router = router
        self._connections: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(MAX_LARGE_REQUESTS)

    async def run(self) -> None:
        """Serve until cancelled; without a socket, log why and return, since the agent goes on without the API.

        When it is cancelled, all connections and pushes are ended, and the socket is removed.
        """
        try:
            listener = await asyncio.to_thread(self._open)
        except OSError as failure:
            log.warning("ComfyUI's extension cannot reach this agent: %s", failure)
            return
        server = await asyncio.start_server(self._accept, sock=listener, limit=MAX_HEAD_BYTES)
        try:
            # Not `serve_forever`, which would wait for all connections when it is cancelled.
            await asyncio.Event().wait()
        finally:
            server.close()
            self._router.close()
            for task in self._connections:
                task.cancel()
            await asyncio.to_thread(remove_private_socket, self._path)

    def _open(self) -> socket.socket:
        """Return the listening socket in a private folder; blocking.

        Raises:
            OSError: see ``open_private_socket``.
        """
        ensure_private_folder(self._path.parent)
        return open_private_socket(self._path, MAX_CONNECTIONS)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, and close it whatever happens."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine of a task
        self._connections.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                response = await self._answer(reader, writer)
                async with asyncio.timeout(_WRITE_SECONDS):
                    await write_response(writer, response)
                await _discard_rest(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> LocalResponse:
        """Read the request of a connection, and return the response.

        Raises:
            OSError, asyncio.IncompleteReadError, TimeoutError: the request did not arrive; there is nothing to answer.
        """
        try:
            self._check_connection(writer)
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await read_head(reader)
            route = self._router.find_route(head)
            async with self._hold_slot(head):
                async with asyncio.timeout(_BODY_SECONDS):
                    body = await read_body(reader, head, route.max_body_bytes)
                return await _handle(route, head, body)
        except LocalProblem as problem:
            return build_problem_response(problem)

    @asynccontextmanager
    async def _hold_slot(self, head: RequestHead) -> AsyncIterator[None]:
        """Hold a slot for a request with a large body; others need none.

        Raises:
            LocalProblem: none became free in time.
        """
        if head.body_size <= MAX_BODY_BYTES:
            yield
            return
        try:
            async with asyncio.timeout(_SLOT_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            raise _build_busy("The agent still reads other large workflows. Try again.") from None
        try:
            yield
        finally:
            self._slots.release()

    def _check_connection(self, writer: asyncio.StreamWriter) -> None:
        """Check who connected, and that there are not too many connections.

        Raises:
            LocalProblem: another user connected, or there are.
        """
        connection: socket.socket = writer.get_extra_info("socket")
        if is_other_user(connection):
            text = "Only the user who runs this machine's agent may use it."
            raise LocalProblem(HTTPStatus.FORBIDDEN, "other-user", "This agent is another user's", text)
        if len(self._connections) > MAX_CONNECTIONS:
            raise _build_busy(f"The agent serves {MAX_CONNECTIONS} requests at once. Try again.")


async def _handle(route: Route, head: RequestHead, body: bytes) -> LocalResponse:
    """Return the handler's response, also if it failed: the connection must not end without one.

    Raises:
        LocalProblem: the request cannot be answered.
    """
    try:
        return await route.handler(body)
    except LocalProblem:
        raise
    except Exception as failure:  # noqa: BLE001 - see above
        return _build_failure(head, failure)


def _build_busy(detail: str) -> LocalProblem:
    """Build the problem of an agent that serves too many requests."""
    return LocalProblem(HTTPStatus.SERVICE_UNAVAILABLE, "too-many-connections", "The agent is busy", detail)


async def _discard_rest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read what the peer still sends: if the connection ended before, the peer might not see an early response.

    Raises:
        OSError, TimeoutError: the peer does not end the connection.
    """
    writer.write_eof()
    async with asyncio.timeout(_DISCARD_SECONDS):
        while await reader.read(MAX_HEAD_BYTES):
            pass


def _build_failure(head: RequestHead, failure: Exception) -> LocalResponse:
    """Log an unexpected error of a handler, and build its response."""
    log.error("The request %s %s of ComfyUI's extension failed.", head.method, head.path, exc_info=failure)
    text = "An unexpected error occurred; see the log of this machine's agent."
    problem = LocalProblem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "The agent failed", text)
    return build_problem_response(problem)
