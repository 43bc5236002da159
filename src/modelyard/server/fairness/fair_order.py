"""The order of those who wait, by what they have used (weighted fair queuing)."""

from collections.abc import Iterable

from modelyard.server.fairness.accounts import Account, Holder

# Beside those that wait, so many that are ahead are remembered before all are looked through.
_MAX_ABSENT = 100


class FairOrder:
    """How much each person and each team has used while others waited. Not safe for threads.

    An account is as far behind as its person or its team, whichever has used more: neither many teams of one person
    nor many people of one team get more than one that comes alone.

    ``_level`` is the virtual time: about what one that always waited would have used by now. A new one starts there,
    so it gains nothing by having been idle, and does not wait for what others have asked for.
    """

    def __init__(self) -> None:
        self._people, self._teams = _Ledger(), _Ledger()
        self._waiting: set[Account] = set()
        self._level = 0.0

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
            self._people.begin_wait(account.person, self._level)
            self._teams.begin_wait(account.team, self._level)

    def end_wait(self, account: Account) -> None:
        """Count an account as one that does not wait."""
        if account in self._waiting:
            self._waiting.remove(account)
            self._people.end_wait(account.person)
            self._teams.end_wait(account.team)

    def get_turn(self, account: Account) -> float:
        """Return what the account has used; the one with the least is next."""
        return max(self._people.get_used(account.person, self._level), self._teams.get_used(account.team, self._level))

    def charge(self, account: Account, amount: float) -> None:
        """Add to what an account has used, which moves the level for all that wait.

        While no account waits, only the last one that was charged is ahead.
        """
        before, turn = self._level, self.get_turn(account)
        if self._waiting:
            rivals = min((count for count in (len(self._people.waiting), len(self._teams.waiting)) if count), default=1)
            self._level = max(before + amount / rivals, turn)
        else:
            self._people.used.clear()
            self._teams.used.clear()
        self._people.charge(account.person, amount, before)
        self._teams.charge(account.team, amount, before)


class _Ledger:
    """What people, or teams, have used, and with how many accounts each of them waits; None counts nowhere."""

    def __init__(self) -> None:
        self.used: dict[Holder, float] = {}
        self.waiting: dict[Holder, int] = {}

    def begin_wait(self, holder: Holder | None, level: float) -> None:
        """Count one more account that waits; one that did not wait before starts at the level, unless it is ahead."""
        if holder is not None:
            self.used[holder] = self.get_used(holder, level)
            self.waiting[holder] = self.waiting.get(holder, 0) + 1

    def end_wait(self, holder: Holder | None) -> None:
        """Count one account less."""
        if holder is not None:
            self.waiting[holder] -= 1
            if not self.waiting[holder]:
                del self.waiting[holder]

    def get_used(self, holder: Holder | None, level: float) -> float:
        """Return what one has used: at least the level if it does not wait."""
        if holder is None:
            return 0.0
        used = self.used.get(holder, level)
        return used if holder in self.waiting else max(used, level)

    def charge(self, holder: Holder | None, amount: float, level: float) -> None:
        """Add to what one has used; of those that do not wait, only what they are ahead is remembered."""
        if holder is None:
            return
        self.used[holder] = self.get_used(holder, level) + amount
        if len(self.used) > len(self.waiting) + _MAX_ABSENT:
            self.used = {each: used for each, used in self.used.items() if each in self.waiting or used > level}
