"""The transport of outbound requests: resolve once, check every answer, connect to a checked address."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from typing import Any

import httpx2

from modelyard.server.outbound.addresses import IpAddress, is_allowed
from modelyard.server.outbound.errors import AddressRefused, SourceTooSlow, SourceUnreachable
from modelyard.server.outbound.policy import OutboundPolicy, Target, check_proxied

Resolve = Callable[[str, int], Sequence[IpAddress]]
# Called by the library with each event of a connection, see the documentation of its extension `trace`.
_Trace = Callable[[str, Mapping[str, Any]], None]
# Addresses of a host that are tried: a host may have hundreds, none of which answers.
MAX_ADDRESSES = 4


def resolve_host(host: str, port: int) -> list[IpAddress]:
    """Return the addresses of a host by the system's resolver, in its order.

    Raises:
        SourceUnreachable: the host has none, or the resolver does not answer.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise SourceUnreachable(f"The host '{host}' has no address.") from None
    # A scope (`fe80::1%eth0`) belongs to a link-local address, which is refused.
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def resolve_checked(target: Target, resolve: Resolve = resolve_host) -> Sequence[IpAddress]:
    """Return the addresses of a host, at least one.

    Raises:
        AddressRefused: one of them is not allowed.
        SourceUnreachable: the host has none, or the resolver does not answer.
    """
    addresses = resolve(target.host, target.port)
    if not addresses:
        raise SourceUnreachable(f"The host '{target.host}' has no address.")
    if not all(is_allowed(address, is_listed=target.is_listed) for address in addresses):
        raise AddressRefused(
            f"'{target.host}' has an address that is not public, and is not requested unless the operator lists it."
        )
    return addresses


def check_target(policy: OutboundPolicy, url: httpx2.URL, proxy: str | None) -> None:
    """Check that requests may be sent to a URL now; raises as ``CheckedTransport.handle_request``."""
    target = policy.check(url)
    if proxy is None:
        resolve_checked(target)
    else:
        check_proxied(target)


class CheckedTransport(httpx2.BaseTransport):
    """Sends each request to a checked IP address of its host, over a connection of its own.

    From the look-up of the host to the end of the response's headers, with all addresses that are tried, it takes at
    most ``head_seconds``; only the system's resolver may take longer, and then nothing is sent. The host stays in the
    ``Host`` header and is the name that the server's certificate must have. Proxies and certificate settings of the
    environment are not used.

    With the operator's ``proxy``, that resolves hosts and connects to them: see ``check_proxied`` for what is checked.
    """

    def __init__(
        self,
        policy: OutboundPolicy,
        resolve: Resolve = resolve_host,
        tls: ssl.SSLContext | None = None,
        head_seconds: float = 60.0,
        proxy: str | None = None,
    ) -> None:
        self._policy, self._resolve, self._head_seconds, self._proxy = policy, resolve, head_seconds, proxy
        # A connection for one host name must not serve another host at the same address: none is kept.
        self._http = httpx2.HTTPTransport(
            verify=tls or ssl.create_default_context(),
            trust_env=False,
            limits=httpx2.Limits(max_keepalive_connections=0),
            proxy=None if proxy is None else httpx2.Proxy(proxy),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request to the first of ``MAX_ADDRESSES`` that can be connected to.

        Raises:
            AddressRefused: before any connection.
            SourceUnreachable: see ``errors``.
        """
        ends = time.monotonic() + self._head_seconds
        target = self._policy.check(request.url)
        if self._proxy is not None:
            check_proxied(target)
            return self._send_to(request, target.host, target, ends)
        addresses = resolve_checked(target, self._resolve)[:MAX_ADDRESSES]
        for address in addresses[:-1]:
            try:
                return self._send_to(request, address, target, ends)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return self._send_to(request, addresses[-1], target, ends)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _send_to(
        self, request: httpx2.Request, address: IpAddress | str, target: Target, ends: float
    ) -> httpx2.Response:
        """Send a request to one address, or through a proxy to a host, until ``ends`` of the monotonic clock.

        The name for TLS is the host's.

        Raises:
            SourceTooSlow: the time is over.
        """
        left = ends - time.monotonic()
        too_slow = SourceTooSlow(f"'{target.host}' did not answer within {self._head_seconds:g} seconds.")
        if left <= 0:
            raise too_slow
        url = request.url.copy_with(host=str(address), port=target.port)
        timeout = request.extensions["timeout"]
        extensions = request.extensions | {"sni_hostname": target.host.strip("[]")}
        extensions |= {"timeout": timeout | {"connect": min(timeout["connect"], left)}}
        with _limit_head(left, too_slow) as trace:
            extensions |= {"trace": trace}
            return self._http.handle_request(
                httpx2.Request(
                    request.method, url, headers=request.headers, stream=request.stream, extensions=extensions
                )
            )


@contextmanager
def _limit_head(seconds: float, too_slow: SourceTooSlow) -> Iterator[_Trace]:
    """Yield a trace that shuts its connection down after so many seconds, unless the block has ended before.

    The library limits each read, so that a source could send its headers for hours, one byte at a time.

    Raises:
        SourceTooSlow: the connection was shut down; it is ``too_slow``.
    """
    is_over = threading.Event()
    with ExitStack() as stack:

        def trace(event: str, info: Mapping[str, Any]) -> None:
            if event == "connection.connect_tcp.complete":
                # A duplicate, since TLS takes the socket over.
                connection = stack.enter_context(info["return_value"].get_extra_info("socket").dup())
                timer = threading.Timer(seconds, _shut_down, (connection, is_over))
                timer.daemon = True
                timer.start()
                stack.callback(timer.cancel)

        try:
            yield trace
        except httpx2.HTTPError:
            if is_over.is_set():
                raise too_slow from None
            raise


def _shut_down(connection: socket.socket, is_over: threading.Event) -> None:
    """Shut a connection down, which ends a read of it in another thread."""
    is_over.set()
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
