"""Transfer options: timeouts, retries, bandwidth limit, concurrency and TLS."""

from __future__ import annotations

import ssl
import threading
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from modelyard.transfer.limited_transfer import LimitedTransfer
    from modelyard.transfer.source_file import FileIdentity

MAX_CHUNK_SIZE = 1024 * 1024


class BandwidthLimit:
    """A limit in bytes per second, shared by all transfers that use the same object. Thread-safe."""

    def __init__(self, bytes_per_second: float) -> None:
        if bytes_per_second <= 0:
            raise ValueError("A bandwidth limit must be more than 0 bytes per second.")
        self._rate = bytes_per_second
        self._free_at = time.monotonic()
        self._lock = threading.Lock()

    @property
    def chunk_size(self) -> int:
        """The most bytes to transfer at once, 1 KiB to 1 MiB, so that a low limit gives an even rate."""
        return max(1024, min(MAX_CHUNK_SIZE, int(self._rate / 8)))

    def compute_delay(self, count: int) -> float:
        """Count transferred bytes, and return how many seconds the caller has to wait for the limit; does not wait."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + count / self._rate
            return self._free_at - now


class IdleConnection(Protocol):
    """A connection of ``transfer.http`` that no transfer uses."""

    def close(self) -> None:
        """Close the connection."""


class IdleConnections:
    """The idle connections of transfers with the same options, at most as many as were in use at once.

    Bound to one event loop.
    """

    def __init__(self) -> None:
        self._connections: list[IdleConnection] = []

    def close(self) -> None:
        """Close the connections. Idempotent."""
        while self._connections:
            self._connections.pop().close()

    def take(self) -> IdleConnection | None:
        """Remove and return the connection that became idle last; None if there is none."""
        return self._connections.pop() if self._connections else None

    def give_back(self, connection: IdleConnection) -> None:
        """Keep a connection for the next transfer."""
        self._connections.append(connection)


@dataclass(frozen=True)
class TransferOptions:
    """The options of a transfer. The defaults suit both the internet and a local network."""

    connect_timeout_seconds: float = 15.0
    stall_timeout_seconds: float = 30.0  # without a byte transferred; the whole transfer has no limit
    # From the last byte sent to the response: the store may still have to write to its disk.
    response_timeout_seconds: float = 120.0
    # From the first failure on, without progress of any part of the transfer.
    no_progress_timeout_seconds: float = 300.0
    initial_backoff_seconds: float = 0.5  # doubled after each failure
    max_backoff_seconds: float = 30.0
    # Bytes per parallel request. Small enough that hashing, which needs the bytes in order, keeps up with four of
    # them; large enough that the round trips do not matter.
    range_size: int = 32 * 1024 * 1024
    bandwidth_limit: BandwidthLimit | None = None
    limited_transfer: LimitedTransfer | None = None  # set if transfers share a limit of concurrent requests
    idle_connections: IdleConnections | None = None  # set if transfers one after the other share connections
    source_identity: FileIdentity | None = None  # of an upload: nothing is sent of a file that has another one
    tls: ssl.SSLContext | None = None  # None: the system's certificates


DEFAULT_OPTIONS = TransferOptions()


@cache
def get_system_tls_context() -> ssl.SSLContext:
    """Return a cached TLS context with the system's certificates, or those of certifi if the system has none."""
    context = ssl.create_default_context()
    if not context.get_ca_certs() and not ssl.get_default_verify_paths().capath:
        import certifi  # comes with httpx2; needed only by Pythons without a system store

        context.load_verify_locations(certifi.where())
    return context
