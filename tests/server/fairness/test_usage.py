"""How many of a process's workers one person, one team or one kind of work may occupy."""

import pytest

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.usage import Usage, build_worker_limits, count_all_but_one

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
