import threading
from collections.abc import Callable

import argon2
import pytest

from modelyard.server.identity.passwords import AT_ONCE, WAITING_AT_MOST, PasswordHasher
from modelyard.wire.problems import Unavailable
from tests.server.conftest import CHEAP


def test_the_right_password_passes_and_a_wrong_one_does_not() -> None:
    password_hash = CHEAP.hash("a long sentence")
    assert CHEAP.verify(password_hash, "a long sentence")
    assert not CHEAP.verify(password_hash, "a long sentencf")


def test_nobody_has_no_password() -> None:
    assert not CHEAP.verify(None, "nobody has this password")


def test_a_composed_and_a_decomposed_letter_are_one_password() -> None:
    assert CHEAP.verify(CHEAP.hash("caf\u00e9 noir"), "cafe\u0301 noir")


def test_a_broken_hash_lets_nobody_in() -> None:
    assert not CHEAP.verify("$argon2id$broken", "x")


def test_a_password_is_hashed_with_argon2id_at_no_less_than_the_recommended_cost() -> None:
    found = argon2.extract_parameters(PasswordHasher().hash("x"))
    assert found.type is argon2.Type.ID
    assert found.memory_cost >= 19_456
    assert found.time_cost >= 2


def test_a_hash_made_at_another_cost_is_outdated() -> None:
    assert PasswordHasher().is_outdated(CHEAP.hash("x"))
    assert not CHEAP.is_outdated(CHEAP.hash("x"))


class _Slow(argon2.PasswordHasher):
    """Counts who hashes at the same time, and holds them until told."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.go = threading.Event()
        self.go.set()
        self.inside = 0
        self.most = 0
        self._lock = threading.Lock()

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.go.wait(5)
        with self._lock:
            self.inside -= 1
        return super().hash(password, salt=salt)


def test_two_are_hashed_at_a_time_and_a_long_queue_is_refused() -> None:
    slow = _Slow()
    hasher = PasswordHasher(slow)
    slow.go.clear()
    refused: list[Unavailable] = []

    def one() -> None:
        try:
            hasher.hash("x")
        except Unavailable as problem:
            refused.append(problem)

    threads = _started(one, AT_ONCE + WAITING_AT_MOST)
    while hasher._queue.acquire(blocking=False):
        hasher._queue.release()
    with pytest.raises(Unavailable):
        hasher.hash("x")
    slow.go.set()
    for thread in threads:
        thread.join(5)
    assert not refused
    assert slow.most == AT_ONCE


def _started(work: Callable[[], None], count: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads
