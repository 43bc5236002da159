"""What a request brings before any route sees it: address and method, a strict JSON body, the name it knows us by."""

import asyncio
import ipaddress
import json
import re
import socket
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelyard.server import problems
from modelyard.server.settings import Settings
from modelyard.wire.problems import (
    BodyTooLarge,
    HostNotAllowed,
    MalformedJson,
    MethodNotAllowed,
    Problem,
    RequestStalled,
    UnsupportedMediaType,
)

MAX_BODY_BYTES = 1024 * 1024
MAX_DEPTH = 32
# A JSON body is small: whoever needs longer than this holds a connection for its own sake.
BODY_SECONDS = 30.0
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


class ExactMethods:
    """Answers 405 by the most exact address, with all its methods in ``Allow``.

    The framework tries one route after the other: ``PUT /models/presign`` would change the model "presign", and
    ``Allow`` would name the methods of one route alone.
    """

    def __init__(self, app: ASGIApp, methods: Mapping[str, frozenset[str]]) -> None:
        """``methods`` are those of each address; an address may hold ``{names}``."""
        self.app = app
        self._exact = methods
        self._patterns = [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", address)), allowed)
            for address, allowed in methods.items()
            if "{" in address
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = self._allowed(scope["path"]) if scope["type"] == "http" else None
        if allowed is None or scope["method"] in allowed:
            await self.app(scope, receive, send)
            return
        refusal = problems.answer(Request(scope), MethodNotAllowed("This method is not allowed here."))
        refusal.headers["Allow"] = ", ".join(sorted(allowed))
        await refusal(scope, receive, send)

    def _allowed(self, path: str) -> frozenset[str] | None:
        if path in self._exact:
            return self._exact[path]
        return next((allowed for pattern, allowed in self._patterns if pattern.fullmatch(path)), None)


class StrictBodies:
    """Reads a JSON body whole and refuses what lenient parsers let pass: duplicate keys, NaN, depth, other media types.

    The refusal waits in the scope until the route has checked who calls (``problems.install`` answers it); the route
    itself then sees ``null``, which no body schema accepts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or scope["method"] not in ("POST", "PUT", "PATCH")
            or scope["path"].startswith("/blobs/")
        ):
            await self.app(scope, receive, send)
            return
        try:
            body = await _whole_body(scope, receive)
        except Problem as problem:
            scope[problems.BODY_PROBLEM] = problem
            body = b"null"
        scope["headers"] = [(n, v) for n, v in scope["headers"] if n != b"content-type"] + [
            (b"content-type", b"application/json")
        ]
        await self.app(scope, _replay(body, receive), send)


async def _whole_body(scope: Scope, receive: Receive) -> bytes:
    headers = dict(scope["headers"])
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"A body may have {MAX_BODY_BYTES} bytes.")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _received(receive)
    except TimeoutError:
        raise RequestStalled("The body did not come. Send the request again.") from None
    if body:
        _check_media_type(headers.get(b"content-type", b""))
        check_json(body)
    return body


async def _received(receive: Receive) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"A body may have {MAX_BODY_BYTES} bytes.")
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _check_media_type(content_type: bytes) -> None:
    kind = content_type.split(b";")[0].strip().lower()
    if kind != b"application/json" and not (kind.startswith(b"application/") and kind.endswith(b"+json")):
        raise UnsupportedMediaType("Send the body as application/json.")


def check_json(body: bytes) -> None:
    """Check that a body is JSON in the strictest reading.

    Raises:
        MalformedJson: it is not, or nests deeper than ``MAX_DEPTH``.
    """
    try:
        value = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise MalformedJson(f"The body nests deeper than {MAX_DEPTH}.") from None
    except ValueError as error:
        raise MalformedJson(f"The body is no JSON: {error}.") from None
    if _is_deeper(value, MAX_DEPTH):
        raise MalformedJson(f"The body nests deeper than {MAX_DEPTH}.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key occurs twice")
    return members


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _is_deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [child for item in level for child in _children(item)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def configured(request: Request) -> Settings:
    return settings_of(request)


Configured = Annotated[Settings, Depends(configured)]


async def public_url(request: Request) -> str:
    """The address for links, without a slash at its end.

    Raises:
        HostNotAllowed: no public URL is set, and the request's Host could be anybody's invention.
    """
    settings = settings_of(request)
    if settings.public_url:
        return settings.public_url
    host = request.headers.get("host", "")
    named = _HOST.fullmatch(host)
    if named is None or not _is_ours(named["name"].strip("[]").lower()):
        raise HostNotAllowed(
            "Links cannot be made for this Host. The operator sets MODELYARD_PUBLIC_URL to the address that you use."
        )
    return f"{request.url.scheme}://{host}"


@cache
def _machine_names() -> frozenset[str]:
    return frozenset({"localhost", socket.gethostname().lower(), socket.getfqdn().lower()})


def _is_ours(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in _machine_names()
    return True


PublicUrl = Annotated[str, Depends(public_url)]
