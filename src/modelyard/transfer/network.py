"""How a transfer treats the network: how patient it is, how fast it may be, whom it trusts."""

import ssl
import threading
import time
from dataclasses import dataclass
from functools import cache

from modelyard.transfer.turns import Queue

LARGEST_PIECE = 1024 * 1024


class Pace:
    """A limit in bytes per second, shared by all transfers that are given the same object; thread-safe."""

    def __init__(self, bytes_per_second: float) -> None:
        if bytes_per_second <= 0:
            raise ValueError("A pace is more than 0 bytes per second.")
        self._rate = bytes_per_second
        self._free_at = time.monotonic()
        self._lock = threading.Lock()

    @property
    def piece(self) -> int:
        """The most bytes to move at once, so that a slow pace stays even."""
        return max(1024, min(LARGEST_PIECE, int(self._rate / 8)))

    def delay(self, count: int) -> float:
        """Seconds to wait after ``count`` bytes have moved."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + count / self._rate
            return self._free_at - now


@dataclass(frozen=True)
class Network:
    """The settings of a connection; the defaults suit the open internet and a local network."""

    connect_seconds: float = 15.0
    stall_seconds: float = 30.0  # no byte for so long is a failure, however long the transfer takes
    answer_seconds: float = 120.0  # from the last byte sent to the answer: the store may have to reach its disk
    tries: int = 8  # failures in a row, without progress, after which it gives up
    first_wait_seconds: float = 0.5  # doubled after each failure
    longest_wait_seconds: float = 30.0
    # Of one of several parallel requests for a file. Small enough that the hash, which needs the bytes in order, keeps
    # up with four of them; large enough that a round trip for each costs nothing.
    range_size: int = 32 * 1024 * 1024
    pace: Pace | None = None
    queue: Queue | None = None  # where transfers share a number of requests
    tls: ssl.SSLContext | None = None  # None: the system's certificates


USUAL = Network()


@cache
def system_tls() -> ssl.SSLContext:
    """The certificates of this machine, or those that come with httpx2 where it has none."""
    context = ssl.create_default_context()
    if not context.get_ca_certs() and not ssl.get_default_verify_paths().capath:
        import certifi  # comes with httpx2; needed only by Pythons without a system store

        context.load_verify_locations(certifi.where())
    return context
