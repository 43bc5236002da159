"""The client of outbound requests: redirects by hand, limits of time, size and rate."""

import copy
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self

import httpx2
from pydantic_core import from_json

from modelyard.server.outbound.errors import (
    ProxyFailed,
    ProxyRefused,
    RedirectRefused,
    ResponseTooLarge,
    SourceTooSlow,
    SourceUnreachable,
)
from modelyard.server.outbound.policy import (
    HTTPS_PORT,
    OutboundPolicy,
    find_host_and_port,
    parse_url,
    show_url,
)
from modelyard.server.outbound.transport import CheckedTransport, Resolve, resolve_host

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Sent only to the origin that they were given for.
_CREDENTIALS = ("authorization", "cookie")


@dataclass(frozen=True)
class Limits:
    """Limits of requests: of a silent connection, of headers, of a whole document, and the minimum rate of a download.

    A download that brings fewer than ``window_bytes`` in ``window_seconds`` ends.
    """

    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    head_seconds: float = 60.0
    document_seconds: float = 60.0
    document_bytes: int = 8 * 1024 * 1024
    window_seconds: float = 60.0
    window_bytes: int = 256 * 1024


class TokenUse(Enum):
    """Whether a request has the token of its host."""

    SENT = "sent"
    NONE = "none"
    OFF = "off"  # this process can read no tokens


@dataclass(frozen=True)
class OutboundResponse:
    """A response after its redirects; ``url`` is the last address. Use it inside the ``with`` block of its request.

    ``token_use`` says whether the token of its host was sent to ``requested``, the address before all redirects.
    """

    response: httpx2.Response
    url: httpx2.URL
    requested: httpx2.URL
    token_use: TokenUse
    limits: Limits
    clock: Callable[[], float]

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    @property
    def headers(self) -> httpx2.Headers:
        """The headers of the last response."""
        return self.response.headers

    @property
    def is_of_other_origin(self) -> bool:
        """Whether a redirect led to another origin than the requested one, which gets no token."""
        return _get_origin(self.url) != _get_origin(self.requested)

    def iterate(self, max_bytes: int) -> Iterator[bytes]:
        """Iterate over the body.

        Raises:
            ResponseTooLarge: there are more than ``max_bytes``.
            SourceTooSlow: the minimum rate is not reached.
            SourceUnreachable: the connection broke.
        """
        count, since, window = 0, self.clock(), 0
        with _translate_errors(self.url):
            # As they arrive: pieces of a fixed size would make the limits wait for the last byte of each.
            for piece in self.response.iter_raw():
                count, window = count + len(piece), window + len(piece)
                if count > max_bytes:
                    raise ResponseTooLarge(f"{_show_host(self.url)} sends more than {max_bytes} bytes.")
                if self.clock() - since >= self.limits.window_seconds:
                    if window < self.limits.window_bytes:
                        raise SourceTooSlow(f"{_show_host(self.url)} sends too slowly.")
                    since, window = self.clock(), 0
                yield piece

    def read(self, max_bytes: int | None = None) -> bytes:
        """Return a small body of up to ``max_bytes``, without it of the limit of documents.

        Raises as ``iterate``, and ``SourceTooSlow`` after a minute.
        """
        ends = self.clock() + self.limits.document_seconds
        pieces = []
        for piece in self.iterate(max_bytes or self.limits.document_bytes):
            pieces.append(piece)
            if self.clock() > ends:
                raise SourceTooSlow(f"{_show_host(self.url)} takes too long to answer.")
        return b"".join(pieces)

    def read_json(self) -> Any:
        """Return the JSON document of the body; None if it is none, or has half a character. Raises as ``read``."""
        try:
            return from_json(self.read())
        except ValueError:
            return None


