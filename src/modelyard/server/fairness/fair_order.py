"""The order of those who wait, by what they have used (weighted fair queuing)."""

from collections.abc import Iterable
from itertools import count

from modelyard.server.fairness.accounts import Account, Holder

# What is remembered of those that do not wait is looked through when it has doubled, and is at least so much.
_MIN_REMEMBERED = 100
# What an account has used, and when it was served last: the smallest is next.
VirtualTime = tuple[float, int]


class FairOrder:
    """How much each person and each team has used while others waited. Not safe for threads.

    An account is as late as its person or its team, whichever has used more: neither many teams of one person nor many
    people of one team get more than an account that comes alone. Of accounts that are equally late, the one that was
    served longest ago comes first, so the people of one team take turns, and the teams of one person.

    ``_level`` is the virtual time of the whole: about what an account that always waited would have used by now. An
    account starts there, so it gains nothing by having been idle, and does not wait for what others have asked for.
    """

    def __init__(self) -> None:
        self._people, self._teams = _Ledger(), _Ledger()
        self._waiting: set[Account] = set()
        self._served: dict[Account, int] = {}
        self._counter, self._max_served = count(1), _MIN_REMEMBERED
        self._level = self._largest_amount = 0.0

    def set_waiting(self, accounts: Iterable[Account]) -> None:
        """Replace the accounts that wait."""
        waiting = set(accounts)
        for account in self._waiting - waiting:
            self.end_wait(account)
        for account in waiting:
            self.begin_wait(account)

    def begin_wait(self, account: Account) -> None:
        """Count an account as one that waits, until ``end_wait``; idempotent, as that is."""
        if account not in self._waiting:
            self._waiting.add(account)
            self._people.begin_wait(_get_person(account), self._level)
            self._teams.begin_wait(_get_team(account), self._level)

    def end_wait(self, account: Account) -> None:
        """Stop counting an account as one that waits; idempotent."""
        if account in self._waiting:
            self._waiting.remove(account)
            self._people.end_wait(_get_person(account), self._level)
            self._teams.end_wait(_get_team(account), self._level)

    def catch_up(self, account: Account) -> None:
        """Raise what a waiting account has used to one charge below the level, when it comes within its own limits.

        While it waits at these, and places are free for others, it does not save up a right to pass them later.
        """
        least = self._level - self._largest_amount
        self._people.raise_used(_get_person(account), least)
        self._teams.raise_used(_get_team(account), least)

    def get_virtual_time(self, account: Account) -> VirtualTime:
        """Return what decides about the order of an account; it never decreases."""
        return self._get_used(account), self._served.get(account, 0)

    def charge(self, account: Account, amount: float) -> None:
        """Add an amount to what an account has used; the level rises for all that wait.

        While no account waits, only the charge of the last one is remembered.
        """
        before, used = self._level, self._get_used(account)
        self._largest_amount = max(self._largest_amount, amount)
        if self._waiting:
            # As many have equal rights as there are people, or teams if these are fewer.
            rivals = min(len(self._people.waiting), len(self._teams.waiting))
            self._level = max(before + amount / rivals, used)
        else:
            self._people.used.clear()
            self._teams.used.clear()
            self._served.clear()
        self._people.charge(_get_person(account), amount, before)
        self._teams.charge(_get_team(account), amount, before)
        self._served[account] = next(self._counter)
        if len(self._served) > self._max_served:
            self._served = {each: number for each, number in self._served.items() if each in self._waiting}
            self._max_served = 2 * len(self._served) + _MIN_REMEMBERED

    def _get_used(self, account: Account) -> float:
        """Return what an account has used, by its person or its team."""
        return max(
            self._people.get_used(_get_person(account), self._level),
            self._teams.get_used(_get_team(account), self._level),
        )


def _get_person(account: Account) -> Holder | None:
    """Return the person of an account; one without a person is one by its team."""
    return account.team if account.person is None else account.person


def _get_team(account: Account) -> Holder | None:
    """Return the team of an account; one without a team is one by its person."""
    return account.person if account.team is None else account.team


class _Ledger:
    """What people, or teams, have used, and with how many accounts each of them waits."""

    def __init__(self) -> None:
        self.used: dict[Holder | None, float] = {}
        self.waiting: dict[Holder | None, int] = {}
        self._max_used = _MIN_REMEMBERED

    def begin_wait(self, holder: Holder | None, level: float) -> None:
        """Count one more account of a person or team that waits; the first one starts at the level at least."""
        self.used[holder] = self.get_used(holder, level)
        self.waiting[holder] = self.waiting.get(holder, 0) + 1

    def end_wait(self, holder: Holder | None, level: float) -> None:
        """Count one account less; what is above the level is remembered of a person or team that does not wait."""
        self.waiting[holder] -= 1
        if not self.waiting[holder]:
            del self.waiting[holder]
            if self.used[holder] <= level:
                del self.used[holder]

    def get_used(self, holder: Holder | None, level: float) -> float:
        """Return the amount that a person or team has used: at least the level if it does not wait."""
        used = self.used.get(holder, level)
        return used if holder in self.waiting else max(used, level)

    def raise_used(self, holder: Holder | None, least: float) -> None:
        """Raise the amount that a waiting person or team has used, if it is less."""
        if self.used[holder] < least:
            self.used[holder] = least

    def charge(self, holder: Holder | None, amount: float, level: float) -> None:
        """Add to the amount that a person or team has used."""
        self.used[holder] = self.get_used(holder, level) + amount
        if len(self.used) > self._max_used:
            self.used = {each: used for each, used in self.used.items() if each in self.waiting or used > level}
            self._max_used = 2 * len(self.used) + _MIN_REMEMBERED
