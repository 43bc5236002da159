from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.cli.words import age_words, columns, duration_words, fields, harmless, size_words, table
from modelyard.client.sizes import size_of


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\rc", "a\\nb\\rc"),
        ("\x9b31m", "\\x9b31m"),
        ("gpj.\u202eknı", "gpj.\\u202eknı"),
        ("\udc80", "\\udc80"),
        ("墨 ink é", "墨 ink é"),
    ],
)
def test_nothing_that_a_terminal_obeys_gets_through(said: str, shown: str) -> None:
    assert harmless(said) == shown


@given(st.text())
def test_harmless_text_is_printable(text: str) -> None:
    assert all(letter.isprintable() for letter in harmless(text))


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (6_800_000_000, "6.8 GB"),
        (999_999_999, "1 GB"),
        (10**18, "1e+03 PB"),
    ],
)
def test_sizes_are_decimal(count: int, words: str) -> None:
    assert size_words(count) == words


@pytest.mark.parametrize(
    ("words", "count"), [("1000", 1000), ("500GB", 500 * 10**9), ("2 TiB", 2 * 2**40), ("1.5m", 1_500_000)]
)
def test_sizes_can_be_typed(words: str, count: int) -> None:
    assert size_of(words) == count


@pytest.mark.parametrize("words", ["", "big", "-5GB", "5 XB", "1e9"])
def test_what_is_no_size_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        size_of(words)


def test_tables_line_up_and_cut_nothing() -> None:
    lines = table(("NAME", "ID"), [("墨", "1"), ("x" * 300, "2")])
    assert lines[2] == "x" * 300 + "  2"
    assert columns(lines[1]) == columns(lines[2])


def test_fields_without_a_value_are_left_out() -> None:
    assert fields([("id", "1"), ("license", ""), ("state", "ok")]) == ["id     1", "state  ok"]


@pytest.mark.parametrize(
    ("ago", "words"),
    [(5, "just now"), (60, "1 minute ago"), (7200, "2 hours ago"), (86400 * 3, "3 days ago")],
)
def test_ages_are_round(ago: int, words: str) -> None:
    assert age_words(datetime.now(UTC) - timedelta(seconds=ago)) == words


@pytest.mark.parametrize(("seconds", "words"), [(5, "5 s"), (83, "1:23"), (3723, "1:02:03")])
def test_durations_are_short(seconds: int, words: str) -> None:
    assert duration_words(seconds) == words
