"""The senders of a process are shared by teams: limits, turns, and reserved senders."""

from collections import Counter
from heapq import heappop, heappush
from uuid import UUID

from modelyard.server.webhooks.sender_share import SENDER_THREADS, SLOW_SECONDS, SenderShare

A, B, C, D = (UUID(int=number) for number in range(1, 5))
TEAMS = [A, B, C, D]


def create_share(*running: UUID, threads: int = 4, reserved: int = 1) -> tuple[SenderShare, Counter[UUID]]:
    """Return the share of a process that sends for these teams, and the deliveries of all processes."""
    share = SenderShare(threads, reserved)
    for team in running:
        share.begin(team)
    return share, Counter(running)


def test_teams_are_ordered_by_running_deliveries_then_by_their_last_turn() -> None:
    share, _ = create_share(C, A)
    share.end(C)
    share.end(A)
    assert share.order_teams([A, B, C], Counter()) == [B, C, A]
    assert share.order_teams([A, B, C], Counter([B])) == [C, A, B]


def test_team_with_two_running_deliveries_waits() -> None:
    share, running = create_share(A, A)
    assert share.order_teams([A, B], running) == [B]


def test_reserved_sender_sends_only_for_teams_without_a_running_delivery() -> None:
    share, running = create_share(A, A, B)
    assert share.order_teams(TEAMS, running) == [C, D]


def test_reserved_sender_sends_only_for_teams_whose_last_delivery_was_quick() -> None:
    share, running = create_share(A, B, threads=3, reserved=1)
    for team in (A, B, D):
        share.record_duration(team, SLOW_SECONDS + 0.1)
    assert share.order_teams([C, D], running) == [C]
    share.record_duration(D, 0.1)
    assert share.order_teams([C, D], running) == [C, D]


def test_slow_teams_and_second_deliveries_leave_the_reserved_senders_free() -> None:
    share, running = create_share(A, A, threads=3, reserved=1)
    share.record_duration(B, SLOW_SECONDS + 0.1)
    assert share.order_teams([B, C], running) == [C]


def test_slow_teams_get_their_turns_though_many_quick_teams_always_wait() -> None:
    quick = [UUID(int=number) for number in range(10, 18)]
    sent = simulate(dict.fromkeys(quick, 0.1) | {A: 15.0, B: 15.0}, seconds=200)
    assert sent[A] >= 10
    assert sent[B] >= 10


def test_quick_teams_get_senders_though_many_slow_teams_always_wait() -> None:
    slow = [UUID(int=number) for number in range(10, 20)]
    sent = simulate(dict.fromkeys(slow, 15.0) | {A: 0.1, B: 0.1}, seconds=200)
    assert sent[A] >= 1000
    assert sent[B] >= 1000
    assert min(sent[team] for team in slow) >= 4


def simulate(durations: dict[UUID, float], seconds: float) -> Counter[UUID]:
    """Send for teams that always wait, whose deliveries take so long; return how many each has sent."""
    share, running, sent = SenderShare(), Counter[UUID](), Counter[UUID]()
    ends: list[tuple[float, UUID]] = []
    moment = 0.0
    while moment < seconds:
        while len(ends) < SENDER_THREADS and (teams := share.order_teams(list(durations), running)):
            share.begin(teams[0])
            running[teams[0]] += 1
            heappush(ends, (moment + durations[teams[0]], teams[0]))
        moment, team = heappop(ends)
        share.end(team)
        share.record_duration(team, durations[team])
        running[team] -= 1
        sent[team] += 1
    return sent


def test_all_waiting_teams_get_a_turn_though_some_always_wait() -> None:
    share, _ = create_share(threads=1, reserved=0)
    turns = []
    for _ in range(6):
        team = share.order_teams([A, B, C], Counter())[0]
        turns.append(team)
        share.begin(team)
        share.end(team)
        share.record_duration(team, 15.0)
    assert turns == [A, B, C, A, B, C]
