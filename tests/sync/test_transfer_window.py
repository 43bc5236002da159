"""The hours in which a machine downloads."""

from datetime import UTC, datetime, time

import pytest

from modelyard.sync.apply.transfer_window import (
    TransferWindow,
    count_missing_bytes,
    get_closed_reason,
    get_seconds_until_close,
    parse_window,
)

NIGHT = TransferWindow(time(22), time(7))


def build_time(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 24, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hour", "is_open"), [(21, False), (22, True), (23, True), (0, True), (6, True), (7, False), (12, False)]
)
def test_transfer_window_may_span_midnight(hour: int, is_open: bool) -> None:
    assert get_closed_reason(NIGHT, build_time(hour)) == (None if is_open else "Downloads start at 22:00.")


def test_transfer_window_none_is_always_open() -> None:
    assert get_closed_reason(None, build_time(12)) is None
    assert get_seconds_until_close(None, build_time(12)) is None


def test_transfer_window_seconds_until_close_span_midnight() -> None:
    assert get_seconds_until_close(NIGHT, build_time(22)) == 9 * 3600
    assert get_seconds_until_close(NIGHT, build_time(6, 59)) == 60


def test_parse_window_valid_hours_are_parsed() -> None:
    assert parse_window("22:00-07:00") == NIGHT
    assert str(parse_window(" 9:30-17:05 ")) == "09:30-17:05"


@pytest.mark.parametrize("text", ["", "22-7", "24:00-07:00", "22:00-07:60", "22:00", "night", "07:00-07:00"])
def test_parse_window_invalid_hours_raise_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="hours"):
        parse_window(text)


def test_count_missing_bytes_includes_keep_free() -> None:
    assert count_missing_bytes(10, free=100, keep_free=90) == 0
    assert count_missing_bytes(10, free=100, keep_free=95) == 5
