import threading
from collections.abc import Callable

import argon2
import pytest

from modelyard.server.identity.passwords import MAX_CONCURRENT, MAX_QUEUED, PasswordHasher
from modelyard.wire.problems import Unavailable
from tests.server.conftest import CHEAP
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow


def test_verify_password_returns_whether_it_matches() -> None:
    password_hash = CHEAP.hash("a long sentence")
    assert CHEAP.verify(password_hash, "a long sentence")
    assert not CHEAP.verify(password_hash, "a long sentencf")


def test_verify_password_without_hash_returns_false() -> None:
    assert not CHEAP.verify(None, "nobody has this password")


def test_verify_password_ignores_unicode_composition() -> None:
    assert CHEAP.verify(CHEAP.hash("caf\u00e9 noir"), "cafe\u0301 noir")


def test_verify_password_with_broken_hash_returns_false() -> None:
    assert not CHEAP.verify("$argon2id$broken", "x")


def test_hash_password_uses_argon2id_with_recommended_cost() -> None:
    found = argon2.extract_parameters(PasswordHasher().hash("x"))
    assert found.type is argon2.Type.ID
    assert found.memory_cost >= 19_456
    assert found.time_cost >= 2


def test_is_outdated_hash_with_other_cost_returns_true() -> None:
    assert PasswordHasher().is_outdated(CHEAP.hash("x"))
    assert not CHEAP.is_outdated(CHEAP.hash("x"))


class _BlockedHasher(argon2.PasswordHasher):
    """Counts the calls that run at the same time, and blocks them unless ``released`` is set, as it is at first."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.released = threading.Event()
        self.released.set()
        self.running = 0
        self.max_running = 0
        self._lock = threading.Lock()

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        with self._lock:
            self.running += 1
            self.max_running = max(self.max_running, self.running)
        self.released.wait(PATIENCE_SECONDS)
        with self._lock:
            self.running -= 1
        return super().hash(password, salt=salt)


def test_hash_password_runs_two_at_a_time_and_refuses_a_long_queue() -> None:
    blocked = _BlockedHasher()
    hasher = PasswordHasher(blocked)
    blocked.released.clear()
    refused: list[Unavailable] = []

    def hash_password() -> None:
        try:
            hasher.hash("x")
        except Unavailable as problem:
            refused.append(problem)

    threads = _start_threads(hash_password, MAX_CONCURRENT + MAX_QUEUED)
    wait_until(lambda: hasher._queue._value == 0)
    with pytest.raises(Unavailable):
        hasher.hash("x")
    wait_until(lambda: blocked.running == MAX_CONCURRENT)
    blocked.released.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert not refused
    assert blocked.max_running == MAX_CONCURRENT


def _start_threads(work: Callable[[], None], count: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads
