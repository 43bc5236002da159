"""Shorten ids to what a person can type."""

from collections.abc import Collection
from itertools import pairwise
from uuid import UUID

# A shorter start of an id would match too many models, since ids begin with a time.
SHORT_ID_LENGTH = 8
# The milliseconds of the creation, `01a23370-b5a1`: other rows than those that are shown have another start as well.
_SHOWN_LENGTH = 13


def shorten_ids(ids: Collection[UUID]) -> dict[UUID, str]:
    """Return for each id its shortest start, of at least 13 characters, that no other of the ids has."""
    ordered = sorted(map(str, set(ids)))
    shared = [0, *(_count_shared(one, other) for one, other in pairwise(ordered)), 0]
    return {
        UUID(text): _shorten(text, 1 + max(before, after))
        for text, before, after in zip(ordered, shared, shared[1:], strict=False)
    }


def _shorten(text: str, length: int) -> str:
    """Return the start of an id of at least so many characters, which does not end with a dash."""
    length = max(_SHOWN_LENGTH, length)
    return text[: length + 1] if text[length - 1 : length] == "-" else text[:length]


def _count_shared(one: str, other: str) -> int:
    """Return how many characters at the start of two different ids are the same."""
    return next(index for index, (left, right) in enumerate(zip(one, other, strict=True)) if left != right)
