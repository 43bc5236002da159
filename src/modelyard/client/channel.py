"""One JSON call to a registry: signed, retried where that is safe, and its refusal raised as the problem it is."""

import asyncio
import json
import random
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

import httpcore2  # noqa: F401 - httpx2 imports it on the event loop otherwise, which reads files
import httpx2
from pydantic import BaseModel, ValidationError

from modelyard import __version__
from modelyard.client.address import API_PREFIX, checked_url
from modelyard.client.bearer import Bearer
from modelyard.transfer.failures import BadAnswer, Unreachable
from modelyard.wire.accounts import Refresh, Tokens
from modelyard.wire.problems import Problem, TooManyAttempts, Unavailable, from_json

Shape = TypeVar("Shape", bound=BaseModel)

DEFAULT_PATIENCE_SECONDS = 4.0
UNCHANGED = 304
_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 5.0
# Registration may wait for the last bytes to be hashed, and completing for a slow store.
_TIMEOUT = httpx2.Timeout(120.0, connect=10.0)
# An answer that trickles, or never ends, keeps nobody for ever and fills no memory: a manifest of 200,000 models, the
# longest answer there is, has 100 MB.
_LONGEST_ANSWER_SECONDS = 600.0
_MOST_BYTES = 256 * 1024 * 1024
_CODINGS = frozenset({"identity", "gzip", "deflate"})
_UNPACKED = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


@dataclass(frozen=True)
class Call:
    """One request. ``repeatable``: sent twice, it does no more than once.

    With ``known_etag`` the answer may be a 304 without a body.
    """

    method: str
    path: str
    body: BaseModel | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    anonymous: bool = False
    known_etag: str | None = None


