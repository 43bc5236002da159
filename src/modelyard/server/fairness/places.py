"""Places for work that runs at the same time, and the queue of those who wait for one."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.fair_order import FairOrder, VirtualTime
from modelyard.server.fairness.usage import HolderKey, Limits, Usage

# Beside one for each account that waits, so many that do not wait any more are kept.
_MAX_OUTDATED = 100


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
    account whose virtual time is least among those within their limits; an account's own work keeps its order. The
    cost of that does not grow with the number of those who wait at limits of their own, and with the logarithm of the
    others.
    """

    def __init__(self, places: Limits, queue: Limits) -> None:
        self.running, self.waiting = Usage(places), Usage(queue)
        self._order = FairOrder()
        self._queues: dict[Account, deque[Entry]] = {}
        # Each account that waits is in one of both: in the heap, or by the person or team that is at its limit. Both
        # may also have some that do not wait any more. What is in the heap is checked when it comes to the top.
        self._heap: list[tuple[VirtualTime, int, Account]] = []
        self._at_limit: dict[HolderKey, list[Account]] = {}
        self._counter = count()
        self._outdated = 0

    def enter(self, account: Account, grant: Callable[[], object]) -> Entry | None:
        """Take a place, or one in the queue, for which ``grant`` is called once it is free; None if the queue is full.

        The limits of the account's person and team apply to both.
        """
        entry = Entry(account, grant)
        if self.running.fits(account):
            self._give_place(entry)
            return entry
        if not self.waiting.fits(account):
            return None
        self.waiting.add(account)
        if account in self._queues:
            self._queues[account].append(entry)
            return entry
        self._queues[account] = deque([entry])
        self._order.begin_wait(account)
        self._list(account)
        return entry

    def leave(self, entry: Entry) -> None:
        """Give up a place, which is given to the next that waits, or give up the wait; once for each entry."""
        if entry.has_place():
            self.running.remove(entry.account)
            for key in self.running.list_keys(entry.account):
                for account in self._at_limit.pop(key, ()):
                    self._list(account)
            self._grant_places()
            return
        self._queues[entry.account].remove(entry)
        self._end_wait(entry.account)
        if entry.account not in self._queues:
            self._outdated += 1
            self._drop_outdated()

    def _grant_places(self) -> None:
        """Give free places to the accounts whose virtual time is least, and call ``grant`` of their entries."""
        while (account := self._take_next()) is not None:
            granted = self._queues[account].popleft()
            self._give_place(granted)
            self._end_wait(account)
            self._list(account)
            granted.grant()

    def _list(self, account: Account) -> None:
        """Put an account, if it waits, into the heap, or to the person or team that is at its limit."""
        if account not in self._queues:
            return
        key = self.running.find_reached_limit(account)
        if key is None:
            self._order.catch_up(account)
            heappush(self._heap, (self._order.get_virtual_time(account), next(self._counter), account))
        else:
            self._at_limit.setdefault(key, []).append(account)

    def _take_next(self) -> Account | None:
        """Remove the account that gets a free place from the heap; None if there is no place, or no such account."""
        while self._heap and not self.running.is_full:
            listed_time, _, account = heappop(self._heap)
            is_waiting = account in self._queues and self.running.fits(account)
            if is_waiting and self._order.get_virtual_time(account) <= listed_time:
                return account
            self._list(account)
        return None

    def _give_place(self, entry: Entry) -> None:
        """Mark an entry as one that has a place, and charge its account for one."""
        entry.is_granted = True
        self.running.add(entry.account)
        self._order.charge(entry.account, 1)

    def _end_wait(self, account: Account) -> None:
        """Count one waiting entry of an account less, and drop the account's queue if it is empty."""
        self.waiting.remove(account)
        if not self._queues[account]:
            self._order.end_wait(account)
            del self._queues[account]

    def _drop_outdated(self) -> None:
        """Build the heap anew without accounts that do not wait any more, once they may be many."""
        if self._outdated > len(self._queues) + _MAX_OUTDATED:
            self._heap, self._at_limit, self._outdated = [], {}, 0
            for account in self._queues:
                self._list(account)
