"""The routes that ComfyUI's page calls: ``POST /modelyard/…``, also below ``/api``.

Each checks the request, and passes it to the machine's agent. Nothing of ComfyUI is read or changed.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web

from .agent_connection import AgentResponse, AgentUnavailableError, call_agent, find_socket
from .request_checks import find_refusal, list_own_names

PACKAGE = Path(__file__).resolve().parent.parent
MAX_BODY_BYTES = 1024 * 1024
MAX_WORKFLOW_BYTES = 64 * 1024 * 1024
MAX_PREVIEW_BYTES = 1024
# Bodies above MAX_BODY_BYTES that are held at once; the agent takes no more either.
MAX_LARGE_BODIES = 2
SLOT_SECONDS = 20.0
BODY_SECONDS = 60.0
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Of the agent's responses: a picture may be shown, nothing else is anything but data.
_CONTENT_TYPES = ("application/json", "application/problem+json", "image/webp")

Handler = Callable[[web.Request], Awaitable[web.Response]]


class RefusedError(Exception):
    """A request that is not passed on, with the status and the name of the problem."""

    def __init__(self, status: int, name: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.name, self.detail = status, name, detail


class BodyReader:
    """Reads the bodies of requests; few of those above ``MAX_BODY_BYTES`` are held in memory at once.

    Nothing that is only passed on is parsed: parsing a large workflow would stop ComfyUI's event loop for seconds,
    even in another thread, since the parser does not release Python's global lock.
    """

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(MAX_LARGE_BODIES)

    @asynccontextmanager
    async def hold(self, request: web.Request, limit: int) -> AsyncIterator[bytes]:
        """Yield the body that a request of ComfyUI's own page sends; an empty one is an empty object.

        Raises:
            RefusedError: the request comes from elsewhere, its body is too long or does not arrive, or too many large
                ones are read.
        """
        if refusal := find_refusal(request.headers, list_own_names()):
            raise RefusedError(403, "not-from-this-page", refusal)
        if (request.content_length or 0) > limit:
            raise _build_too_large(limit)
        async with AsyncExitStack() as stack:
            body = bytearray()
            await _read_until(request, body, min(limit, MAX_BODY_BYTES))
            if len(body) > MAX_BODY_BYTES and limit > MAX_BODY_BYTES:
                await stack.enter_async_context(self._hold_slot())
                await _read_until(request, body, limit)
            if len(body) > limit:
                raise _build_too_large(limit)
            yield bytes(body) or b"{}"

    @asynccontextmanager
    async def _hold_slot(self) -> AsyncIterator[None]:
        """Hold a slot for a large body.

        Raises:
            RefusedError: none became free in time.
        """
        try:
            await asyncio.wait_for(self._slots.acquire(), SLOT_SECONDS)
        except asyncio.TimeoutError:  # noqa: UP041 - another class before Python 3.11
            raise RefusedError(503, "busy", "Other large workflows are being checked. Try again.") from None
        try:
            yield
        finally:
            self._slots.release()


async def _read_until(request: web.Request, body: bytearray, size: int) -> None:
    """Append the request's body to ``body`` until it ends or has more than ``size`` bytes.

    Raises:
        RefusedError: it does not arrive in time.
    """

    async def read() -> None:
        while len(body) <= size and (part := await request.content.readany()):
            body.extend(part)

    try:
        await asyncio.wait_for(read(), BODY_SECONDS)
    except asyncio.TimeoutError:  # noqa: UP041 - another class before Python 3.11
        raise RefusedError(408, "body-timeout", "The body did not arrive in time.") from None


def _build_too_large(limit: int) -> RefusedError:
    """Build the refusal of a body that is too long."""
    return RefusedError(413, "body-too-large", f"The body is longer than {limit} bytes.")


def add_routes(table: web.RouteTableDef) -> None:
    """Add all routes to ComfyUI's table."""
    bodies = BodyReader()
    for name, method, limit in (
        ("status", "GET", MAX_BODY_BYTES),
        ("models", "POST", MAX_BODY_BYTES),
        ("workflow-check", "POST", MAX_WORKFLOW_BYTES),
        ("fetch", "POST", MAX_BODY_BYTES),
        ("progress", "POST", MAX_BODY_BYTES),
        ("push", "POST", MAX_WORKFLOW_BYTES),
    ):
        table.post(f"/modelyard/{name}")(_build_handler(bodies, method, f"/v1/{name}", limit))
    table.post("/modelyard/preview")(_build_preview_handler(bodies))


def _build_handler(bodies: BodyReader, method: str, path: str, limit: int) -> Handler:
    """Return a handler that passes a body to this path of the agent, as it is: the agent checks it."""

    async def handle(request: web.Request) -> web.Response:
        async with bodies.hold(request, limit) as body:
            socket = await asyncio.to_thread(find_socket, PACKAGE)
            return _build_response(await call_agent(socket, method, path, body if method == "POST" else None))

    return _handle_problems(handle)


def _build_preview_handler(bodies: BodyReader) -> Handler:
    """Return a handler that sends a model's picture; by POST, so that no other page can show it."""

    async def handle(request: web.Request) -> web.Response:
        async with bodies.hold(request, MAX_PREVIEW_BYTES) as body:
            sha256 = _parse_sha256(body)
        socket = await asyncio.to_thread(find_socket, PACKAGE)
        return _build_response(await call_agent(socket, "GET", f"/v1/previews/{sha256}"))

    return _handle_problems(handle)


def _parse_sha256(body: bytes) -> str:
    """Return the hash of the picture that is asked for.

    Raises:
        RefusedError: the body is no JSON object with a hash.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "malformed-json", "The body is not JSON.") from None
    sha256 = fields.get("sha256") if isinstance(fields, dict) else None
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise RefusedError(400, "invalid-request", "sha256 must be 64 hexadecimal digits.")
    return sha256


def _handle_problems(handler: Handler) -> Handler:
    """Return a handler that turns what goes wrong into problem documents."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except RefusedError as refused:
            return _build_problem(refused.status, refused.name, refused.detail)
        except AgentUnavailableError as unavailable:
            return _build_problem(503, "agent-unavailable", str(unavailable))

    return handle


def _build_response(response: AgentResponse) -> web.Response:
    """Pass an agent's response on; content of another type than expected becomes a problem."""
    if response.content_type not in _CONTENT_TYPES:
        return _build_problem(502, "agent-response-invalid", "The modelyard agent sent an unexpected response.")
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(status=response.status, body=response.body, content_type=response.content_type, headers=headers)


def _build_problem(status: int, name: str, detail: str) -> web.Response:
    """Return a problem document (RFC 9457)."""
    problem = {"type": f"/problems/{name}", "status": status, "title": detail, "detail": detail}
    return web.json_response(problem, status=status, content_type="application/problem+json")
