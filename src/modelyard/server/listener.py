"""The HTTP listener: uvicorn, with bounds on a request's head, that says where it listens."""

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

import typer
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from modelyard.server.settings import Settings

# Requests in flight get this long after SIGTERM.
GRACE_SECONDS = 30
# A proxy in front has to be the first to close an idle connection: see docs/deploy/nginx.conf.
KEEP_ALIVE_SECONDS = 75
# A request's head is a few hundred bytes, sent at once. The parser itself would wait, and buffer, for ever.
HEAD_SECONDS = 10.0
HEAD_BYTES = 64 * 1024


def http_server(app: ASGIApp, settings: Settings, end_waiting: Callable[[], None]) -> uvicorn.Server:
    """A server for this application, not yet running; ``started`` tells after ``run`` whether it ever listened.

    ``end_waiting`` is called first of all when it stops: requests that wait for news would be waited for.
    """
    return _Announcing(
        end_waiting,
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=_BoundedHeads,
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            server_header=False,
        ),
    )


class _BoundedHeads(HttpToolsProtocol):
    """HTTP/1.1 that closes a connection whose next head is late or endless."""

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._deadline is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.send_400_response("The head of this request is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._head_is_here()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._head_bytes = 0
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_is_here(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Announcing(uvicorn.Server):
    """Says where it listens, once it does, and when it is about to stop."""

    def __init__(self, end_waiting: Callable[[], None], config: uvicorn.Config) -> None:
        super().__init__(config)
        self._end_waiting = end_waiting

    async def shutdown(self, sockets: Any = None) -> None:
        self._end_waiting()
        await super().shutdown(sockets)

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        for server in self.servers:
            for sock in server.sockets:
                host, port = sock.getsockname()[:2]
                scheme = "https" if self.config.is_ssl else "http"
                shown = f"[{host}]" if ":" in host else host
                typer.echo(f"modelyard listens on {scheme}://{shown}:{port}")
        sys.stdout.flush()
        logging.getLogger("modelyard").info("started")
