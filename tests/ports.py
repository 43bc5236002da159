"""Free ports of 127.0.0.1 for servers that tests start, below the range that the system gives to clients."""

import secrets
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from tests.waiting import wait_until

# Above the ports of services that a machine may run anyway.
LOWEST_PORT = 10_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 1_000
_STARTS = 3
# One lock for each port given out, held until this process ends, so that two test runs never share a port.
_reserved: dict[int, socket.socket] = {}


class NotStartedError(AssertionError):
    """A server exited while it started, or did not answer in time; the message is its log."""


class Service(Protocol):
    """A server that tests start, whose ports are chosen before the start."""

    def choose_ports(self) -> None: ...

    def start(self) -> None: ...

    def stop(self, how: signal.Signals) -> None: ...


def start_on_free_ports(service: Service) -> None:
    """Start a server for the first time; try up to three times with new ports, in case another program took one.

    Raises:
        NotStartedError: no attempt succeeded; the message is its log.
    """
    for _ in range(_STARTS - 1):
        try:
            return service.start()
        except NotStartedError:
            service.stop(signal.SIGKILL)
            service.choose_ports()
    return service.start()


def wait_for_start(process: subprocess.Popen[bytes], is_answering: Callable[[], bool], log: Callable[[], str]) -> None:
    """Wait until a server answers that was just started.

    Raises:
        NotStartedError: it exited, or did not answer in time; the message is the end of its log.
    """
    try:
        wait_until(lambda: process.poll() is not None or is_answering())
        assert process.poll() is None
    except AssertionError as failure:
        raise NotStartedError(f"The server did not answer:\n{log()[-4000:]}") from failure


def first_ephemeral_port() -> int:
    """Return the lowest port that the system assigns to clients (from /proc on Linux; 32768 elsewhere)."""
    return int(_EPHEMERAL.read_text().split()[0]) if _EPHEMERAL.exists() else 32_768


def free_port(*, twin: int = 0) -> int:
    """Return a random free port for a server that may be restarted, and lock it for this process.

    With ``twin``, the port that many above is free and locked as well. No other test run gets the same port; an
    unrelated program may still take it, so a first start is repeated with other ports.
    """
    for _ in range(_TRIES):
        port = LOWEST_PORT + secrets.randbelow(first_ephemeral_port() - LOWEST_PORT - twin)
        if _reserve(*sorted({port, port + twin})):
            return port
    raise AssertionError(f"No free port was found below {first_ephemeral_port()}.")


def _reserve(*ports: int) -> bool:
    """Lock all the ports or none of them; return False if one is in use or locked."""
    with ExitStack() as held:
        locks = {}
        for port in ports:
            try:
                locks[port] = held.enter_context(_lock(port))
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                return False
        held.pop_all()
    _reserved.update(locks)
    return True


def _lock(port: int) -> socket.socket:
    """Bind an abstract socket name for the port, which the kernel frees when this process ends.

    Raises:
        OSError: the name is bound, by this process or another.
    """
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0modelyard-test-port-{port}")
    except OSError:
        lock.close()
        raise
    return lock
