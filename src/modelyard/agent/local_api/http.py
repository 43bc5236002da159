"""HTTP/1.1 on a local socket: one request and one response for each connection."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from modelyard.wire.workflows import MAX_WORKFLOW_BYTES

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 1024 * 1024
# The registry gets these bodies as they are.
MAX_WORKFLOW_BODY_BYTES = MAX_WORKFLOW_BYTES
_MAX_HEADERS = 50


class LocalProblem(Exception):
    """A request that cannot be answered, as RFC 9457 describes it.

    ``detail`` is for the user, and ``facts`` are further fields for programs.
    """

    def __init__(self, status: HTTPStatus, slug: str, title: str, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.document = build_problem(status, slug, title, detail) | facts


def build_problem(status: int, slug: str, title: str, detail: str) -> dict[str, Any]:
    """Build the JSON document of a problem."""
    return {"type": f"/problems/{slug}", "title": title, "status": int(status), "detail": detail}


@dataclass(frozen=True)
class RequestHead:
    """The first lines of a request; ``path`` is without its query."""

    method: str
    path: str
    body_size: int


@dataclass(frozen=True)
class LocalResponse:
    """A response, of JSON unless the content type says otherwise."""

    body: bytes
    status: int = HTTPStatus.OK
    content_type: str = "application/json"


def build_json_response(document: Mapping[str, Any], status: int = HTTPStatus.OK) -> LocalResponse:
    """Build a response from JSON values."""
    return LocalResponse(json.dumps(document).encode(), status)


def build_problem_response(problem: LocalProblem) -> LocalResponse:
    """Build the response of a problem."""
    return LocalResponse(json.dumps(problem.document).encode(), problem.status, "application/problem+json")


async def read_head(reader: asyncio.StreamReader) -> RequestHead:
    """Read the request line and the headers.

    Raises:
        LocalProblem: they are not HTTP/1.1 as this API takes it.
        asyncio.IncompleteReadError: the connection ended before they did.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise build_malformed("The head of the request is too long.") from None
    request_line, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    words = request_line.split(" ")
    if len(words) != 3 or not words[1].startswith("/") or words[2] not in ("HTTP/1.0", "HTTP/1.1"):
        raise build_malformed("The first line is not that of an HTTP request.")
    return RequestHead(words[0], words[1].partition("?")[0], _parse_body_size(_parse_headers(lines)))


def _parse_headers(lines: list[str]) -> dict[str, str]:
    """Return the headers by lower-case name.

    Raises:
        LocalProblem: a line is not a header, a name is repeated, or there are too many.
    """
    pairs = [(name.lower(), value.strip()) for name, colon, value in (line.partition(":") for line in lines) if colon]
    headers = dict(pairs)
    if len(headers) != len(lines) or len(lines) > _MAX_HEADERS:
        raise build_malformed("The headers are malformed, repeated or too many.")
    return headers


def _parse_body_size(headers: Mapping[str, str]) -> int:
    """Return the size of the body.

    Raises:
        LocalProblem: it is not declared by a Content-Length.
    """
    text = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise build_malformed("The body needs a Content-Length.")
    return int(text)


async def read_body(reader: asyncio.StreamReader, head: RequestHead, max_bytes: int) -> bytes:
    """Read the body.

    Raises:
        LocalProblem: it is longer than ``max_bytes``.
        asyncio.IncompleteReadError: the connection ended before it did.
    """
    if head.body_size > max_bytes:
        text = f"The body has {head.body_size} bytes; this request may have {max_bytes}."
        raise LocalProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", "The body is too large", text)
    return await reader.readexactly(head.body_size)


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body; blocking, since it may be large.

    Raises:
        LocalProblem: the body is not a JSON object.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise build_malformed("The body is not a JSON object.")
    return document


async def write_response(writer: asyncio.StreamWriter, response: LocalResponse) -> None:
    """Send a response, after which the connection is closed."""
    phrase = HTTPStatus(response.status).phrase
    lines = (
        f"HTTP/1.1 {int(response.status)} {phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        "Connection: close",
    )
    writer.write("\r\n".join((*lines, "", "")).encode("latin-1") + response.body)
    await writer.drain()


def build_malformed(detail: str) -> LocalProblem:
    """Build the problem of a request that cannot be read."""
    return LocalProblem(HTTPStatus.BAD_REQUEST, "malformed-request", "The request is malformed", detail)