class Channel:
    """The HTTP side of a registry.

    A repeatable call that meets a dead connection or a 503 is repeated for ``patience_seconds``.
    """

    def __init__(self, url: str, bearer: Bearer | None, team: str | None, patience_seconds: float) -> None:
        self.url = checked_url(url)
        self._bearer = bearer
        self._team = team
        self._patience_seconds = patience_seconds
        self._http: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        # Loading the certificates takes longer than a call, and plain http looks at none.
        trust: ssl.SSLContext | bool = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if self.url.startswith("http:") else True
        self._http = httpx2.AsyncClient(
            base_url=self.url + API_PREFIX,
            headers={"User-Agent": f"modelyard/{__version__}", "Accept": "application/json"},
            timeout=_TIMEOUT,
            verify=trust,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def ask(self, shape: type[Shape], call: Call) -> Shape:
        """The answer to ``call``.

        Raises:
            Problem: the registry refused; the same class that it raised itself.
            Unreachable: nobody answered.
            BadAnswer: whoever answered is no registry that this client understands.
        """
        return self.read(shape, await self.send(call))

    def read(self, shape: type[Shape], response: httpx2.Response) -> Shape:
        """The body of a success.

        Raises:
            BadAnswer: see ``ask``.
        """
        try:
            return shape.model_validate_json(response.content)
        except ValidationError:
            raise self._not_a_registry(response) from None

    async def send(self, call: Call) -> httpx2.Response:
        """The bare answer to ``call``, once it is a success; see ``ask`` for what is raised."""
        token = None if call.anonymous or self._bearer is None else await self._bearer.token(self._refresh)
        response = await self._patiently(call, token)
        if response.status_code == 401 and token is not None and self._bearer is not None:
            fresh = await self._bearer.renewed(token, self._refresh)
            if fresh is not None:
                response = await self._patiently(call, fresh)
        return response if self._is_unchanged(call, response) else self._success(response)

    @staticmethod
    def _is_unchanged(call: Call, response: httpx2.Response) -> bool:
        return response.status_code == UNCHANGED and call.known_etag is not None

    async def _patiently(self, call: Call, token: str | None) -> httpx2.Response:
        started, tries = time.monotonic(), 0
        while True:
            try:
                response = await self._once(call, token)
            except Unreachable:
                wait = self._wait(tries, None)
                if not call.repeatable or time.monotonic() + wait > started + self._patience_seconds:
                    raise
            else:
                wait = self._wait(tries, response.headers.get("Retry-After"))
                if response.status_code not in {502, 503, 504} or not call.repeatable:
                    return response
                if time.monotonic() + wait > started + self._patience_seconds:
                    return response
            tries += 1
            await asyncio.sleep(wait)

    def _wait(self, tries: int, retry_after: str | None) -> float:
        if (seconds := _seconds(retry_after)) is not None:
            return float(seconds)
        # Jitter, so that fifty machines that lost one registry do not come back as one.
        spread = random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        return min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0**tries) * spread

    async def _once(self, call: Call, token: str | None) -> httpx2.Response:
        if self._http is None:
            raise RuntimeError("Use a Registry as `async with Registry(...) as registry`.")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if token is not None and self._team is not None:
            headers["X-Team-ID"] = self._team
        if call.known_etag is not None:
            headers["If-None-Match"] = call.known_etag
        content = None
        if call.body is not None:
            # Only what was set: in a change, an absent field stays as it is and null clears it.
            content = call.body.model_dump_json(exclude_unset=True).encode()
            headers["Content-Type"] = "application/json"
        sent = self._http.stream(call.method, call.path, params=call.query, content=content, headers=headers)
        try:
            async with asyncio.timeout(_LONGEST_ANSWER_SECONDS), sent as response:
                return await self._whole(response)
        except httpx2.TransportError as failure:
            raise Unreachable(f"{self.url} cannot be reached: {_reason(failure)}.") from None
        except TimeoutError:
            raise Unreachable(f"{self.url} cannot be reached: its answer has no end.") from None
        except httpx2.DecodingError:
            raise BadAnswer(f"{self.url} sent an answer that cannot be unpacked.") from None

    async def _whole(self, response: httpx2.Response) -> httpx2.Response:
        """The answer with its body, unpacked.

        Raises:
            BadAnswer: it is longer than any answer of a registry.
        """
        # Packed twice, one piece of it could be sixty gigabytes before anybody has counted them.
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in _CODINGS:
            raise BadAnswer(f"{self.url} sent an answer that cannot be unpacked.")
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > _MOST_BYTES:
                raise BadAnswer(f"{self.url} sends more than any registry has to say.")
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _UNPACKED]
        return httpx2.Response(response.status_code, headers=headers, content=bytes(body))

    async def _refresh(self, refresh_token: str) -> Tokens:
        call = Call("POST", "/auth/refresh", Refresh(refresh_token=refresh_token), anonymous=True)
        return await self.ask(Tokens, call)

    def _success(self, response: httpx2.Response) -> httpx2.Response:
        if response.is_success:
            return response
        if response.is_redirect:
            raise BadAnswer(
                f"{self.url} sends callers on to {response.headers.get('Location', 'another address')}. Use that one."
            )
        raise self._problem(response)

    def _problem(self, response: httpx2.Response) -> Problem | BadAnswer:
        try:
            body = json.loads(response.content)
        except (ValueError, RecursionError):
            body = None
        problem = from_json(response.status_code, body)
        if body is None and not isinstance(problem, Unavailable):
            return self._not_a_registry(response)
        seconds = _seconds(response.headers.get("Retry-After"))
        if isinstance(problem, Unavailable | TooManyAttempts) and seconds is not None:
            problem.facts.setdefault("retry_after", seconds)
        return problem

    def _not_a_registry(self, response: httpx2.Response) -> BadAnswer:
        return BadAnswer(
            f"{self.url} answered {response.status_code}, but not as a Modelyard registry does. Is the address right?"
        )


def _seconds(retry_after: str | None) -> int | None:
    return int(retry_after) if retry_after is not None and re.fullmatch("[0-9]{1,6}", retry_after) else None


def _reason(failure: httpx2.TransportError) -> str:
    match failure:
        case httpx2.ConnectTimeout():
            return "no answer to the first knock"
        case httpx2.TimeoutException():
            return "it does not answer in time"
        case httpx2.ConnectError():
            return str(failure).rstrip(".") or "the connection was refused"
        case httpx2.UnsupportedProtocol():
            return "only http and https are spoken"
        case _:
            return "it hung up in the middle of the answer"
