"""The first rows of each of many keys: however many rows there are, only so many are read."""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

# Rows of a key on the average.
_TYPICAL = 2
Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)


class LoadRows(Protocol[Item_co]):
    """Loads at most ``limit`` rows of these keys: the first ones of each, or any of all; only keys that have rows."""

    def __call__(self, keys: Collection[str], limit: int, *, of_each: bool) -> Mapping[str, Sequence[Item_co]]: ...


class FirstRows(NamedTuple, Generic[Item]):
    """Rows by key; ``capped`` has the keys that have more rows."""

    by_key: Mapping[str, Sequence[Item]]
    capped: Set[str]


@dataclass(frozen=True)
class RowLimits:
    """How many rows count for one key, and how many for all keys of a request."""

    of_one: int
    in_all: int

    def get_share(self, keys: int) -> int:
        """Return how many rows each of so many keys may have."""
        return min(self.of_one, self.in_all // max(1, keys))

    def find_common_limit(self, counts: Iterable[int]) -> int:
        """Return how many rows each key may have if keys have so many: those with few leave the rest to others."""
        ascending, left = sorted(counts), self.in_all
        if sum(ascending) <= left:
            return self.of_one
        for index, count in enumerate(ascending):
            share = min(self.of_one, left // (len(ascending) - index))
            if count > share:
                return share
            left -= count
        return self.of_one


def load_first_rows(keys: Iterable[str], load: LoadRows[Item], limits: RowLimits) -> FirstRows[Item]:
    """Return the first rows of each key. Keys beyond ``in_all`` get none.

    Nearly all requests ask for keys with about one row each: then ``load`` is called once, for ``_TYPICAL`` rows of a
    key on the average. Otherwise it is called for an equal share of ``in_all``, and if only a few keys have more, once
    again for more of these. A row more than counts is loaded to see whether there are more.
    """
    wanted = list(dict.fromkeys(keys))
    asked = wanted[: limits.in_all]
    if not asked:
        return FirstRows({}, frozenset())
    expected = min(limits.in_all, _TYPICAL * len(asked))
    rows, share = load(asked, expected + 1, of_each=False), limits.of_one
    if sum(map(len, rows.values())) > expected:
        rows, share = _load_shares(asked, load, limits)
    capped = [key for key, found in rows.items() if len(found) > share]
    return FirstRows({**rows, **{key: rows[key][:share] for key in capped}}, {*capped, *wanted[limits.in_all :]})


def _load_shares(
    keys: Collection[str], load: LoadRows[Item], limits: RowLimits
) -> tuple[Mapping[str, Sequence[Item]], int]:
    """Return rows of each key, and how many of them count; a key that has more has a row more."""
    share = limits.get_share(len(keys))
    rows = load(keys, share + 1, of_each=True)
    capped = [key for key, found in rows.items() if len(found) > share]
    # Not for a little more: those rows are read twice.
    if not capped or (larger := limits.get_share(len(capped))) < 2 * share:
        return rows, share
    return {**rows, **load(capped, larger + 1, of_each=True)}, larger
