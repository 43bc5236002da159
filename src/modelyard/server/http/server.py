"""The HTTP server: uvicorn, which prints its address, and the sockets that it gets."""

import errno
import logging
import os
import shlex
import socket
import ssl
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
from modelyard.server.http.execution.threads import set_switch_interval
from modelyard.server.http.memory import exclude_loaded_objects_from_collection, keep_memory_trimmed
from modelyard.server.http.public_url import bracket_host
from modelyard.server.settings import Settings

# What docs/operate.md promises: a process has ended 30 seconds after SIGTERM, also when something hangs.
STOP_SECONDS = 29.0
# Of these, requests in flight get the most; the rest is for jobs, threads and the database.
GRACE_SECONDS = 24
# A proxy in front has to be the first to close an idle connection: see docs/deploy/nginx.conf.
KEEP_ALIVE_SECONDS = 75
# A machine without IPv6 has no address for a host name that has one of IPv4 and one of IPv6.
_NO_SUCH_ADDRESS = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EADDRNOTAVAIL)
# So many ports after a taken one are tried for the command that is suggested, and so many free ones for two addresses.
_NEIGHBOURS = 20


class CannotListen(OSError):
    """The address or the port of the settings cannot be used; the text says what to do."""


class CertificateInvalid(OSError):
    """The certificate or its key cannot be used; the text says what to change."""


def check_certificate(settings: Settings) -> None:
    """Check that the certificate of the settings and its key can be read and belong together, if there is one.

    Raises:
        CertificateInvalid: they do not, or one of them is missing.
    """
    if settings.tls_cert is None:
        if settings.tls_key is not None:
            raise CertificateInvalid("There is a key without a certificate. Set MODELYARD_TLS_CERT, or --tls-cert.")
        return
    for name, file in (("CERT", settings.tls_cert), ("KEY", settings.tls_key or settings.tls_cert)):
        try:
            file.open("rb").close()
        except OSError as error:
            setting = f"MODELYARD_TLS_{name} or --tls-{name.lower()}"
            raise CertificateInvalid(f'The file "{file}" of {setting} cannot be read: {error.strerror}.') from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key)
    except ssl.SSLError:
        reason = "and its key do not belong together, or are no PEM files: see MODELYARD_TLS_KEY."
        raise CertificateInvalid(f'"{settings.tls_cert}" {reason}') from None


def open_sockets(host: str, port: int, option: str) -> Sequence[socket.socket]:
    """Return a socket for each address of the host; connections are refused until a server listens on them.

    All have the same port, which no other program can take meanwhile; see ``_reserve``. An empty host means every
    address of this machine. ``option`` is the name of the port's option; the error tells what to change.

    Raises:
        CannotListen: the port is taken, or this machine has no such address.
    """
    try:
        return _reserve_all(host, port)
    except OSError as error:
        raise _build_cannot_listen(error, host, port, option) from None


def _reserve_all(host: str, port: int) -> Sequence[socket.socket]:
    """Reserve a port on each address of the host; raise OSError, with none reserved, if one is taken or none is there.

    A free port may be taken on a later address; then other free ones are tried.
    """
    addresses = _look_up(host, port)
    for _ in range(_NEIGHBOURS if port == 0 else 0):
        with suppress(OSError):
            return _reserve_same_port(addresses)
    return _reserve_same_port(addresses)


