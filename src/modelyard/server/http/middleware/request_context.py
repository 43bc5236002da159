"""The outermost middleware: request id, default headers, access log and metrics of each request."""

import asyncio
import re
import secrets
import time

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelyard.server.database.session import serves_request
from modelyard.server.http import problems
from modelyard.server.http.api_route import API_PREFIX
from modelyard.server.http.middleware.access_log import log_request
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.http.middleware.security_headers import NO_PAGE, get_fixed_headers
from modelyard.wire.problems import Unavailable

_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# The security headers of every response that does not set them itself.
_BROWSER_HEADERS = [
    (name.lower().encode(), value.encode())
    for name, value in {**get_fixed_headers(), "Content-Security-Policy": NO_PAGE}.items()
]
# Of scripts and styles, of which a page loads dozens: a browser shows them as text, in which nothing runs or loads.
_FILE_HEADERS = [header for header in _BROWSER_HEADERS if header[0] == b"x-content-type-options"]
_FILE_TYPES = (b"text/javascript", b"text/css")


class RequestContext:
    """Middleware that gives each request an id and each response safe headers, and logs and counts both.

    It is the outermost one, so that error responses also get an id and headers.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on an HTTP request with its id, then log and count it.

        A request that the stopping server cancels gets a 503 if its response has not begun; the cancellation ends here.
        An unexpected error gets a 500 likewise, and is raised again.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _choose_request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        serves_request.set(True)
        exchange = _Exchange(receive, send, request_id)
        self.metrics.open_requests.inc()
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            # The server stops, and this request has used up its grace period.
            if not exchange.status:
                problem = Unavailable("The registry is stopping. Send the request again.", retry_after=2)
                await problems.build_response(Request(scope), problem)(scope, exchange.receive, exchange.send)
        except Exception as error:
            # The framework would respond outside of this middleware: without these headers, and counted as status 0.
            if not exchange.status:
                await (await problems.handle_unexpected_error(Request(scope), error))(
                    scope, exchange.receive, exchange.send
                )
            raise
        finally:
            self.metrics.open_requests.dec()
            self._record(scope, exchange, request_id)

    def _record(self, scope: Scope, exchange: "_Exchange", request_id: str) -> None:
        """Log and count a finished request, in the metrics by route."""
        route = scope.get("route")
        path = getattr(route, "path", "").removeprefix(API_PREFIX)
        path = path or ("/blobs" if scope["path"].startswith("/blobs/") else "other")
        seconds = time.perf_counter() - exchange.started
        self.metrics.requests.labels(scope["method"], path, str(exchange.status)).inc()
        self.metrics.seconds.labels(path).observe(seconds)
        self.metrics.received.inc(exchange.received)
        self.metrics.sent.inc(exchange.sent)
        log_request(scope, request_id, exchange.status, seconds, exchange.received, exchange.sent)


class _Exchange:
    """The messages of one request, counted; its response gets the request id and the safe headers."""

    def __init__(self, receive: Receive, send: Send, request_id: str) -> None:
        self._receive, self._send = receive, send
        self._header = (b"x-request-id", request_id.encode())
        self.started = time.perf_counter()
        self.status = 0
        self.received = 0
        self.sent = 0

    async def receive(self) -> Message:
        """Receive a message and count the bytes of the request's body."""
        message = await self._receive()
        self.received += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        """Send a message with the default headers, and count the bytes of the response's body."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": _add_default_headers([*message.get("headers", []), self._header])}
        else:
            self.sent += len(message.get("body", b""))
        await self._send(message)


def _add_default_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Append to the list the security headers and ``Cache-Control`` that it lacks, and return it."""
    sent = {name.lower(): value for name, value in headers}
    defaults = _FILE_HEADERS if sent.get(b"content-type", b"").startswith(_FILE_TYPES) else _BROWSER_HEADERS
    headers += [(name, value) for name, value in defaults if name not in sent]
    if b"cache-control" not in sent:
        # A response with an ETag may be stored by the client, if it is revalidated each time.
        headers.append((b"cache-control", b"private, no-cache" if b"etag" in sent else b"no-store"))
    return headers


def _choose_request_id(scope: Scope) -> str:
    """Return the client's request id if it is of at most 64 plain characters, else a new one."""
    sent = dict(scope["headers"]).get(b"x-request-id", b"")
    return sent.decode() if _SAFE_ID.fullmatch(sent) else secrets.token_hex(8)
