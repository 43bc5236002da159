"""Threads that check credentials: whose checks run at the same time, and in which order others wait."""

import asyncio
from dataclasses import dataclass

import pytest

from modelyard.server.fairness.accounts import Account
from modelyard.server.identity.authentication import build_unauthenticated_problem
from modelyard.server.identity.authentication_limiter import AUTHENTICATION_THREADS, AuthenticationLimiter
from modelyard.wire.problems import Unauthenticated
from tests.server.http.held_operations import HeldOperations
from tests.waiting import PATIENCE_SECONDS, wait_until_async

ADDRESS, OTHER_ADDRESS = "192.0.2.1", "192.0.2.2"


@dataclass(frozen=True)
class Checked:
    """The caller that a credential is."""

    account: Account


ATTACKER, OTHER = Checked(Account("attacker")), Checked(Account("other"))


def refuse() -> Checked:
    """Refuse a credential, as one that was revoked."""
    raise build_unauthenticated_problem()


class HeldChecks(HeldOperations):
    """Checks of the attacker's credentials, which end when they are released."""

    def __call__(self) -> Checked:
        self.hold()
        return ATTACKER


async def wait_for_running(held: HeldChecks, count: int) -> None:
    """Wait until so many checks run at the same time."""
    await wait_until_async(lambda: held.running == count)


async def check_beside(limiter: AuthenticationLimiter, tokens: list[str], address: str) -> HeldChecks:
    """Check another person's credential while these are checked, which must not wait for them; return their checks."""
    held = HeldChecks()
    burst = [asyncio.create_task(limiter.run(token, ADDRESS, held)) for token in tokens]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await limiter.run("sk-other", address, lambda: OTHER) == OTHER
        await wait_for_running(held, AUTHENTICATION_THREADS.per_person)
    finally:
        held.release.set()
    assert await asyncio.gather(*burst) == [ATTACKER] * len(tokens)
    return held


async def accept(limiter: AuthenticationLimiter, tokens: list[str]) -> None:
    """Let each credential be accepted as one of the attacker's."""
    for token in tokens:
        await limiter.run(token, ADDRESS, lambda: ATTACKER)


async def test_checks_of_one_credential_run_two_at_a_time_beside_another() -> None:
    held = await check_beside(AuthenticationLimiter(), ["sk-1"] * 60, OTHER_ADDRESS)
    assert held.most == AUTHENTICATION_THREADS.per_person == 2


async def test_checks_of_known_credentials_of_one_person_run_two_at_a_time_beside_another_person() -> None:
    limiter, tokens = AuthenticationLimiter(), [f"sk-{number}" for number in range(60)]
    await accept(limiter, tokens)
    held = await check_beside(limiter, tokens, ADDRESS)
    assert held.most == AUTHENTICATION_THREADS.per_person == 2


async def test_checks_of_unknown_credentials_from_one_address_run_two_at_a_time_beside_another_address() -> None:
    held = await check_beside(AuthenticationLimiter(), [f"sk-{number}" for number in range(60)], OTHER_ADDRESS)
    assert held.most == AUTHENTICATION_THREADS.per_team == 2


async def test_checks_of_unknown_credentials_leave_threads_for_a_known_one_from_the_same_address() -> None:
    limiter = AuthenticationLimiter()
    await limiter.run("sk-other", ADDRESS, lambda: OTHER)
    await check_beside(limiter, [f"sk-{number}" for number in range(60)], ADDRESS)


async def test_checks_of_a_credential_that_was_refused_are_not_charged_to_its_person() -> None:
    limiter = AuthenticationLimiter()
    await accept(limiter, ["sk-revoked", "sk-used"])
    with pytest.raises(Unauthenticated):
        await limiter.run("sk-revoked", ADDRESS, refuse)
    held = HeldChecks()
    burst = [asyncio.create_task(limiter.run("sk-revoked", ADDRESS, held)) for _ in range(60)]
    await wait_for_running(held, AUTHENTICATION_THREADS.per_team)
    assert await limiter.run("sk-used", ADDRESS, lambda: ATTACKER) == ATTACKER
    held.release.set()
    await asyncio.gather(*burst)


async def test_oldest_accepted_credential_is_forgotten_above_the_limit() -> None:
    limiter = AuthenticationLimiter(max_remembered=3)
    await accept(limiter, ["sk-1", "sk-2", "sk-3"])
    await limiter.run("sk-1", ADDRESS, lambda: ATTACKER)
    await limiter.run("sk-other", ADDRESS, lambda: OTHER)
    # Of each person two run: sk-1 and sk-3 are one, and sk-2, which is forgotten, another.
    held = HeldChecks()
    burst = [asyncio.create_task(limiter.run(token, OTHER_ADDRESS, held)) for token in ("sk-1", "sk-3", "sk-2", "sk-2")]
    await wait_for_running(held, 4)
    held.release.set()
    await asyncio.gather(*burst)
