"""The first rows of each of many keys: however many rows there are, only so many are read."""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

# What is expected of nearly all requests: so many rows of a key on the average.
_ROWS_PER_KEY = 2
Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)


class LoadRows(Protocol[Item_co]):
    """A function that loads rows by their keys."""

    def __call__(self, keys: Collection[str], limit: int, *, of_each: bool) -> Mapping[str, Sequence[Item_co]]:
        """Return the rows of those of the keys that have any.

        With ``of_each`` the first rows of each key, at most ``limit`` of it; otherwise any rows, at most ``limit`` in
        all.
        """


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
        """Return how many rows each of so many keys may have, at least one of each."""
        return min(self.of_one, self.in_all // keys)

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
    """Return the first rows of each key.

    Nearly all requests ask for keys with about one row each: then ``load`` is called once, for ``_ROWS_PER_KEY`` rows
    of a key on the average. Otherwise it is called for an equal share of ``in_all``, and once again for those keys that
    have more, of which each gets an equal share too. A row more than counts is loaded to see whether there are more.

    Raises:
        ValueError: there are more keys than ``in_all``.
    """
    asked = list(dict.fromkeys(keys))
    if len(asked) > limits.in_all:
        raise ValueError(f"At most {limits.in_all} keys can have rows")
    if not asked:
        return FirstRows({}, frozenset())
    expected = min(limits.in_all, _ROWS_PER_KEY * len(asked))
    rows, share = load(asked, expected + 1, of_each=False), limits.of_one
    if sum(map(len, rows.values())) > expected:
        rows, share = _load_shares(asked, load, limits)
    capped = {key for key, found in rows.items() if len(found) > share}
    return FirstRows({**rows, **{key: rows[key][:share] for key in capped}}, capped)


def _load_shares(
    keys: Collection[str], load: LoadRows[Item], limits: RowLimits
) -> tuple[Mapping[str, Sequence[Item]], int]:
    """Return rows of each key, and how many of them count; a key that has more has a row more."""
    share = limits.get_share(len(keys))
    rows = load(keys, share + 1, of_each=True)
    capped = [key for key, found in rows.items() if len(found) > share]
    if not capped or (larger := limits.get_share(len(capped))) <= share:
        return rows, share
    return {**rows, **load(capped, larger + 1, of_each=True)}, larger
