"""The first rows of each of many keys, within limits."""

from collections.abc import Collection, Mapping, Sequence

import pytest

from modelyard.server.database.first_rows import FirstRows, RowLimits, load_first_rows

LIMITS = RowLimits(of_one=10, in_all=20)


@pytest.mark.parametrize(
    ("counts", "limit"),
    [
        ([], 10),
        ([3, 4], 10),
        ([11], 10),
        ([10, 10], 10),
        ([10, 11], 10),
        ([1, 1, 100, 100], 9),
        ([6, 6, 6, 6], 5),
        ([1] * 20, 10),
        ([1] * 19 + [2], 1),
    ],
)
def test_find_common_limit_leaves_to_others_what_some_do_not_need(counts: list[int], limit: int) -> None:
    assert LIMITS.find_common_limit(counts) == limit
    assert sum(min(count, limit) for count in counts) <= LIMITS.in_all


class Store:
    """Rows by key, which are their numbers; ``calls`` has what was asked for, and how many rows were loaded."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.counts = counts
        self.calls: list[tuple[str, int, bool, int]] = []

    def load(self, keys: Collection[str], limit: int, *, of_each: bool) -> Mapping[str, Sequence[int]]:
        rows: dict[str, list[int]] = {}
        left = limit
        for key in keys:
            left = limit if of_each else left
            rows[key] = list(range(min(self.counts[key], left)))
            left -= len(rows[key])
        self.calls.append(("".join(keys), limit, of_each, sum(map(len, rows.values()))))
        return {key: found for key, found in rows.items() if found}


def load(counts: Mapping[str, int], keys: Sequence[str] | None = None) -> tuple[FirstRows[int], Store]:
    store = Store(counts)
    return load_first_rows(counts if keys is None else keys, store.load, LIMITS), store


def count_rows(found: FirstRows[int]) -> dict[str, int]:
    assert all(list(rows) == list(range(len(rows))) for rows in found.by_key.values())
    return {key: len(rows) for key, rows in found.by_key.items()}


def test_load_first_rows_of_keys_with_two_rows_on_the_average_asks_once() -> None:
    found, store = load({"a": 1, "b": 5, "c": 0})
    assert store.calls == [("abc", 7, False, 6)]
    assert (count_rows(found), found.capped) == ({"a": 1, "b": 5}, set())


def test_load_first_rows_of_one_key_reads_one_more_than_its_limit() -> None:
    found, store = load({"a": 100})
    assert store.calls == [("a", 3, False, 3), ("a", 11, True, 11)]
    assert (count_rows(found), found.capped) == ({"a": 10}, {"a"})


def test_load_first_rows_of_few_keys_with_more_asks_for_more_of_these() -> None:
    found, store = load({"a": 1, "b": 4, "c": 0, "d": 5, "e": 100})
    assert store.calls == [("abcde", 11, False, 11), ("abcde", 5, True, 15), ("de", 11, True, 16)]
    assert (count_rows(found), found.capped) == ({"a": 1, "b": 4, "d": 5, "e": 10}, {"e"})


def test_load_first_rows_of_many_keys_with_more_gives_each_an_equal_share() -> None:
    found, store = load(dict.fromkeys("abcde", 100))
    assert store.calls == [("abcde", 11, False, 11), ("abcde", 5, True, 25)]
    assert (count_rows(found), found.capped) == (dict.fromkeys("abcde", 4), {*"abcde"})


def test_load_first_rows_of_one_key_with_all_the_rows_of_many_is_capped() -> None:
    found, store = load({"a": 11, **dict.fromkeys("bcdefghij", 0)})
    assert store.calls == [("abcdefghij", 21, False, 11)]
    assert (count_rows(found), found.capped) == ({"a": 10}, {"a"})


def test_load_first_rows_of_repeated_keys_asks_once_for_each() -> None:
    _, store = load({"a": 1}, ["a", "a"])
    assert store.calls == [("a", 3, False, 1)]


def test_load_first_rows_of_no_keys_asks_nothing() -> None:
    found, store = load({})
    assert store.calls == []
    assert found == ({}, frozenset())


def test_load_first_rows_of_some_keys_with_a_little_more_than_their_share_has_all_of_them() -> None:
    found, store = load({"a": 1, "b": 1, "c": 5, "d": 6, "e": 6})
    assert store.calls == [("abcde", 11, False, 11), ("abcde", 5, True, 17), ("cde", 7, True, 17)]
    assert (count_rows(found), found.capped) == ({"a": 1, "b": 1, "c": 5, "d": 6, "e": 6}, set())


def test_load_first_rows_of_as_many_keys_as_rows_has_one_of_each() -> None:
    counts = dict.fromkeys("abcdefghijklmnopqrst", 2)
    found, store = load(counts)
    assert store.calls == [("abcdefghijklmnopqrst", 21, False, 21), ("abcdefghijklmnopqrst", 2, True, 40)]
    assert (count_rows(found), found.capped) == (dict.fromkeys(counts, 1), {*counts})


def test_load_first_rows_of_more_keys_than_rows_raises() -> None:
    with pytest.raises(ValueError, match="At most 20 keys"):
        load(dict.fromkeys("abcdefghijklmnopqrstu", 1))