def _look_up(host: str, port: int) -> Sequence[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """Return the addresses of the host, each once, with their families; raise gaierror if there are none."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "not a valid host name") from None
    return [*dict.fromkeys((family, address) for family, _, _, _, address in found)]


def _reserve_same_port(addresses: Sequence[tuple[socket.AddressFamily, tuple[Any, ...]]]) -> Sequence[socket.socket]:
    """Reserve the port of the addresses on each of them; instead of port 0, the one that the first address got.

    Raises:
        OSError: the port is taken, or this machine has none of the addresses.
    """
    opened: list[socket.socket] = []
    missing: OSError | None = None
    for family, (host, port, *scope) in addresses:
        chosen = opened[0].getsockname()[1] if opened else port
        try:
            opened.append(_reserve(family, (host, chosen, *scope)))
        except OSError as error:
            if error.errno not in _NO_SUCH_ADDRESS:
                _close_all(opened)
                raise
            missing = error
    if missing is not None and not opened:
        raise missing
    return opened


def _reserve(family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
    """Return a socket that keeps a port from other programs, but refuses connections until it listens.

    A restart needs SO_REUSEADDR, since old connections occupy the port for a minute. With it, Linux lets two programs
    bind the port as long as neither listens. So the socket listens for a moment, which only the first one can, and
    keeps the port without SO_REUSEADDR; ``_listen`` sets that again. HAProxy pauses its listeners in this way. Where
    shutdown does not end listening (macOS), connections wait instead. So do those to a free port (0), which a shutdown
    would give back; no client knows its number yet.
    """
    reserved = socket.create_server(address, family=family)
    if address[1] != 0:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        with suppress(OSError):
            reserved.shutdown(socket.SHUT_RD)
    return reserved


def _listen(sockets: Sequence[socket.socket], backlog: int) -> None:
    """Listen on sockets of ``open_sockets``."""
    for each in sockets:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        each.listen(backlog)


def _close_all(sockets: Sequence[socket.socket]) -> None:
    for each in sockets:
        each.close()


def _build_cannot_listen(error: OSError, host: str, port: int, option: str) -> CannotListen:
    """Return the error with what to do: for a taken port the command that was typed, with a free one."""
    if error.errno != errno.EADDRINUSE:
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        host_option = "--host" if option == "port" else "MODELYARD_METRICS_HOST"
        return CannotListen(
            f"This machine cannot listen on {bracket_host(host)}:{port}: {reason}. Name another address with "
            f"{host_option}, or another port with --{option}."
        )
    return CannotListen(
        f"Port {port} of {host or 'this machine'} is taken by another program; perhaps this registry runs already. "
        f"Nothing was started. {_suggest_other_port(host, port, option)}"
    )


def _suggest_other_port(host: str, taken: int, option: str) -> str:
    """Return the typed command with one of the ports after a taken one, free now; if none is, how to get any."""
    for port in range(taken + 1, min(taken + _NEIGHBOURS, 65536)):
        with suppress(OSError):
            _close_all(_reserve_all(host, port))
            return f"To use another port:\n  {_build_command(option, port)}"
    return f"--{option} 0 takes any free port."


def _build_command(option: str, port: int) -> str:
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
        """Call ``begin_stop``, then stop as uvicorn does, with log lines at both ends.

        After ``STOP_SECONDS`` the process exits with 1.
        """
        last_resort = threading.Timer(STOP_SECONDS, _exit_at_once)
        last_resort.daemon = True
        last_resort.start()
        logging.getLogger("modelyard").info("stopping: requests in flight end first")
        self._begin_stop()
        await super().shutdown(sockets)
        logging.getLogger("modelyard").info("stopped")

    async def startup(self, sockets: Any = None) -> None:
        """Listen, print the addresses to standard output, log the start, and set how threads and memory are used."""
        _listen(sockets, self.config.backlog)
        await super().startup(sockets)
        if not self.started:
            return
        set_switch_interval()
        keep_memory_trimmed()
        exclude_loaded_objects_from_collection()
        for server in self.servers:
            for sock in server.sockets:
                host, port = sock.getsockname()[:2]
                scheme = "https" if self.config.is_ssl else "http"
                typer.echo(f"modelyard listens on {scheme}://{bracket_host(host)}:{port}")
        sys.stdout.flush()
        logging.getLogger("modelyard").info("started")


def _exit_at_once() -> None:
    """Log and end a process with exit code 1 because its shutdown hangs, for example on a stalled store.

    No confirmed change is lost by it.
    """
    logging.getLogger("modelyard").error("stopping took too long: the process ends without waiting for the rest")
    os._exit(1)
