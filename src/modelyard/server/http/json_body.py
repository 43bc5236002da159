"""JSON request bodies: read once, parsed strictly, bounded in size, time and memory."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.usage import Limits, Usage
from modelyard.server.http.execution.account import get_account
from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.wire.problems import BodyTooLarge, MalformedJson, RequestStalled, Unavailable, UnsupportedMediaType
from modelyard.wire.texts.strict_json import (
    JsonLimits,
    build_unique_object,
    check_size,
    parse_float,
    parse_integer,
    reject_constant,
)

MAX_BODY_BYTES = 1024 * 1024
# Of a route that anybody may call.
MAX_PUBLIC_BODY_BYTES = 16 * 1024
# A JSON body is small: a client that needs longer than this only holds a connection.
BODY_SECONDS = 30.0
# A registration of 20,000 files, with paths of 60 bytes on average.
MAX_LARGE_BODY_BYTES = 4 * 1024 * 1024
# All bodies of one process that are being read.
MIB = 1024 * 1024
BODY_BYTES = Limits(64 * MIB, per_person=8 * MIB, per_team=32 * MIB)
# Those of public routes are apart, so that they take nothing from callers whose credential was checked.
PUBLIC_BODY_BYTES = Limits(16 * MIB, per_person=8 * MIB, per_team=16 * MIB)
# A larger body is parsed in a thread, since it takes the event loop some milliseconds.
MAX_BYTES_ON_EVENT_LOOP = 16 * 1024
# Parsing holds the interpreter's lock: more threads would parse no faster, and each delays all other requests.
PARSING_THREADS = Limits(2, per_person=1, per_team=1)

Value = TypeVar("Value")


class BodyBudget:
    """A limit on the bytes of request bodies that one process holds: in all, of one person and of one team."""

    def __init__(self, limits: Limits) -> None:
        self.held = Usage(limits)

    @contextmanager
    def buffer_for(self, account: Account) -> Iterator["BodyBuffer"]:
        """Yield a buffer whose bytes count towards the budget until the block ends."""
        buffer = BodyBuffer(self, account)
        try:
            yield buffer
        finally:
            self.held.remove(account, buffer.reserved)

    def reserve(self, account: Account, count: int) -> None:
        """Reserve bytes that are about to be stored.

        Raises:
            Unavailable: a limit would be exceeded.
        """
        if not self.held.fits(account, count):
            raise Unavailable(
                "The registry is receiving too many request bodies at this moment. Try again.", retry_after=2
            )
        self.held.add(account, count)


class BodyBuffer:
    """The bytes of one body that were received so far."""

    def __init__(self, budget: BodyBudget, account: Account) -> None:
        self._budget, self._account = budget, account
        self._chunks: list[bytes] = []
        self.reserved = 0

    def add(self, chunk: bytes) -> None:
        """Append a chunk; raises ``Unavailable`` if the budget is exceeded."""
        self._budget.reserve(self._account, len(chunk))
        self.reserved += len(chunk)
        self._chunks.append(chunk)

    def get_bytes(self) -> bytes:
        """Return the bytes received so far, of which this keeps no second copy."""
        self._chunks = [b"".join(self._chunks)]
        return self._chunks[0]


@asynccontextmanager
async def receive_file(request: Request, budget: BodyBudget, max_bytes: int, seconds: float) -> AsyncIterator[bytes]:
    """Receive a body that is a file and yield it; it counts towards the budget until the block ends.

    Raises:
        BodyTooLarge, RequestStalled, Unavailable: see ``receive_body``.
    """
    check_declared_size(request, max_bytes)
    with budget.buffer_for(get_account(request)) as buffer:
        await receive_body(request, buffer, max_bytes, seconds)
        yield buffer.get_bytes()


@dataclass(frozen=True)
class BodyLimits:
    """The body limits of one route.

    ``is_public``: it requires no credential, so none was checked before the body. ``is_large``: its bodies may have the
    list of the files of a folder. ``json_limits``: how many values a body may have.
    """

    is_public: bool
    is_large: bool
    json_limits: JsonLimits

    @property
    def max_bytes(self) -> int:
        """Return the maximum size of a body; smaller for public routes."""
        if self.is_large:
            return MAX_LARGE_BODY_BYTES
        return MAX_PUBLIC_BODY_BYTES if self.is_public else MAX_BODY_BYTES


def build_parsing_limiter() -> OperationLimiter:
    """Build the limiter of parsing large bodies."""
    return OperationLimiter(PARSING_THREADS)


async def read_json_body(
    request: Request, budget: BodyBudget, limits: BodyLimits, validate: Callable[[Any], Value]
) -> Value:
    """Read and parse a request's body, and return what ``validate`` makes of it: of ``None`` if it is empty.

    A large body is parsed and validated in a thread.

    Raises:
        BodyTooLarge: it has, or declares, more bytes than the route accepts.
        RequestStalled: it was not complete within ``BODY_SECONDS``.
        Unavailable: too many other bodies are being read.
        UnsupportedMediaType: it is not declared as JSON.
        MalformedJson: it is not strict JSON; see ``parse_json``.
    """
    check_declared_size(request, limits.max_bytes)
    with budget.buffer_for(get_account(request)) as buffer:
        await receive_body(request, buffer, limits.max_bytes, BODY_SECONDS)
        body = buffer.get_bytes()
        if not body:
            return validate(None)
        _check_media_type(request.headers.get("content-type", ""))
        if len(body) <= MAX_BYTES_ON_EVENT_LOOP:
            return validate(parse_json(body, limits.json_limits))
        limiter: OperationLimiter = request.app.state.parsing_limiter
        return await limiter.run(get_account(request), lambda: validate(parse_json(body, limits.json_limits)))


def parse_json(body: bytes, limits: JsonLimits) -> Any:
    """Parse a body as strict JSON: no duplicate keys, no NaN, bounded depth and number of values.

    Raises:
        MalformedJson: it is not strict JSON, or exceeds the limits.
    """
    try:
        check_size(body, limits)
        return json.loads(
            body.decode(),
            object_pairs_hook=build_unique_object,
            parse_int=parse_integer,
            parse_float=parse_float,
            parse_constant=reject_constant,
        )
    except ValueError as error:
        raise MalformedJson(f"The body is not JSON that this route reads: {error}.") from None


def check_declared_size(request: Request, max_bytes: int) -> None:
    """Check the Content-Length before the body is read.

    Raises:
        BodyTooLarge: it is above the limit.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> BodyTooLarge:
    """Build the problem of a body above the limit."""
    return BodyTooLarge(f"The body is too large: this route accepts at most {max_bytes} bytes.")


async def receive_body(request: Request, buffer: BodyBuffer, max_bytes: int, seconds: float) -> None:
    """Read the body into the buffer.

    Raises:
        BodyTooLarge: it exceeds the limit.
        RequestStalled: it is not complete after so many seconds, or the client has disconnected.
        Unavailable: the budget for bodies is used up.
    """
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                if buffer.reserved + len(chunk) > max_bytes:
                    raise _too_large(max_bytes)
                buffer.add(chunk)
    except (TimeoutError, ClientDisconnect):
        raise RequestStalled("The body did not arrive in time. Send the request again.") from None


def _check_media_type(content_type: str) -> None:
    """Check that a body is declared as ``application/json`` or ``application/…+json``.

    Raises:
        UnsupportedMediaType: it is not.
    """
    kind = content_type.split(";", maxsplit=1)[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMediaType("Send the body as application/json.")
