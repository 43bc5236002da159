"""The HTTP server: uvicorn, which prints its address, and the sockets that it gets."""

import errno
import logging
import os
import shlex
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
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
# A machine without IPv6 has no address for a host name that has one of IPv4 and one of IPv6.
_NO_SUCH_ADDRESS = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EADDRNOTAVAIL)
# So many ports after a taken one are tried for the command that is suggested.
_NEIGHBOURS = 20


class CannotListen(OSError):
    """The address or the port of the settings cannot be used; the text says what to do."""


def open_sockets(host: str, port: int, option: str) -> Sequence[socket.socket]:
    """Return a listening socket for each address of the host; connections wait until a server takes them.

    They listen at once, so that a second server that starts meanwhile finds the port taken.

    ``option`` is the name of the port's option. It is part of the command that the error suggests.

    Raises:
        CannotListen: the port is taken, or this machine has no such address.
    """
    try:
        return _open_all(host, port)
    except OSError as error:
        raise _build_cannot_listen(error, host, port, option) from None


def _open_all(host: str, port: int) -> Sequence[socket.socket]:
    """Open a socket for each address of the host; raise OSError, with none open, if one is taken or none is there."""
    opened: list[socket.socket] = []
    missing: OSError | None = None
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            opened.append(socket.create_server(address, family=family))
        except OSError as error:
            if error.errno not in _NO_SUCH_ADDRESS:
                _close_all(opened)
                raise
            missing = error
    if missing is not None and not opened:
        raise missing
    return opened


def _close_all(sockets: Sequence[socket.socket]) -> None:
    for each in sockets:
        each.close()


def _build_cannot_listen(error: OSError, host: str, port: int, option: str) -> CannotListen:
    """Return the error with what to do: for a taken port the command that was typed, with a free one."""
    if error.errno != errno.EADDRINUSE:
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        return CannotListen(
            f"This machine cannot listen on {host}:{port}: {reason}. Name another address with --host, or "
            f"another port with --{option}."
        )
    return CannotListen(
        f"Port {port} of {host} is taken by another program; perhaps this registry runs already. Nothing was started. "
        f"To use another port:\n  {_suggest_command(option, _find_free_port(host, port))}"
    )


def _find_free_port(host: str, taken: int) -> int:
    """Return one of the ports after a taken one that is free now, or else 0, by which a free one is taken."""
    for port in range(taken + 1, min(taken + _NEIGHBOURS, 65536)):
        with suppress(OSError):
            _close_all(_open_all(host, port))
            return port
    return 0


def _suggest_command(option: str, port: int) -> str:
    """Return the command that was typed with this port instead of its own, as a shell reads it."""
    words, typed = [], iter(sys.argv[1:])
    for word in typed:
        if word == f"--{option}":
            next(typed, None)
        elif not word.startswith(f"--{option}="):
            words.append(word)
    return shlex.join(["modelyard", *words, f"--{option}", str(port)])


def build_http_server(
    app: ASGIApp, settings: Settings, max_connections: int, begin_stop: Callable[[], None]
) -> uvicorn.Server:
    """Build a server for this application; ``run`` takes its sockets; then ``started`` tells whether it ever listened.

    ``begin_stop`` is called first when the server stops; it ends requests and jobs that the shutdown would wait for.
    """
    table = ConnectionTable(max_connections)
    return _AddressPrintingServer(
        begin_stop,
        uvicorn.Config(
            app,
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
        logging.getLogger("modelyard").info("stopping: requests in flight end first")
        self._begin_stop()
        await super().shutdown(sockets)
        logging.getLogger("modelyard").info("stopped")

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
