"""Places for work that runs at the same time, and the queue of those who wait for one."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from modelyard.server.fairness.accounts import Account, Holder
from modelyard.server.fairness.fair_order import FairOrder
from modelyard.server.fairness.usage import Limits, Usage


@dataclass(eq=False)
class Entry:
    """A piece of work that has a place or waits for one; ``grant`` is called when it gets one after waiting."""

    account: Account
    grant: Callable[[], object]
    is_granted: bool = False

    def has_place(self) -> bool:
        """Return whether it has a place; one that waits may get it at any moment."""
        return self.is_granted


class Places:
    """A limited number of places, with a limited queue. Not safe for threads.

    An account waits if it is at a limit of its own, or all places are taken. A place that becomes free goes to the
    account whose turn is next among those within their limits; an account's own work keeps its order.
    """

    def __init__(self, places: Limits, queue: Limits) -> None:
        self.running, self.waiting = Usage(places), Usage(queue)
        self._order = FairOrder()
        # By person: the accounts of one who is at the limit are passed over at once.
        self._queues: dict[Holder | None, dict[Account, deque[Entry]]] = {}

    def enter(self, account: Account, grant: Callable[[], object]) -> Entry | None:
        """Take a place, or one in the queue; return None if that is full for the account."""
        entry = Entry(account, grant)
        if self.running.fits(account):
            self._give_place(entry)
        elif self.waiting.fits(account):
            self.waiting.add(account)
            self._order.begin_wait(account)
            self._queues.setdefault(account.person, {}).setdefault(account, deque()).append(entry)
        else:
            return None
        return entry

    def leave(self, entry: Entry) -> None:
        """Give up a place, which others get, or the wait for one; once for each entry."""
        if not entry.has_place():
            self._queues[entry.account.person][entry.account].remove(entry)
            self._end_wait(entry.account)
            return
        self.running.remove(entry.account)
        while self._queues and (account := self._find_next()) is not None:
            granted = self._queues[account.person][account].popleft()
            self._give_place(granted)
            self._end_wait(account)
            granted.grant()

    def _find_next(self) -> Account | None:
        """Return the account that gets a free place; None if there is no place, or no account within its limits."""
        fits = self.running.fits
        allowed = (
            account
            for person, accounts in self._queues.items()
            if fits(Account(person))
            for account in accounts
            if fits(account)
        )
        return min(allowed, key=self._order.get_turn, default=None)

    def _give_place(self, entry: Entry) -> None:
        """Let an entry hold a place, and charge it for it."""
        entry.is_granted = True
        self.running.add(entry.account)
        self._order.charge(entry.account, 1)

    def _end_wait(self, account: Account) -> None:
        """Count one waiting entry of an account less; an account without one takes no memory."""
        self.waiting.remove(account)
        accounts = self._queues[account.person]
        if accounts[account]:
            return
        self._order.end_wait(account)
        del accounts[account]
        if not accounts:
            del self._queues[account.person]
