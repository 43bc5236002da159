import pytest

from modelyard.server.identity.attempts import ACCOUNT_LIMIT, ADDRESS_LIMIT, PAIR_LIMIT, REMEMBERED, Attempts
from modelyard.wire.problems import TooManyAttempts


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_ten_failures_a_minute_are_enough() -> None:
    attempts = Attempts(clock=Clock())
    for _ in range(PAIR_LIMIT):
        attempts.begin("ada", "10.0.0.1")
    with pytest.raises(TooManyAttempts) as refused:
        attempts.begin("ada", "10.0.0.1")
    assert 59 <= refused.value.facts["retry_after"] <= 61


def test_another_address_and_another_account_go_on() -> None:
    attempts = Attempts(clock=Clock())
    for _ in range(PAIR_LIMIT):
        attempts.begin("ada", "10.0.0.1")
    attempts.begin("ada", "10.0.0.2")
    attempts.begin("grace", "10.0.0.1")


def test_after_a_minute_there_are_new_attempts() -> None:
    clock = Clock()
    attempts = Attempts(clock=clock)
    for _ in range(PAIR_LIMIT):
        attempts.begin("ada", "10.0.0.1")
    clock.seconds = 60.1
    attempts.begin("ada", "10.0.0.1")


def test_a_right_password_forgets_the_mistakes_before_it() -> None:
    attempts = Attempts(clock=Clock())
    for _ in range(3 * PAIR_LIMIT):
        attempts.begin("ada", "10.0.0.1")
        attempts.forgive("ada", "10.0.0.1")


def test_one_address_cannot_try_every_account() -> None:
    attempts = Attempts(clock=Clock())
    for number in range(ADDRESS_LIMIT):
        attempts.begin(f"user{number}", "10.0.0.1")
    with pytest.raises(TooManyAttempts):
        attempts.begin("one more", "10.0.0.1")


def test_many_addresses_cannot_try_one_account() -> None:
    attempts = Attempts(clock=Clock())
    for number in range(ACCOUNT_LIMIT):
        attempts.begin("ada", f"10.0.1.{number}")
    with pytest.raises(TooManyAttempts):
        attempts.begin("ada", "10.0.2.1")


def test_an_account_without_a_name_is_one_of_its_own() -> None:
    attempts = Attempts(clock=Clock())
    for number in range(PAIR_LIMIT):
        attempts.begin(f"user{number}", "10.0.0.1")
        attempts.begin("ada", f"10.0.1.{number}")
    attempts.begin("", "10.0.0.1")
    attempts.begin("ada", "")


def test_a_refused_attempt_does_not_prolong_the_wait() -> None:
    clock = Clock()
    attempts = Attempts(clock=clock)
    for _ in range(PAIR_LIMIT):
        attempts.begin("ada", "10.0.0.1")
    clock.seconds = 59
    with pytest.raises(TooManyAttempts):
        attempts.begin("ada", "10.0.0.1")
    clock.seconds = 60.1
    attempts.begin("ada", "10.0.0.1")


def test_what_is_remembered_is_bounded() -> None:
    attempts = Attempts(clock=Clock())
    for number in range(REMEMBERED):
        attempts.begin(f"user{number}", f"address{number}")
    assert len(attempts._counts) <= REMEMBERED
