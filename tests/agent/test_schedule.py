from datetime import UTC, datetime

import pytest

from modelyard.agent.schedule import (
    BUSY_BEAT,
    BUSY_RETRY,
    FIRST_RETRY,
    IDLE_BEAT,
    LONGEST_BACKOFF,
    LONGEST_RETRY,
    LONGEST_UNDISTURBED,
    LOOK_EVERY,
    UNDISTURBED,
    Backoff,
    Pulse,
    Schedule,
    seconds_until_open,
)
from modelyard.client.sync.acting.budget import read_window

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def after_a_round(**how: bool) -> Schedule:
    """A schedule whose round ran from 0 to 5."""
    schedule = Schedule()
    schedule.begin(0)
    schedule.ended(5, NOON, **how)
    return schedule


def test_a_new_agent_looks_at_once() -> None:
    assert Schedule().wait(0) == 0


def test_people_change_folders_without_telling_so_they_are_looked_at_now_and_then() -> None:
    assert after_a_round().wait(5) == LOOK_EVERY - 5


def test_a_change_wakes_it() -> None:
    schedule = after_a_round()
    schedule.wake(7)
    assert schedule.wait(7) == 0


def test_a_change_in_the_middle_of_a_round_asks_for_another_one() -> None:
    schedule = Schedule()
    schedule.begin(0)
    schedule.wake(3)
    schedule.ended(5, NOON)
    assert schedule.wait(5) == 0


def test_what_failed_is_tried_again_soon_and_then_less_and_less_often() -> None:
    schedule, now, waits = Schedule(), 0.0, []
    for _ in range(8):
        schedule.begin(now)
        schedule.ended(now, NOON, has_failed=True)
        waits.append(schedule.wait(now))
        now += waits[-1]
    assert waits[:3] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
    assert waits[-1] == LONGEST_RETRY


def test_a_round_that_went_well_forgives_the_failures() -> None:
    schedule = after_a_round(has_failed=True)
    schedule.begin(10)
    schedule.ended(10, NOON)
    schedule.begin(20)
    schedule.ended(20, NOON, has_failed=True)
    assert schedule.wait(20) == FIRST_RETRY


def test_a_replacement_that_waits_for_comfyui_is_tried_soon() -> None:
    assert after_a_round(is_busy=True).wait(5) == BUSY_RETRY


def test_it_looks_when_the_window_opens() -> None:
    schedule = Schedule(read_window("12:05-13:00"))
    schedule.begin(0)
    schedule.ended(0, NOON)
    assert schedule.wait(0) == 300


def test_downloads_are_left_alone_a_little_longer_each_time_that_they_were_ended() -> None:
    schedule, alone = Schedule(), []
    for _ in range(8):
        schedule.begin(0)
        alone.append(schedule.wait_to_disturb(0))
        schedule.disturbed()
    assert alone[:3] == [UNDISTURBED, 2 * UNDISTURBED, 4 * UNDISTURBED]
    assert alone[-1] == LONGEST_UNDISTURBED
    schedule.ended(0, NOON)
    schedule.begin(0)
    assert schedule.wait_to_disturb(0) == UNDISTURBED


@pytest.mark.parametrize(
    ("hours", "seconds"),
    [("11:00-13:00", None), ("13:00-14:00", 3600), ("10:00-12:00", 22 * 3600), ("22:00-02:00", 36_000)],
)
def test_a_closed_window_opens_at_its_next_start(hours: str, seconds: float | None) -> None:
    assert seconds_until_open(read_window(hours), NOON) == seconds


def test_without_a_window_nothing_waits_for_one() -> None:
    assert seconds_until_open(None, NOON) is None


def test_waits_double_up_to_a_minute() -> None:
    backoff = Backoff(spread=lambda: 1.0)
    assert [backoff.next_wait() for _ in range(8)] == [1, 2, 4, 8, 16, 32, LONGEST_BACKOFF, LONGEST_BACKOFF]
    backoff.reset()
    assert backoff.next_wait() == 1


def test_fifty_machines_do_not_come_back_as_one() -> None:
    assert len({Backoff().next_wait() for _ in range(50)}) > 40


def test_the_first_heartbeat_is_due_at_once() -> None:
    assert Pulse().wait(100) == 0


def test_an_idle_machine_is_heard_as_often_as_the_registry_asks() -> None:
    pulse = Pulse()
    pulse.went_well(100, IDLE_BEAT, is_busy=False)
    assert pulse.wait(100) == IDLE_BEAT


@pytest.mark.parametrize(
    ("asked", "given"),
    [(0, BUSY_BEAT), (-5, BUSY_BEAT), (1e9, 300), (float("nan"), IDLE_BEAT), (float("inf"), IDLE_BEAT)],
)
def test_no_registry_makes_it_flood_or_fall_silent(asked: float, given: float) -> None:
    pulse = Pulse()
    pulse.went_well(0, asked, is_busy=False)
    assert pulse.wait(0) == given


def test_news_goes_out_soon_but_not_more_often_than_every_two_seconds() -> None:
    pulse = Pulse()
    pulse.went_well(100, IDLE_BEAT, is_busy=False)
    pulse.changed()
    assert pulse.wait(100.5) == BUSY_BEAT - 0.5


def test_news_does_not_shorten_the_wait_for_a_registry_that_is_down() -> None:
    pulse = Pulse(Backoff(spread=lambda: 1.0))
    for _ in range(6):
        pulse.failed(0)
    pulse.changed()
    assert pulse.wait(0) == 32
