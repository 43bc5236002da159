"""JSON calls to a registry over HTTP: authentication, retries, size and time limits, and problems as exceptions."""

from __future__ import annotations

import asyncio
import math
import random
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import httpcore2  # noqa: F401 - httpx2 imports it on the event loop otherwise, which reads files
import httpx2
from pydantic import BaseModel, ValidationError

from modelyard import __version__
from modelyard.client.api.auth import TokenSource
from modelyard.client.api.http_responses import (
    build_bad_address,
    build_not_a_registry,
    describe_transport_error,
    parse_retry_after,
    raise_unless_success,
    read_body,
)
from modelyard.client.api.urls import API_PREFIX, normalize_url
from modelyard.transfer.errors import BadResponse, Unreachable

if TYPE_CHECKING:
    from modelyard.wire.accounts import Tokens

Shape = TypeVar("Shape", bound=BaseModel)
Parsed = TypeVar("Parsed")

DEFAULT_RETRY_SECONDS = 4.0
UNCHANGED = 304
_FIRST_CONTACT_SECONDS = 60.0
_FIRST_BACKOFF_SECONDS = 0.2
_MAX_BACKOFF_SECONDS = 5.0
# A registry that restarts is back after so many retries; a longer outage is reported, at intervals.
_SILENT_RETRIES = 2
_NOTIFY_EVERY_SECONDS = 15.0
# Registration may wait for the last bytes to be hashed, and completing for a slow store.
_TIMEOUT = httpx2.Timeout(120.0, connect=10.0)
# A slow response must not block for ever.
_MAX_RESPONSE_SECONDS = 600.0


@dataclass(frozen=True)
class Call:
    """One request, with a JSON body or bytes. ``repeatable`` marks an idempotent one, which is retried.

    With ``known_etag`` the response may be a 304 without a body. With ``if_match`` the call is refused if the record
    has another ETag. ``max_retry_seconds`` bounds the time of retries.
    """

    method: str
    path: str
    body: BaseModel | bytes | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    anonymous: bool = False
    known_etag: str | None = None
    if_match: str | None = None
    max_retry_seconds: float = math.inf


@dataclass(frozen=True)
class RetryOptions:
    """How long repeatable calls are retried; ``notify`` gets a sentence at intervals while they wait."""

    seconds: float = DEFAULT_RETRY_SECONDS
    notify: Callable[[str], None] | None = None


