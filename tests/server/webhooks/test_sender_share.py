"""The senders of a process are shared by people and teams: limits, turns, and reserved senders."""

from collections import Counter
from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import count
from uuid import UUID, uuid4

from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.usage import UNLIMITED, Usage
from modelyard.server.webhooks.sender_share import (
    LIMITS,
    MAX_PER_PERSON,
    SENDER_THREADS,
    SLOW_SECONDS,
    Kind,
    SenderShare,
)

QUICK_SECONDS, HANG_SECONDS = 0.1, 15.0


def create_accounts(number: int, person: UUID | None = None) -> list[Account]:
    """Return accounts of new teams: of one person, or each of a person of its own."""
    return [Account(person or uuid4(), uuid4()) for _ in range(number)]


class Senders:
    """The senders of a process, with a clock that only ``advance`` moves."""

    def __init__(self, *quick: Account) -> None:
        """Create senders that have sent for some teams before, whose receivers were quick."""
        self.moment = 0.0
        self.share = SenderShare(lambda: self.moment)
        self.running = Usage(UNLIMITED)
        self._accounts: dict[UUID, Account] = {}
        for account in quick:
            self.send(account, QUICK_SECONDS)

    def order(self, *waiting: Account) -> list[Account]:
        return self.share.order_accounts(waiting, self.running)

    def begin(self, account: Account) -> UUID:
        lease = uuid4()
        self.share.begin(lease, account)
        self.running.add(account)
        self._accounts[lease] = account
        return lease

    def end(self, lease: UUID, response_moment: float | None = None) -> None:
        self.share.record_response(lease, self.moment if response_moment is None else response_moment)
        self.share.end(lease)
        self.running.remove(self._accounts.pop(lease))

    def send(self, account: Account, seconds: float) -> None:
        """Send a delivery whose receiver takes so long."""
        lease = self.begin(account)
        self.moment += seconds
        self.end(lease)

    def begin_all(self, waiting: Iterable[Account]) -> list[Account]:
        """Begin deliveries of accounts that always wait, until none of them gets a sender; return whose they are."""
        accounts, begun = list(waiting), list[Account]()
        while self.running.total < SENDER_THREADS and (allowed := self.order(*accounts)):
            self.begin(allowed[0])
            begun.append(allowed[0])
        return begun


def test_accounts_are_ordered_by_running_deliveries_then_by_what_they_have_used() -> None:
    a, b, c = create_accounts(3)
    senders = Senders()
    senders.order(a, b, c)
    for account, seconds in ((a, 0.3), (b, 0.1), (c, 0.2)):
        senders.send(account, seconds)
    assert senders.order(a, b, c) == [b, c, a]
    senders.running.add(b)
    assert senders.order(a, b, c) == [c, a, b]


def test_accounts_are_ordered_by_what_their_person_has_used_in_all_teams() -> None:
    person, [other] = create_accounts(20, uuid4()), create_accounts(1)
    senders = Senders(*person, other)
    senders.order(*person, other)
    turns = []
    for _ in range(20):
        turns.append(senders.order(*person, other)[0])
        senders.send(turns[-1], QUICK_SECONDS)
    assert turns.count(other) == 10
    assert set(Counter(turn for turn in turns if turn != other).values()) == {1}


def test_person_with_a_running_delivery_comes_after_others() -> None:
    [first, second], [other] = create_accounts(2, uuid4()), create_accounts(1)
    senders = Senders(first, second, other)
    senders.begin(first)
    assert senders.order(second, other) == [other, second]


def test_team_with_two_running_deliveries_waits() -> None:
    a, b = create_accounts(2)
    senders = Senders()
    senders.running.add(a, 2)
    assert senders.order(a, b) == [b]


def test_reserved_senders_send_no_further_deliveries_of_a_team() -> None:
    a, b, c, d = create_accounts(4)
    senders = Senders(a, b, c, d)
    assert senders.begin_all([a, b]) == [a, b, a, b]
    assert senders.order(a, b, c, d) == [c, d]


def test_new_teams_of_one_person_get_one_reserved_sender() -> None:
    teams = create_accounts(20, uuid4())
    senders = Senders()
    for account in [teams[0], *create_accounts(LIMITS[Kind.FURTHER].total - 1)]:
        senders.begin(account)
    [other] = create_accounts(1)
    assert senders.order(*teams[1:], other) == [other]


def test_new_teams_of_one_person_get_half_of_the_senders_at_most() -> None:
    assert len(Senders().begin_all(create_accounts(20, uuid4()))) == MAX_PER_PERSON


