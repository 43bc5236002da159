from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.cli.terminal.formatting import (
    count_columns,
    escape_unprintable,
    format_age,
    format_duration,
    format_fields,
    format_partial_count,
    format_size,
)
from modelyard.wire.search.sizes import parse_size

ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\rc", "a\\nb\\rc"),
        ("\x9b31m", "\\x9b31m"),
        ("gpj.\u202eknı", "gpj.\\u202eknı"),
        ("\udc80", "\\udc80"),
        ("in\u3164k\u2800", "in\\u3164k\\u2800"),
        ("墨 ink é", "墨 ink é"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        (ENGLAND, ENGLAND),
        ("in\u200dk", "in\\u200dk"),
        ("\x1b\u200d\x1b", "\\x1b\\u200d\\x1b"),
        ("\ue000\u200d\ue001", "\\ue000\\u200d\\ue001"),
        ("\U00050000\u200d\U00050000", "\\U00050000\\u200d\\U00050000"),
        ("ink\U000e0067\U000e007f", "ink\\U000e0067\\U000e007f"),
    ],
)
def test_escape_unprintable_replaces_all_invisible_but_valid_joiners_and_tags(text: str, escaped: str) -> None:
    assert escape_unprintable(text) == escaped


@given(st.text())
def test_escape_unprintable_of_its_result_changes_nothing_for_any_text(text: str) -> None:
    escaped = escape_unprintable(text)
    assert escape_unprintable(escaped) == escaped


@given(st.text(st.characters(categories=["Cf", "Co", "Cn", "Lo", "So"]) | st.sampled_from("\u200c\u200d🏴a ")))
def test_escape_unprintable_of_its_result_changes_nothing_for_texts_with_many_joiners(text: str) -> None:
    escaped = escape_unprintable(text)
    assert escape_unprintable(escaped) == escaped


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("ink", 3),
        ("墨", 2),
        ("e\u0301", 1),
        (ENGLAND, 2),
        ("❤\ufe0f", 1),
        ("👩\u200d🚀", 4),
        ("می\u200cخواهم", 7),
    ],
)
def test_count_columns_counts_no_joiners_tags_and_marks(text: str, columns: int) -> None:
    assert count_columns(text) == columns


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (6_800_000_000, "6.8 GB"),
        (999_999_999, "1 GB"),
        (10**18, "1e+03 PB"),
    ],
)
def test_format_size_uses_decimal_units(count: int, text: str) -> None:
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("text", "count"), [("1000", 1000), ("500GB", 500 * 10**9), ("2 TiB", 2 * 2**40), ("1.5m", 1_500_000)]
)
def test_parse_size_with_or_without_unit_returns_bytes(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "big", "-5GB", "5 XB", "1e9"])
def test_parse_size_invalid_raises_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("count", "is_capped", "text"),
    [
        (4210, False, "4,210"),
        (4210, True, "4,210+"),
        (1000, True, "1,000+"),
        (10_000, False, "10,000"),
        (10_000, True, "10k+"),
    ],
)
def test_format_partial_count_marks_counts_that_may_be_higher(count: int, is_capped: bool, text: str) -> None:
    assert format_partial_count(count, is_capped=is_capped) == text


def test_fields_omits_pairs_with_empty_value() -> None:
    assert format_fields([("id", "1"), ("license", ""), ("state", "ok")]) == ["id     1", "state  ok"]


@pytest.mark.parametrize(
    ("age_seconds", "text"),
    [(5, "just now"), (60, "1 minute ago"), (7200, "2 hours ago"), (86400 * 3, "3 days ago")],
)
def test_format_age_uses_largest_whole_unit(age_seconds: int, text: str) -> None:
    assert format_age(datetime.now(UTC) - timedelta(seconds=age_seconds)) == text


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (83, "1:23"), (3723, "1:02:03")])
def test_format_duration_uses_seconds_minutes_or_hours(seconds: int, text: str) -> None:
    assert format_duration(seconds) == text
