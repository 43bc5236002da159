"""Password hashes: argon2id, two at a time, and as long for nobody as for somebody."""

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from modelyard.wire.problems import Unavailable

# OWASP's argon2id floor is 19 MiB and 2 passes. Two at a time keep the server's memory small.
STRONG = argon2.PasswordHasher(time_cost=3, memory_cost=19_456, parallelism=1)
AT_ONCE = 2
# Whoever waits holds a thread of the server. Beyond this many, logging in must not stop everything else.
WAITING_AT_MOST = 12


class PasswordHasher:
    """Hashes and checks passwords. Both take tens of milliseconds: never inside a write transaction."""

    def __init__(self, method: argon2.PasswordHasher = STRONG) -> None:
        self._method = method
        self._places = threading.Semaphore(AT_ONCE)
        self._queue = threading.Semaphore(AT_ONCE + WAITING_AT_MOST)
        self._nobody = method.hash("nobody has this password")

    def hash(self, password: str) -> str:
        """A salted hash that says how it was made.

        Raises:
            Unavailable: too many wait already.
        """
        with self._turn():
            return self._method.hash(_normal(password))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password made the hash; as slow for None (no such user) as for a wrong password.

        Raises:
            Unavailable: too many wait already.
        """
        with self._turn():
            try:
                self._method.verify(password_hash or self._nobody, _normal(password))
            except (VerificationError, InvalidHashError):
                return False
        return password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other costs than today's."""
        return self._method.check_needs_rehash(password_hash)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._queue.acquire(blocking=False):
            raise Unavailable("Too many people are signing in at this moment. Try again.", retry_after=2)
        try:
            with self._places:
                yield
        finally:
            self._queue.release()


def _normal(password: str) -> str:
    """One form, whichever keyboard composed the letters."""
    return unicodedata.normalize("NFC", password)