def test_one_person_whose_receivers_never_answer_leaves_senders_for_new_teams_of_others() -> None:
    teams, others = create_accounts(40, uuid4()), create_accounts(3)
    senders = Senders()
    for _ in range(20):
        senders.begin_all(teams)
        senders.moment += SLOW_SECONDS
    assert senders.running.total == MAX_PER_PERSON
    assert senders.order(*teams, others[0])[0] == others[0]
    for other in others:
        senders.send(other, QUICK_SECONDS)
    assert len(senders.begin_all([*teams, *others])) == SENDER_THREADS - MAX_PER_PERSON


def test_one_person_whose_teams_were_quick_before_takes_half_of_the_senders() -> None:
    teams, [other] = create_accounts(20, uuid4()), create_accounts(1)
    senders = Senders(*teams)
    assert len(senders.begin_all(teams)) == MAX_PER_PERSON
    senders.moment += HANG_SECONDS
    assert senders.order(*teams, other) == [other]


def test_running_delivery_is_slow_before_it_ends() -> None:
    hanging, [quick, slow] = create_accounts(LIMITS[Kind.SLOW].total), create_accounts(2)
    senders = Senders(*hanging, quick)
    senders.send(slow, HANG_SECONDS)
    for account in hanging:
        senders.begin(account)
    assert senders.order(slow) == [slow]
    senders.moment += SLOW_SECONDS + 0.1
    assert senders.order(slow, quick) == [quick]


def test_last_sender_is_kept_for_teams_whose_last_delivery_was_quick() -> None:
    hanging, [new, slow, quick] = create_accounts(SENDER_THREADS - 1), create_accounts(3)
    senders = Senders(quick)
    senders.send(slow, HANG_SECONDS)
    for account in hanging:
        senders.begin(account)
    senders.moment += HANG_SECONDS
    assert senders.order(new, slow, quick) == [quick]


def test_two_hanging_teams_of_a_person_do_not_stop_a_third_one() -> None:
    teams = create_accounts(3, uuid4())
    senders = Senders()
    for account in teams[:2]:
        senders.begin(account)
        senders.moment += SLOW_SECONDS + 0.1
    assert senders.order(*teams) == [teams[2]]


def test_time_after_the_response_does_not_make_a_team_slow() -> None:
    hanging, [team] = create_accounts(SENDER_THREADS - 1), create_accounts(1)
    senders = Senders()
    lease = senders.begin(team)
    response_moment = senders.moment + QUICK_SECONDS
    senders.moment += HANG_SECONDS
    senders.end(lease, response_moment)
    for account in hanging:
        senders.begin(account)
    assert senders.order(team) == [team]


def test_slow_teams_get_senders_though_many_quick_teams_always_wait() -> None:
    quick, slow = create_accounts(8), create_accounts(2)
    sent = simulate(dict.fromkeys(quick, QUICK_SECONDS) | dict.fromkeys(slow, HANG_SECONDS), seconds=200)
    assert min(sent[account] for account in slow) >= 6


def test_quick_teams_get_senders_though_many_slow_teams_always_wait() -> None:
    quick, slow = create_accounts(2), create_accounts(10)
    sent = simulate(dict.fromkeys(quick, QUICK_SECONDS) | dict.fromkeys(slow, HANG_SECONDS), seconds=200)
    assert min(sent[account] for account in quick) >= 1000
    assert min(sent[account] for account in slow) >= 4


def test_quick_team_gets_senders_though_many_slow_teams_of_one_person_always_wait() -> None:
    [quick], slow = create_accounts(1), create_accounts(10, uuid4())
    sent = simulate({quick: QUICK_SECONDS} | dict.fromkeys(slow, HANG_SECONDS), seconds=200)
    assert sent[quick] >= 1500
    assert min(sent[account] for account in slow) >= 1


def simulate(durations: dict[Account, float], seconds: float) -> Counter[Account]:
    """Send for accounts that always wait, whose deliveries take so long; return how many each has sent."""
    senders, sent, numbers = Senders(), Counter[Account](), count()
    ends: list[tuple[float, int, UUID, Account]] = []
    while senders.moment < seconds:
        while len(ends) < SENDER_THREADS and (allowed := senders.order(*durations)):
            lease = senders.begin(allowed[0])
            heappush(ends, (senders.moment + durations[allowed[0]], next(numbers), lease, allowed[0]))
        senders.moment, _, lease, account = heappop(ends)
        senders.end(lease)
        sent[account] += 1
    return sent