class HttpChannel:
    """The HTTP connections to a registry; an async context manager.

    A repeatable call that fails to connect or gets 502, 503 or 504 is retried for ``retry.seconds``. Before the first
    response it is retried for a minute at most, since the address may be wrong.
    """

    def __init__(self, url: str, token_source: TokenSource | None, team: str | None, retry: RetryOptions) -> None:
        self.url = normalize_url(url)
        self._token_source = token_source
        self._team = team
        self._retry = retry
        self._has_answered = False
        self._notified_at = 0.0
        self._http: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        """Create the HTTP client; sends nothing.

        Raises:
            BadAddress: the address, or that of a proxy in the environment, is not usable.
        """
        # Loading the certificates takes longer than a call, and plain http needs none.
        verify: ssl.SSLContext | bool = (
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if self.url.startswith("http:") else True
        )
        try:
            self._http = httpx2.AsyncClient(
                base_url=self.url + API_PREFIX,
                headers={"User-Agent": f"modelyard/{__version__}", "Accept": "application/json"},
                timeout=_TIMEOUT,
                verify=verify,
            )
        except (httpx2.InvalidURL, ValueError, ImportError) as failure:
            raise build_bad_address(self.url, failure) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def request(self, shape: type[Shape], call: Call) -> Shape:
        """Send ``call`` as ``send`` does, and return the parsed body of its response; not for calls with a known ETag.

        Raises:
            Problem: the registry refused the call; the exception has the class that the server raised.
            Unreachable: there was no complete response, after retries where the call is repeatable.
            BadResponse: the response is not one of a Modelyard registry, or is too large.
        """
        return self.parse(shape, await self.send(call))

    def parse(self, shape: type[Shape], response: httpx2.Response) -> Shape:
        """Parse the body of a successful response.

        Raises:
            BadResponse: the body does not match ``shape``.
        """
        return self.parse_with(shape.model_validate_json, response)

    def parse_with(self, parse: Callable[[bytes], Parsed], response: httpx2.Response) -> Parsed:
        """Parse the body of a successful response with the given function.

        Raises:
            BadResponse: ``parse`` raised a ``ValidationError``.
        """
        try:
            return parse(response.content)
        except ValidationError:
            raise build_not_a_registry(self.url, response) from None

    async def send(self, call: Call) -> httpx2.Response:
        """Send ``call`` and return its successful response, or the 304 if the call has a known ETag.

        After a 401 it is sent once more, even if it is not repeatable, if the token source has another token. Raises as
        ``request``.
        """
        source = None if call.anonymous else self._token_source
        token = None if source is None else await source.get_token(self._refresh)
        response = await self._send_with_retries(call, token)
        if response.status_code == 401 and token is not None and source is not None:
            replacement = await source.replace_token(token, self._refresh)
            if replacement is not None:
                response = await self._send_with_retries(call, replacement)
        return response if self._is_unchanged(call, response) else raise_unless_success(self.url, response)

    @staticmethod
    def _is_unchanged(call: Call, response: httpx2.Response) -> bool:
        """Return whether the response is the 304 that a call with a known ETag allows."""
        return response.status_code == UNCHANGED and call.known_etag is not None

    async def _send_with_retries(self, call: Call, token: str | None) -> httpx2.Response:
        """Send a call, and repeat a repeatable one after a connection failure, 502, 503 or 504 until its deadline.

        Returns the last response, also one with an error status. Raises Unreachable if the last attempt had none.
        """
        deadline, retries = time.monotonic() + self._get_retry_seconds(call), 0
        while True:
            try:
                response = await self._send_once(call, token)
            except Unreachable as failure:
                wait, reason = self._compute_backoff(retries, None), str(failure)
                if not call.repeatable or time.monotonic() + wait > deadline:
                    raise
            else:
                wait = self._compute_backoff(retries, response.headers.get("Retry-After"))
                reason = f"{self.url} cannot answer now."
                is_unavailable = response.status_code in {502, 503, 504}
                self._has_answered |= not is_unavailable
                if not is_unavailable or not call.repeatable or time.monotonic() + wait > deadline:
                    return response
            retries += 1
            if retries > _SILENT_RETRIES:
                self._notify(reason, deadline)
            await asyncio.sleep(wait)

    def _get_retry_seconds(self, call: Call) -> float:
        """Return for how long a repeatable call is retried: at most 60 s before the registry's first response."""
        seconds = self._retry.seconds if self._has_answered else min(self._retry.seconds, _FIRST_CONTACT_SECONDS)
        return min(seconds, call.max_retry_seconds)

    def _notify(self, reason: str, deadline: float) -> None:
        """Report why a call waits and for how much longer, at most once in 15 seconds for all calls."""
        now = time.monotonic()
        if self._retry.notify is not None and now >= self._notified_at:
            self._notified_at = now + _NOTIFY_EVERY_SECONDS
            self._retry.notify(f"{reason} Retrying for at most {round(deadline - now)} s.")

    def _compute_backoff(self, retries: int, retry_after: str | None) -> float:
        """Return the seconds of ``Retry-After``, unbounded, or else a random exponential backoff of at most 5 s."""
        if (seconds := parse_retry_after(retry_after)) is not None:
            return float(seconds)
        # Jitter, so that fifty machines that lost one registry do not all retry at once.
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        return min(_MAX_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2.0**retries) * jitter

    async def _send_once(self, call: Call, token: str | None) -> httpx2.Response:
        """Send a call once and return its response, whatever its status, with the decoded body.

        Raises:
            Unreachable: there was no complete response within the time limits.
            BadResponse: the body is too large or cannot be decoded.
            BadAddress: the host name of a proxy is not usable.
        """
        if self._http is None:
            raise RuntimeError("Use a RegistryApi as `async with RegistryApi(...) as registry`.")
        headers = self._build_headers(call, token)
        # Only fields that were set: in an update, an absent field is not changed and null clears it.
        body = call.body
        content = body.model_dump_json(exclude_unset=True).encode() if isinstance(body, BaseModel) else body
        exchange = self._http.stream(call.method, call.path, params=call.query, content=content, headers=headers)
        try:
            async with asyncio.timeout(_MAX_RESPONSE_SECONDS), exchange as response:
                return await read_body(self.url, response)
        except httpx2.TransportError as failure:
            raise Unreachable(f"{self.url} cannot be reached: {describe_transport_error(failure)}.") from None
        except TimeoutError:
            raise Unreachable(
                f"{self.url}: the response was not complete after {_MAX_RESPONSE_SECONDS:g} seconds."
            ) from None
        except httpx2.DecodingError:
            raise BadResponse(f"{self.url} sent a response that cannot be decompressed.") from None
        except UnicodeError as failure:  # from the resolver, of a proxy's name
            raise build_bad_address(self.url, failure) from None

    def _build_headers(self, call: Call, token: str | None) -> dict[str, str]:
        """Return the headers of a call: token, team (only with a token), ETags, and the type of its body."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if token is not None and self._team is not None:
            headers["X-Team-ID"] = self._team
        if call.known_etag is not None:
            headers["If-None-Match"] = call.known_etag
        if call.if_match is not None:
            headers["If-Match"] = call.if_match
        if call.body is not None:
            is_bytes = isinstance(call.body, bytes)
            headers["Content-Type"] = "application/octet-stream" if is_bytes else "application/json"
        return headers

    async def _refresh(self, refresh_token: str) -> Tokens:
        """Exchange a refresh token for new tokens, without authentication."""
        from modelyard.wire.accounts import Refresh, Tokens

        call = Call("POST", "/auth/refresh", Refresh(refresh_token=refresh_token), anonymous=True)
        return await self.request(Tokens, call)
