"""The HTTP server: uvicorn, which prints its address."""

import logging
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import typer
import uvicorn
from starlette.types import ASGIApp

from modelyard.server.http.connections import Connection, ConnectionTable
from modelyard.server.http.memory import exclude_loaded_objects_from_collection, keep_memory_trimmed
from modelyard.server.settings import Settings

# What docs/operate.md promises: a process has ended 30 seconds after SIGTERM, also when something hangs.
STOP_SECONDS = 29.0
# Of these, requests in flight get the most; the rest is for jobs, threads and the database.
GRACE_SECONDS = 24
# A proxy in front has to be the first to close an idle connection: see docs/deploy/nginx.conf.
KEEP_ALIVE_SECONDS = 75


def build_http_server(
    app: ASGIApp, settings: Settings, max_connections: int, begin_stop: Callable[[], None]
) -> uvicorn.Server:
    """Build a server for this application, not yet running; after ``run``, ``started`` tells whether it ever listened.

    ``begin_stop`` is called first when the server stops; it ends requests and jobs that the shutdown would wait for.
    """
    table = ConnectionTable(max_connections)
    return _AddressPrintingServer(
        begin_stop,
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=partial(Connection, table),  # type: ignore[arg-type]  # uvicorn calls it and asks for no class
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


class _AddressPrintingServer(uvicorn.Server):
    """A server that prints its address once it listens, and calls ``begin_stop`` before it stops."""

    def __init__(self, begin_stop: Callable[[], None], config: uvicorn.Config) -> None:
        super().__init__(config)
        self._begin_stop = begin_stop

    async def shutdown(self, sockets: Any = None) -> None:
        """Call ``begin_stop``, then stop as uvicorn does; after ``STOP_SECONDS`` the process exits with 1."""
        last_resort = threading.Timer(STOP_SECONDS, _exit_at_once)
        last_resort.daemon = True
        last_resort.start()
        self._begin_stop()
        await super().shutdown(sockets)

    async def startup(self, sockets: Any = None) -> None:
        """Listen, print the addresses to standard output, log the start, and keep memory trimmed from now on."""
        await super().startup(sockets)
        if not self.started:
            return
        keep_memory_trimmed()
        exclude_loaded_objects_from_collection()
        for server in self.servers:
            for sock in server.sockets:
                host, port = sock.getsockname()[:2]
                scheme = "https" if self.config.is_ssl else "http"
                shown = f"[{host}]" if ":" in host else host
                typer.echo(f"modelyard listens on {scheme}://{shown}:{port}")
        sys.stdout.flush()
        logging.getLogger("modelyard").info("started")


def _exit_at_once() -> None:
    """End a process whose shutdown hangs, for example on a stalled store. No confirmed change is lost by it."""
    logging.getLogger("modelyard").error("stopping took too long: the process ends without waiting for the rest")
    os._exit(1)
