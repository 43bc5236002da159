"""How the local store's routes answer: headers in, a problem or an empty body out."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from starlette.types import Receive, Scope, Send

from modelyard.server.storage import blob_store
from modelyard.wire import problems

_LINGER_SECONDS = 5.0
_RETRY_SECONDS = 5

_PROBLEMS: dict[type[blob_store.StoreError], type[problems.Problem]] = {
    blob_store.KeyTaken: problems.KeyTaken,
    blob_store.NoSuchUpload: problems.UploadNotFound,
    blob_store.NoSuchKey: problems.BlobNotFound,
    blob_store.PartBusy: problems.PartBusy,
    blob_store.WrongChecksum: problems.ChecksumWrong,
    blob_store.StoreFull: problems.StorageFull,
    blob_store.StoreUnavailable: problems.Unavailable,
}


def as_problem(error: blob_store.StoreError) -> problems.Problem:
    """What a client is told about an error of the store."""
    kind = _PROBLEMS[type(error)]
    facts = dict(error.facts)
    if isinstance(error, blob_store.StoreUnavailable | blob_store.PartBusy):
        facts["retry_after"] = _RETRY_SECONDS
    return kind(error.detail, **facts)


def headers_of(scope: Scope) -> dict[str, str]:
    """The request's headers by lower-case name. A repeated one is joined, so that no rule sees half of it."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


async def answer(send: Send, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
    """Send a small answer whole."""
    await send(start_message(status, {"Content-Length": str(len(body)), **headers}))
    await send({"type": "http.response.body", "body": body})


async def answer_problem(send: Send, scope: Scope, problem: problems.Problem, headers: Mapping[str, str]) -> None:
    """Send a problem to a client that has sent all it had to send."""
    body = _body(scope, problem)
    shown = b"" if scope["method"] == "HEAD" else body
    await answer(send, problem.status, {**_problem_headers(problem, body), **headers}, shown)


async def refuse_upload(receive: Receive, send: Send, scope: Scope, problem: problems.Problem) -> None:
    """Send a problem to a client that is still sending, and close.

    Closing a socket with unread bytes resets it, and the client would see the reset in place of the answer. So the
    answer goes first, then what still comes is read and dropped for a moment, then we close.
    """
    body = _body(scope, problem)
    await send(start_message(problem.status, {**_problem_headers(problem, body), "Connection": "close"}))
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if "expect" not in headers_of(scope):
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while (await receive()).get("more_body"):
                    pass
    await send({"type": "http.response.body"})


def start_message(status: int, headers: Mapping[str, str]) -> dict[str, Any]:
    lines = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": lines}


def _body(scope: Scope, problem: problems.Problem) -> bytes:
    request_id = scope.get("state", {}).get("request_id")
    return json.dumps(problem.as_json(request_id)).encode()


def _problem_headers(problem: problems.Problem, body: bytes) -> dict[str, str]:
    headers = {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    if "retry_after" in problem.facts:
        headers["Retry-After"] = str(problem.facts["retry_after"])
    return headers
