"""The grammar of searches, with cases that the page's own copy of it shares."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.wire.search.grammar import SearchTerm, parse_search, quote_value, split_search, write_condition
from modelyard.wire.search.values import check_search, parse_size_condition, parse_time_condition

CASES = json.loads(Path(__file__).with_name("search_cases.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["q"] for case in CASES])
def test_split_search_returns_the_tokens_of_each_shared_case(case: dict[str, Any]) -> None:
    tokens = [
        {
            "text": token.text,
            "key": token.key,
            "value_list": [*token.values],
            "is_negated": token.is_negated,
            "quoted_list": [value for value in token.values if value in token.quoted],
        }
        for token in split_search(case["q"])
    ]
    assert tokens == case["token_list"]


@given(st.lists(st.sampled_from([*'ab"|-: ', "type:", "tag:", "\u3000"]), max_size=30).map("".join))
def test_split_search_keeps_all_of_a_text_but_spaces_between_tokens(q: str) -> None:
    tokens = split_search(q)
    assert "".join("".join(token.text for token in tokens).split()) == "".join(q.split())
    assert [token for one in tokens for token in split_search(one.text)] == tokens


@pytest.mark.parametrize(
    ("q", "terms"),
    [
        ("type:a type:b|c", [SearchTerm("type", ("a", "b", "c"))]),
        ("tag:a tag:b ink ink", [SearchTerm("tag", ("a",)), SearchTerm("tag", ("b",)), SearchTerm("", ("ink",))]),
        ("size:>1 size:<5", [SearchTerm("size", (">1",)), SearchTerm("size", ("<5",))]),
        ("by:a -by:c by:b", [SearchTerm("by", ("c",), is_negated=True), SearchTerm("by", ("a", "b"))]),
        ("type: | ", []),
        ('base:a "base:b"', [SearchTerm("", ("base:b",)), SearchTerm("base", ("a",), by_first_words=frozenset("a"))]),
        ('base:"a"|b base:a', [SearchTerm("base", ("a", "b"), by_first_words=frozenset("ab"))]),
        ('-base:"a"', [SearchTerm("base", ("a",), is_negated=True)]),
    ],
)
def test_parse_search_combines_repeated_qualifiers_except_tags_and_ranges(q: str, terms: list[SearchTerm]) -> None:
    assert parse_search(q) == terms


@pytest.mark.parametrize("value", ["Pony", "SDXL 1.0", "a|b", '5"', '"a', "日本", "-a", "a:b", "x" * 300])
def test_quote_value_written_in_a_search_is_read_as_the_same_value(value: str) -> None:
    assert parse_search(f"tag:{quote_value(value)}") == [SearchTerm("tag", (value,))]


@pytest.mark.parametrize("key", ["base", "tag"])
@pytest.mark.parametrize("value", ["Pony", "SDXL 1.0", "a|b", '5"', "日本", "-a", "a:b"])
def test_write_condition_is_read_as_exactly_this_value(key: Literal["base", "tag"], value: str) -> None:
    assert parse_search(write_condition(key, value)) == [SearchTerm(key, (value,))]


@pytest.mark.parametrize(
    ("value", "first", "end"),
    [
        (">2gb", 2_000_000_001, None),
        (">=2GB", 2_000_000_000, None),
        ("<500 MB", None, 500_000_000),
        ("<=1kib", None, 1025),
        ("2gb", 2_000_000_000, 3_000_000_000),
        ("=2.1gb", 2_100_000_000, 2_200_000_000),
        ("0", 0, 1),
        ("1gb..2gb", 1_000_000_000, 2_000_000_001),
    ],
)
def test_parse_size_condition_returns_first_byte_and_end(value: str, first: int | None, end: int | None) -> None:
    assert parse_size_condition(value) == (first, end)


@pytest.mark.parametrize(
    ("value", "first", "end"),
    [
        ("2026-10-01", (2026, 10, 1), (2026, 10, 2)),
        (">2026-10-01", (2026, 10, 2), None),
        (">=2026-10", (2026, 10, 1), None),
        ("<2026", None, (2026, 1, 1)),
        ("<=2025-12", None, (2026, 1, 1)),
        ("2025..2026-02", (2025, 1, 1), (2026, 3, 1)),
        ("2026-1-5", (2026, 1, 5), (2026, 1, 6)),
    ],
)
def test_parse_time_condition_returns_first_moment_and_end(
    value: str, first: tuple[int, int, int] | None, end: tuple[int, int, int] | None
) -> None:
    moments = [None if date is None else datetime(*date, tzinfo=UTC) for date in (first, end)]
    assert [*parse_time_condition(value)] == moments


@pytest.mark.parametrize(
    ("q", "message"),
    [
        ("ink size:>banana", "size: 'banana' is not a size"),
        ("size:>", "size: '' is not a size"),
        ("size:>9000000000tb", "larger than any file"),
        ("size:1gb..", "size: '' is not a size"),
        ("added:yesterday", "added: 'yesterday' is not a date"),
        ("added:2026-02-30", "no date '2026-02-30'"),
        ("added:0001", "no date '0001'"),
        ("added:9999", "no date '9999'"),
        ("-is:nice", "is: 'nice' is none of missing"),
        ("state:gone", "state: 'gone' is none of queued"),
        ("hash:abc", "hash: 'abc' is not a hash"),
        ("|".join(map(str, range(25))), "at most 24"),
    ],
)
def test_check_search_value_that_cannot_be_understood_names_the_qualifier(q: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_search(q)


@pytest.mark.parametrize("q", ["type:unheard-of", "machine:no/such", "hash:sha256:0xABCDEF01", "size:", "foo:>banana"])
def test_check_search_other_values_are_allowed(q: str) -> None:
    assert check_search(q) == q