class OutboundClient:
    """Sends requests to addresses that users give; every address, of redirects too, is checked. Thread-safe."""

    def __init__(
        self,
        policy: OutboundPolicy,
        limits: Limits | None = None,
        resolve: Resolve = resolve_host,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
        proxy: str | None = None,
    ) -> None:
        self._limits, self._clock = limits or Limits(), clock
        self._tokens: Mapping[tuple[str, int], str] | None = None
        timeout = httpx2.Timeout(self._limits.read_seconds, connect=self._limits.connect_seconds)
        self._transport = CheckedTransport(policy, resolve, tls, self._limits.head_seconds, proxy)
        self._http = httpx2.Client(
            transport=self._transport,
            trust_env=False,
            follow_redirects=False,
            timeout=timeout,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the client."""
        self._http.close()

    def with_tokens(self, tokens: Mapping[tuple[str, int], str] | None) -> "OutboundClient":
        """Return a client that sends these tokens, each to the host and port that it is for; None: tokens are off.

        It shares everything else with this one, and is not closed by itself. A token is sent to the address that is
        requested, and kept for redirects within the same origin; a redirect to another origin gets none, even if there
        is a token for it.
        """
        client = copy.copy(self)
        client._tokens = tokens
        return client

    def get_token_use(self, url: httpx2.URL) -> TokenUse:
        """Return whether a request to this address has a token."""
        if self._tokens is None:
            return TokenUse.OFF
        return TokenUse.NONE if self._find_token(url) is None else TokenUse.SENT

    def _find_token(self, url: httpx2.URL) -> str | None:
        """Return the token for an address; None without one.

        None over http to the port of https, too: a token for a host without a port is for https. The policy allows http
        only to hosts that the operator lists, and on another port, the operator chose it.
        """
        target = find_host_and_port(url)
        if target is None or (url.scheme != "https" and target[1] == HTTPS_PORT):
            return None
        return (self._tokens or {}).get(target)

    @contextmanager
    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        content: bytes | None = None,
        max_redirects: int = MAX_REDIRECTS,
    ) -> Iterator[OutboundResponse]:
        """Send a request, follow its redirects, and close the response at the end of the block.

        Credentials in ``headers`` are left out from the first redirect to another origin on. With ``max_redirects=0``,
        a redirect itself is returned; a request with ``content`` needs that.

        Raises:
            AddressRefused: the address, or one that it redirects to, may not be requested; nothing is sent there.
            RedirectRefused: there are too many redirects, or one without an address.
            SourceUnreachable: see ``errors``.
        """
        address = parse_url(url)
        token = self._find_token(address)
        sent = dict(headers or {}) | ({} if token is None else {"Authorization": f"Bearer {token}"})
        if content is None:
            response, last = self._follow(method, address, sent, max_redirects)
        elif max_redirects:
            raise ValueError("A request with a body follows no redirects.")
        else:
            response, last = self._send(method, address, sent, content), address
        try:
            yield OutboundResponse(response, last, address, self.get_token_use(address), self._limits, self._clock)
        finally:
            response.close()

    def _follow(
        self, method: str, url: httpx2.URL, headers: dict[str, str], max_redirects: int
    ) -> tuple[httpx2.Response, httpx2.URL]:
        """Send a request and follow redirects; return the last response, open, and its address.

        Raises:
            RedirectRefused: there are too many redirects, or one without an address.
        """
        for _ in range(max_redirects + 1):
            response = self._send(method, url, headers)
            if response.status_code not in _REDIRECTS or max_redirects == 0:
                return response, url
            response.close()
            following = _get_location(response, url)
            if _get_origin(following) != _get_origin(url):
                headers = {name: value for name, value in headers.items() if name.lower() not in _CREDENTIALS}
            url = following
        raise RedirectRefused(f"{_show_host(url)} redirects more than {max_redirects} times.")

    def _send(
        self, method: str, url: httpx2.URL, headers: Mapping[str, str], content: bytes | None = None
    ) -> httpx2.Response:
        """Send one request without cookies; the body of its response is not read yet."""
        fixed = {"Accept-Encoding": "identity", "User-Agent": "modelyard"}
        with _translate_errors(url):
            request = self._http.build_request(method, url, headers=fixed | dict(headers), content=content)
            return self._http.send(request, stream=True)


def _get_location(response: httpx2.Response, url: httpx2.URL) -> httpx2.URL:
    """Return the address that a response redirects to; raises ``RedirectRefused`` or ``AddressRefused``."""
    location = response.headers.get("location")
    if not location:
        raise RedirectRefused(f"{_show_host(url)} redirects to no address.")
    return url.join(parse_url(location))


def _get_origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    """Return scheme, host and port of a URL; the port is None where it is the scheme's own."""
    return url.scheme, url.host, url.port


def _show_host(url: httpx2.URL) -> str:
    """Return the host of a URL for messages."""
    return f"'{url.host}'"


@contextmanager
def _translate_errors(url: httpx2.URL) -> Iterator[None]:
    """Translate the library's errors; messages name the address without its query.

    Raises:
        SourceTooSlow, ProxyRefused, ProxyFailed, SourceUnreachable: see ``errors``.
    """
    try:
        yield
    except httpx2.TimeoutException:
        raise SourceTooSlow(f"{_show_host(url)} did not answer in time.") from None
    except httpx2.ProxyError as error:
        if str(error).startswith("403"):
            message = f"The registry's proxy (MODELYARD_EGRESS_PROXY) refuses to connect to {_show_host(url)}."
            raise ProxyRefused(f"{message} Ask the operator.") from None
        raise ProxyFailed(
            f"The registry's proxy (MODELYARD_EGRESS_PROXY) did not connect to {_show_host(url)}: {error}"
        ) from None
    except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, ssl.SSLError) as error:
        reason = str(error) or type(error).__name__
        raise SourceUnreachable(f"The connection to '{show_url(url)}' failed: {reason}") from None
