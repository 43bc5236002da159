"""What every request gets: an id and safe headers on its answer, one log line, a place in ``/metrics``."""

import json
import logging
import re
import secrets
import sys
import time
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelyard.server import problems
from modelyard.server.settings import Settings

SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
PLAIN_STEP = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z0-9._-]{0,24}")
# Keys, tokens and signatures, wherever a message or a library might print one.
SECRET = re.compile(
    r"\b((?:sk|dk|ak|in|rs|mr|pc)-)[A-Za-z0-9_-]{16,}|(eyJ)[A-Za-z0-9_.-]{16,}|((?<![A-Za-z_])[Ss]ignature=)[^&\s\"]+"
)
STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

log = logging.getLogger("modelyard.request")


class Metrics:
    """The counters of one process; a registry of its own, so that two apps in one process do not add up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "modelyard_requests", "Answered requests.", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "modelyard_request_seconds",
            "Time from the first byte of a request to the last of its answer.",
            ["route"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
        )
        self.open_requests = Gauge("modelyard_open_requests", "Requests being answered.", registry=self.registry)
        self.received = Counter("modelyard_received_bytes", "Bytes of request bodies.", registry=self.registry)
        self.sent = Counter("modelyard_sent_bytes", "Bytes of answers.", registry=self.registry)
        self._add_work()

    def _add_work(self) -> None:
        """What this process does by the clock."""
        self.blobs_read = Counter(
            "modelyard_blobs_read",
            "New files that were read to the end, by what was found: verified or failed.",
            ["found"],
            registry=self.registry,
        )
        self.bytes_verified = Counter(
            "modelyard_verification_bytes", "Bytes read to verify new files.", registry=self.registry
        )
        self.bytes_scrubbed = Counter(
            "modelyard_scrubbed_bytes", "Bytes of verified files that were read again.", registry=self.registry
        )
        self.rotten = Counter(
            "modelyard_rotten_files", "Verified files that were found changed or gone.", registry=self.registry
        )
        self.collected = Counter(
            "modelyard_collected_bytes", "Bytes that the clean-up removed from the store.", registry=self.registry
        )
        self.chore_failures = Counter(
            "modelyard_chore_failures", "Chores that failed and were tried again.", ["chore"], registry=self.registry
        )
        self.chore_done = Gauge(
            "modelyard_chore_done_timestamp_seconds",
            "When this process last did a chore, or looked and found nothing to do, in seconds since 1970.",
            ["chore"],
            registry=self.registry,
        )


class Observed:
    """Gives each request its id, logs it once when it is answered, and counts it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        seen = _Seen(receive, send, request_id)
        self.metrics.open_requests.inc()
        try:
            await self.app(scope, seen.receive, seen.send)
        except Exception as error:
            # Left to the framework, the answer would pass outside of us: without these headers, counted as status 0.
            if not seen.status:
                await (await problems.on_bug(Request(scope), error))(scope, seen.receive, seen.send)
            raise
        finally:
            self.metrics.open_requests.dec()
            self._record(scope, seen, request_id)

    def _record(self, scope: Scope, seen: "_Seen", request_id: str) -> None:
        route = scope.get("route")
        path = getattr(route, "path", None) or ("/blobs" if scope["path"].startswith("/blobs/") else "other")
        seconds = time.perf_counter() - seen.started
        self.metrics.requests.labels(scope["method"], path, str(seen.status)).inc()
        self.metrics.seconds.labels(path).observe(seconds)
        self.metrics.received.inc(seen.received)
        self.metrics.sent.inc(seen.sent)
        log.info(
            "request",
            extra={
                "request_id": request_id,
                "method": scope["method"],
                "path": _shown(scope["path"]),
                "status": seen.status,
                "seconds": round(seconds, 4),
                "client": (scope.get("client") or ("",))[0],
                "received": seen.received,
                "sent": seen.sent,
            },
        )


class _Seen:
    """What passed in one request."""

    def __init__(self, receive: Receive, send: Send, request_id: str) -> None:
        self._receive, self._send = receive, send
        self._header = (b"x-request-id", request_id.encode())
        self.started = time.perf_counter()
        self.status = 0
        self.received = 0
        self.sent = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self.received += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": _safe([*message.get("headers", []), self._header])}
        else:
            self.sent += len(message.get("body", b""))
        await self._send(message)


def _shown(path: str) -> str:
    """The path for the log: ids and plain words. People paste keys, and once a password, where an id belongs."""
    steps = path[:300].split("/")
    return "/".join(step if PLAIN_STEP.fullmatch(step) else "…" for step in steps)


def _safe(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers, and those that keep browsers from guessing types and anybody from storing what is for one caller."""
    names = {name.lower() for name, _ in headers}
    if b"x-content-type-options" not in names:
        headers.append((b"x-content-type-options", b"nosniff"))
    if b"cache-control" not in names:
        # What has a version may be kept, if it is asked for again each time.
        headers.append((b"cache-control", b"private, no-cache" if b"etag" in names else b"no-store"))
    return headers


def _request_id(scope: Scope) -> str:
    """The caller's own id if it is harmless, else a new one."""
    sent = dict(scope["headers"]).get(b"x-request-id", b"")
    return sent.decode() if SAFE_ID.fullmatch(sent) else secrets.token_hex(8)


class JsonLines(logging.Formatter):
    """One JSON object a line, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in STANDARD_FIELDS}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return redacted(json.dumps(line, default=str, ensure_ascii=False))


class TextLines(logging.Formatter):
    """The same for eyes."""

    def format(self, record: logging.LogRecord) -> str:
        extra = " ".join(f"{name}={value}" for name, value in vars(record).items() if name not in STANDARD_FIELDS)
        return redacted(f"{super().format(record)} {extra}".rstrip())


def redacted(text: str) -> str:
    """The text with keys, tokens and signatures cut short."""
    return SECRET.sub(lambda found: f"{found[1] or found[2] or found[3]}…", text)


def start_logging(settings: Settings) -> None:
    """Send every logger's lines to standard error, in the format that the operator chose."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonLines() if settings.log_format == "json" else TextLines("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    # Alembic and uvicorn bring handlers of their own otherwise; their access log repeats ours.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("alembic").setLevel("WARNING")
