"""How people and teams share the senders of a process, so that slow receivers do not take all of them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

from modelyard.server.fairness.accounts import Account, Holder
from modelyard.server.fairness.fair_order import FairOrder
from modelyard.server.fairness.usage import Limits, Usage

# Deliveries that a process sends at the same time; most of the time they wait for receivers.
SENDER_THREADS = 6
# Deliveries of one team that are sent at the same time, in all processes; of one webhook it is one.
MAX_PER_TEAM = 2
# Of one person, in a process: the half, so that another one has senders though all of them hang.
MAX_PER_PERSON = 3
# An attempt that takes longer is slow, and counts as that from then on, not only when it ends.
SLOW_SECONDS = 2.0
# Charged when a delivery is begun, so that accounts that have used equally much alternate.
BEGIN_SECONDS = 0.01
# Of so many teams it is remembered whether they are quick. A team that is forgotten is unknown again.
MAX_REMEMBERED = 10_000


class Kind(IntEnum):
    """What is known of how long a delivery takes: the less it is, the fewer senders it may take."""

    QUICK = 0  # the only one of a team whose last one was quick
    UNKNOWN = 1  # the only one of a team that this process has not sent for yet, and the only such one of its person
    SLOW = 2  # one that takes long already, or the only one of a team whose last one was slow
    FURTHER = 3  # one of a team that has another, or of an unknown team whose person has one of such a team


# How many deliveries of a kind, or of one below it, a process may send at the same time. So one sender is kept for
# quick teams, and another one for these and unknown ones. A further one is begun only while so few are sent in all.
LIMITS = {
    Kind.QUICK: Limits(SENDER_THREADS, MAX_PER_PERSON, MAX_PER_TEAM),
    Kind.UNKNOWN: Limits(SENDER_THREADS - 1, MAX_PER_PERSON, MAX_PER_TEAM),
    Kind.SLOW: Limits(SENDER_THREADS - 2, MAX_PER_PERSON - 1, MAX_PER_TEAM),
    Kind.FURTHER: Limits(SENDER_THREADS - 2, MAX_PER_PERSON - 1, MAX_PER_TEAM),
}


@dataclass
class _Sending:
    """A delivery that a sender of this process has; ``seconds`` is set once its receiver has answered, or failed."""

    account: Account
    kind: Kind
    began: float
    seconds: float | None = None


class SenderShare:
    """The running deliveries of a process, what each person and team has used, and which teams are quick.

    Not safe for threads: the caller holds a lock. A delivery is known by its lease.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._sendings: dict[UUID, _Sending] = {}
        self._order = FairOrder()
        self._is_quick: dict[Holder | None, bool] = {}

    def order_accounts(self, waiting: Sequence[Account], running: Usage) -> list[Account]:
        """Return the accounts for which a free sender may send now, the next one first.

        ``running`` are the deliveries that all processes send. Accounts whose person and team have the fewest come
        first, then those that have used the senders of this process least.
        """
        self._order.set_waiting(waiting)
        used = {kind: self._count(kind) for kind in Kind}
        allowed = [account for account in waiting if self._is_allowed(account, running, used)]
        for account in allowed:
            self._order.catch_up(account)
        return sorted(
            allowed,
            key=lambda account: (
                max(running.people.get(account.person, 0), running.teams.get(account.team, 0)),
                self._order.get_virtual_time(account),
            ),
        )

    def begin(self, lease: UUID, account: Account) -> None:
        """Count a delivery that is sent now."""
        self._order.charge(account, BEGIN_SECONDS)
        kind = self._classify(account, self._count(Kind.QUICK).teams.get(account.team, 0))
        self._sendings[lease] = _Sending(account, kind, self.clock())

    def record_response(self, lease: UUID, moment: float) -> None:
        """Charge the account for the time until the receiver answered or failed, and note whether its team is quick."""
        sending = self._sendings[lease]
        sending.seconds = moment - sending.began
        self._order.charge(sending.account, sending.seconds)
        # The teams that were sent for last are at the end.
        self._is_quick.pop(sending.account.team, None)
        self._is_quick[sending.account.team] = sending.seconds <= SLOW_SECONDS
        if len(self._is_quick) > MAX_REMEMBERED:
            del self._is_quick[next(iter(self._is_quick))]

    def end(self, lease: UUID) -> None:
        """Count a delivery as ended: its sender is free."""
        del self._sendings[lease]

    def _is_allowed(self, account: Account, running: Usage, used: dict[Kind, Usage]) -> bool:
        """Return whether one more delivery of an account may be sent."""
        of_team = running.teams.get(account.team, 0)
        kind = self._classify(account, of_team)
        if of_team >= MAX_PER_TEAM or (kind == Kind.FURTHER and len(self._sendings) >= LIMITS[kind].total):
            return False
        return all(used[each].fits(account) for each in Kind if each <= kind)

    def _classify(self, account: Account, of_team: int) -> Kind:
        """Return the kind of one more delivery of an account whose team has so many running ones."""
        if of_team:
            return Kind.FURTHER
        is_quick = self._is_quick.get(account.team)
        if is_quick is None:
            sendings = self._sendings.values()
            unknown = [each.account.person for each in sendings if self._get_kind(each) == Kind.UNKNOWN]
            return Kind.FURTHER if account.person is not None and account.person in unknown else Kind.UNKNOWN
        return Kind.QUICK if is_quick else Kind.SLOW

    def _count(self, kind: Kind) -> Usage:
        """Return the running deliveries of this process that are of a kind or of one below it."""
        used = Usage(LIMITS[kind])
        for sending in self._sendings.values():
            if self._get_kind(sending) >= kind:
                used.add(sending.account)
        return used

    def _get_kind(self, sending: _Sending) -> Kind:
        """Return the kind of a running delivery now: it changes once it takes long."""
        seconds = self.clock() - sending.began if sending.seconds is None else sending.seconds
        return max(sending.kind, Kind.SLOW) if seconds > SLOW_SECONDS else sending.kind
