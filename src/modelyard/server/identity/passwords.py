"""Password hashing with argon2id, with limits on concurrency and the same time for unknown users."""

import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from modelyard.wire.problems import Unavailable

# OWASP's minimum for argon2id is 19 MiB and 2 passes. Two hashes at a time keep the server's memory small.
DEFAULT_METHOD = argon2.PasswordHasher(time_cost=3, memory_cost=19_456, parallelism=1)
MAX_CONCURRENT = 2
# Each waiting request holds a thread of the server; more than this would slow down requests that do not sign in.
MAX_QUEUED = 12


Result = TypeVar("Result")


class PasswordHasher:
    """Hashes and verifies passwords. Both take tens of milliseconds, so call them outside of write transactions."""

    def __init__(self, method: argon2.PasswordHasher = DEFAULT_METHOD) -> None:
        self._method = method
        # A thread pool of its own: the C library keeps the memory of a hash for each thread that ever computed one.
        self._threads = ThreadPoolExecutor(MAX_CONCURRENT, thread_name_prefix="passwords")
        self._queue = threading.Semaphore(MAX_CONCURRENT + MAX_QUEUED)
        self._dummy_hash = method.hash("nobody has this password")

    def hash(self, password: str) -> str:
        """Return a salted argon2id hash that contains its parameters.

        Raises:
            Unavailable: 14 calls run or wait already.
        """
        return self._run_limited(lambda: self._method.hash(_normalize(password)))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether the password matches the hash. None (no such user) takes as long as a wrong password.

        Raises:
            Unavailable: 14 calls run or wait already.
        """
        matches = self._run_limited(lambda: self._matches(password_hash or self._dummy_hash, password))
        return matches and password_hash is not None

    def _matches(self, password_hash: str, password: str) -> bool:
        """Return whether the password matches a hash; False for a malformed hash."""
        try:
            return self._method.verify(password_hash, _normalize(password))
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether the hash was computed with other cost parameters than the current ones."""
        return self._method.check_needs_rehash(password_hash)

    def _run_limited(self, work: Callable[[], Result]) -> Result:
        """Run a function on the hasher's thread pool, and return its result.

        Raises:
            Unavailable: 14 calls run or wait already.
        """
        if not self._queue.acquire(blocking=False):
            raise Unavailable("Too many users are signing in at the moment. Try again.", retry_after=2)
        try:
            return self._threads.submit(work).result()
        finally:
            self._queue.release()


def _normalize(password: str) -> str:
    """Return the password in Unicode NFC, since keyboards compose accented letters differently."""
    return unicodedata.normalize("NFC", password)
