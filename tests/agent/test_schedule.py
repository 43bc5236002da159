from datetime import UTC, datetime

import pytest

from modelyard.agent.schedule import (
    BUSY_HEARTBEAT_SECONDS,
    EARLY_POLL_SECONDS,
    FIRST_RETRY_SECONDS,
    IDLE_HEARTBEAT_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    LONGEST_RETRY_SECONDS,
    POLL_INTERVAL_SECONDS,
    RECONCILE_INTERVAL_SECONDS,
    REFUSED_POLL_SECONDS,
    Backoff,
    HeartbeatSchedule,
    PollSchedule,
    ReconcileSchedule,
    get_seconds_until_open,
)
from modelyard.sync.apply.transfer_window import parse_window

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def build_schedule_after_reconcile(**options: bool) -> ReconcileSchedule:
    """Return a schedule after a reconciliation from 0 to 5."""
    schedule = ReconcileSchedule()
    schedule.start(0)
    schedule.record_end(5, NOON, **options)
    return schedule


def test_reconcile_schedule_new_is_due_at_once() -> None:
    assert ReconcileSchedule().get_wait(0) == 0


def test_reconcile_schedule_after_reconcile_is_due_after_interval() -> None:
    assert build_schedule_after_reconcile().get_wait(5) == RECONCILE_INTERVAL_SECONDS - 5


def test_reconcile_schedule_request_is_due_now() -> None:
    schedule = build_schedule_after_reconcile()
    schedule.request(7)
    assert schedule.get_wait(7) == 0


def test_reconcile_schedule_request_during_reconcile_is_due_after_it() -> None:
    schedule = ReconcileSchedule()
    schedule.start(0)
    schedule.request(3)
    schedule.record_end(5, NOON)
    assert schedule.get_wait(5) == 0


def test_reconcile_schedule_repeated_failures_double_the_wait() -> None:
    schedule, now, waits = ReconcileSchedule(), 0.0, []
    for _ in range(8):
        schedule.start(now)
        schedule.record_end(now, NOON, has_failed=True)
        waits.append(schedule.get_wait(now))
        now += waits[-1]
    assert waits[:3] == [FIRST_RETRY_SECONDS, 2 * FIRST_RETRY_SECONDS, 4 * FIRST_RETRY_SECONDS]
    assert waits[-1] == LONGEST_RETRY_SECONDS


def test_reconcile_schedule_success_resets_retry_wait() -> None:
    schedule = build_schedule_after_reconcile(has_failed=True)
    schedule.start(10)
    schedule.record_end(10, NOON)
    schedule.start(20)
    schedule.record_end(20, NOON, has_failed=True)
    assert schedule.get_wait(20) == FIRST_RETRY_SECONDS


def test_reconcile_schedule_closed_window_is_due_when_it_opens() -> None:
    schedule = ReconcileSchedule(parse_window("12:05-13:00"))
    schedule.start(0)
    schedule.record_end(0, NOON)
    assert schedule.get_wait(0) == 300


def test_reconcile_schedule_failures_of_one_plan_count_once() -> None:
    schedule = ReconcileSchedule()
    schedule.start(0)
    schedule.record_failure(1)
    schedule.record_failure(2)
    schedule.record_end(3, NOON, has_failed=True)
    assert schedule.get_wait(1) == FIRST_RETRY_SECONDS


@pytest.mark.parametrize(
    ("hours", "seconds"),
    [("11:00-13:00", None), ("13:00-14:00", 3600), ("10:00-12:00", 22 * 3600), ("22:00-02:00", 36_000)],
)
def test_get_seconds_until_open_returns_time_to_next_start(hours: str, seconds: float | None) -> None:
    assert get_seconds_until_open(parse_window(hours), NOON) == seconds


def test_get_seconds_until_open_without_window_returns_none() -> None:
    assert get_seconds_until_open(None, NOON) is None


def test_backoff_waits_double_up_to_a_minute() -> None:
    backoff = Backoff(get_jitter=lambda: 1.0)
    assert [backoff.next_wait() for _ in range(8)] == [
        1,
        2,
        4,
        8,
        16,
        32,
        LONGEST_BACKOFF_SECONDS,
        LONGEST_BACKOFF_SECONDS,
    ]
    backoff.reset()
    assert backoff.next_wait() == 1


def test_backoff_waits_after_first_failure_are_random() -> None:
    assert len({Backoff().next_wait() for _ in range(50)}) > 40


def test_poll_schedule_polls_that_end_at_once_in_a_row_wait_the_interval() -> None:
    schedule = PollSchedule(get_jitter=lambda: 0.0)
    waits = [schedule.next_wait(0.1) for _ in range(4)]
    assert waits == [EARLY_POLL_SECONDS] * 2 + [POLL_INTERVAL_SECONDS] * 2
    schedule.reset()
    assert schedule.next_wait(0.1) == EARLY_POLL_SECONDS


def test_poll_schedule_polls_that_end_early_after_some_time_follow_soon() -> None:
    schedule = PollSchedule(get_jitter=lambda: 0.0)
    waits = [schedule.next_wait(took) for took in (20, 2, 0.1, 0.1, 2, 0.1, 0.1, REFUSED_POLL_SECONDS)]
    assert waits == [EARLY_POLL_SECONDS] * 8


def test_poll_schedule_interval_is_random_up_to_a_half_more() -> None:
    schedule = PollSchedule()
    waits = [schedule.next_wait(0.1) for _ in range(52)][2:]
    assert len(set(waits)) > 40
    assert all(POLL_INTERVAL_SECONDS <= wait <= 1.5 * POLL_INTERVAL_SECONDS for wait in waits)


def test_heartbeat_schedule_first_is_due_at_once() -> None:
    assert HeartbeatSchedule().get_wait(100) == 0


def test_heartbeat_schedule_idle_uses_registry_interval() -> None:
    schedule = HeartbeatSchedule()
    schedule.record_success(100, IDLE_HEARTBEAT_SECONDS, is_busy=False)
    assert schedule.get_wait(100) == IDLE_HEARTBEAT_SECONDS


@pytest.mark.parametrize(
    ("requested", "used"),
    [
        (0, BUSY_HEARTBEAT_SECONDS),
        (-5, BUSY_HEARTBEAT_SECONDS),
        (1e9, 300),
        (float("nan"), IDLE_HEARTBEAT_SECONDS),
        (float("inf"), IDLE_HEARTBEAT_SECONDS),
    ],
)
def test_heartbeat_schedule_extreme_interval_is_bounded(requested: float, used: float) -> None:
    schedule = HeartbeatSchedule()
    schedule.record_success(0, requested, is_busy=False)
    assert schedule.get_wait(0) == used


def test_heartbeat_schedule_request_waits_busy_interval() -> None:
    schedule = HeartbeatSchedule()
    schedule.record_success(100, IDLE_HEARTBEAT_SECONDS, is_busy=False)
    schedule.request()
    assert schedule.get_wait(100.5) == BUSY_HEARTBEAT_SECONDS - 0.5


def test_heartbeat_schedule_request_does_not_shorten_backoff() -> None:
    schedule = HeartbeatSchedule(Backoff(get_jitter=lambda: 1.0))
    for _ in range(6):
        schedule.record_failure(0)
    schedule.request()
    assert schedule.get_wait(0) == 32
