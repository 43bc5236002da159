"""The hours in which a machine downloads."""

from datetime import UTC, datetime, time

import pytest

from modelyard.client.sync.acting.budget import Window, read_window, room_lacking, seconds_left, why_closed

NIGHT = Window(time(22), time(7))


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 24, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hour", "is_open"), [(21, False), (22, True), (23, True), (0, True), (6, True), (7, False), (12, False)]
)
def test_a_night_spans_midnight(hour: int, is_open: bool) -> None:
    assert why_closed(NIGHT, at(hour)) == (None if is_open else "Downloads start at 22:00.")


def test_without_hours_it_is_always_open() -> None:
    assert why_closed(None, at(12)) is None
    assert seconds_left(None, at(12)) is None


def test_what_is_left_of_the_night_ends_in_the_morning() -> None:
    assert seconds_left(NIGHT, at(22)) == 9 * 3600
    assert seconds_left(NIGHT, at(6, 59)) == 60


def test_hours_are_read_as_they_are_written() -> None:
    assert read_window("22:00-07:00") == NIGHT
    assert str(read_window(" 9:30-17:05 ")) == "09:30-17:05"


@pytest.mark.parametrize("text", ["", "22-7", "24:00-07:00", "22:00-07:60", "22:00", "night", "07:00-07:00"])
def test_what_is_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hours"):
        read_window(text)


def test_room_is_what_lacks_beside_the_floor() -> None:
    assert room_lacking(10, free=100, floor=90) == 0
    assert room_lacking(10, free=100, floor=95) == 5
