"""Responses of the local store's routes: headers, problems and empty bodies."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from starlette.types import Receive, Scope, Send

from modelyard.wire import problems

_LINGER_SECONDS = 5.0


def get_headers(scope: Scope) -> dict[str, str]:
    """Return the request's headers by lower-case name; values of a repeated header are joined, so none is skipped."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


async def send_response(send: Send, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
    """Send the head of a response and its whole body, which is small."""
    await send(build_start_message(status, {"Content-Length": str(len(body)), **headers}))
    await send({"type": "http.response.body", "body": body})


async def send_problem(send: Send, scope: Scope, problem: problems.Problem, headers: Mapping[str, str]) -> None:
    """Send a problem, without its body for HEAD; while a client still sends its body, use ``reject_upload``."""
    body = _build_body(scope, problem)
    shown = b"" if scope["method"] == "HEAD" else body
    await send_response(send, problem.status, {**_build_headers(problem, body), **headers}, shown)


async def reject_upload(receive: Receive, send: Send, scope: Scope, problem: problems.Problem) -> None:
    """Send a problem to a client that is still sending its body, and close the connection.

    Closing a socket with unread bytes resets it, and the client would see the reset in place of the response. So the
    response is sent first, the rest of the body is discarded for up to five seconds, and then the connection is closed.
    After ``Expect: 100-continue`` nothing is discarded: the client has not begun to send its body.
    """
    body = _build_body(scope, problem)
    await send(build_start_message(problem.status, {**_build_headers(problem, body), "Connection": "close"}))
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if "expect" not in get_headers(scope):
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while (await receive()).get("more_body"):
                    pass
    await send({"type": "http.response.body"})


def build_start_message(status: int, headers: Mapping[str, str]) -> dict[str, Any]:
    """Build the ASGI message that starts a response."""
    lines = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": lines}


def _build_body(scope: Scope, problem: problems.Problem) -> bytes:
    """Return a problem as JSON, with the request's id."""
    request_id = scope.get("state", {}).get("request_id")
    return json.dumps(problem.to_json(request_id)).encode()


def _build_headers(problem: problems.Problem, body: bytes) -> dict[str, str]:
    """Build the headers of a problem with this body; ``Retry-After`` if the problem has the fact ``retry_after``."""
    headers = {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    if "retry_after" in problem.facts:
        headers["Retry-After"] = str(problem.facts["retry_after"])
    return headers
