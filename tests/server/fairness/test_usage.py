"""How many of a process's workers one person, one team or one kind of work may occupy."""

import pytest

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.usage import UNLIMITED, Usage, build_worker_limits, count_all_but_one, fits_last_worker

COUNTS = [(0, 1), (1, 1), (2, 1), (3, 2), (16, 15)]


@pytest.mark.parametrize(("workers", "expected"), COUNTS)
def test_count_all_but_one_leaves_one_of_several_and_none_of_one(workers: int, expected: int) -> None:
    assert count_all_but_one(workers) == expected


@pytest.mark.parametrize(("workers", "expected"), COUNTS)
@pytest.mark.parametrize("holder", [Account(person="Ada"), Account(team="lab")], ids=["person", "team"])
def test_worker_limits_leave_one_of_several_workers_to_others(holder: Account, workers: int, expected: int) -> None:
    usage = Usage(build_worker_limits(workers))
    for number in range(expected):
        account = Account(holder.person or f"person {number}", holder.team or f"team {number}")
        assert usage.fits(account)
        usage.add(account)
    assert not usage.fits(Account(holder.person or "another", holder.team or "another"))
    assert usage.fits(Account("Bo", "studio"))


@pytest.mark.parametrize("workers", [2, 4])
def test_last_free_worker_is_only_for_a_person_and_team_of_which_nothing_runs(workers: int) -> None:
    usage, two = Usage(UNLIMITED), (Account("Ada", "lab"), Account("Bo", "studio"))
    for number in range(workers - 1):
        account = two[number % 2]
        assert fits_last_worker(usage, account, workers)
        usage.add(account)
    for busy in (Account("Ada", "another"), Account("another", "lab"), Account(None, "lab"), Account("Ada", None)):
        assert not fits_last_worker(usage, busy, workers)
    for idle in (Account("Cy", "farm"), Account(None, "farm"), Account("Cy", None), Account()):
        assert fits_last_worker(usage, idle, workers)


def test_single_worker_serves_everybody() -> None:
    assert fits_last_worker(Usage(UNLIMITED), Account("Ada", "lab"), 1)
