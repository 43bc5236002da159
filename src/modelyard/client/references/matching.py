"""Match what a user writes with the objects of one kind. Pure: every command and call finds objects by this order.

1. The id, or another value that no two objects have, such as the path of a model: it decides alone.
2. The start of an id (8 digits or more), and names, which people choose: those of several objects are ambiguous.

So nobody can name an object such that it is found in place of another by the id or the path of that one.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from modelyard.client.references.short_ids import SHORT_ID_LENGTH
from modelyard.wire.problems import Problem

Row = TypeVar("Row")

_MAX_LISTED = 10
_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_SHORT_ID = re.compile(rf"[0-9a-f]{{{SHORT_ID_LENGTH}}}[0-9a-f-]{{0,27}}", re.IGNORECASE)


def _never(_row: object, _text: str) -> bool:
    """Return False."""
    return False


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[Row]):
    """How objects of one kind are referred to.

    ``is_unique_value`` tells whether a text is a value of an object, besides its id, that no other can have, and
    ``has_name`` whether it is one of its names. ``show`` returns what a person recognizes an object by.
    """

    name: str
    get_id: Callable[[Row], UUID | None]
    is_unique_value: Callable[[Row, str], bool] = _never
    has_name: Callable[[Row, str], bool] = _never
    show: Callable[[Row], str]


def match_readings(kind: Kind[Row], readings: Sequence[tuple[str, Sequence[Row]]]) -> list[list[Row]]:
    """Return for each reading of a reference, which is a text with the objects to look at, those that it means.

    If one reading is an id or a unique value, the others are matched with ids and unique values only.
    """
    for is_match in (_is_exact, _is_loose):
        found = [[row for row in rows if is_match(kind, row, text)] for text, rows in readings]
        if any(found):
            return found
    return [[] for _ in readings]


def match_reference(kind: Kind[Row], reference: str, rows: Sequence[Row]) -> list[Row]:
    """Return the objects that a reference means."""
    return match_readings(kind, [(reference, rows)])[0]


def get_only_match(
    kind: Kind[Row], reference: str, rows: Sequence[Row], not_found: type[Problem], *, shown: str | None = None
) -> Row:
    """Return the object that a reference means; messages have ``shown`` for it, by default the reference.

    Raises:
        not_found: it means none, or several, whose ids (without an id, names) the detail lists.
    """
    matches = match_reference(kind, reference, rows)
    if len(matches) == 1:
        return matches[0]
    shown = reference if shown is None else shown
    if not matches:
        raise not_found(f"There is no {kind.name} '{shown}'.")
    raise not_found(f"'{shown}' matches {len(matches)} {kind.name}s. Use one of these: {_list(kind, matches)}.")


def parse_id(text: str) -> UUID | None:
    """Parse an id as the registry writes it, in any case; None for any other text."""
    return UUID(text) if _ID.fullmatch(text) else None


def is_short_id(text: str) -> bool:
    """Return whether a text can be the start of an id, with or without its dashes."""
    return _SHORT_ID.fullmatch(text) is not None


def has_short_id(row_id: UUID, text: str) -> bool:
    """Return whether an id starts with a text, with or without its dashes."""
    return is_short_id(text) and row_id.hex.startswith(text.casefold().replace("-", ""))


def _is_exact(kind: Kind[Row], row: Row, text: str) -> bool:
    """Return whether a text is the object's id or another value that no two objects have."""
    row_id = kind.get_id(row)
    return (row_id is not None and row_id == parse_id(text)) or kind.is_unique_value(row, text)


def _is_loose(kind: Kind[Row], row: Row, text: str) -> bool:
    """Return whether a text is the start of the object's id or one of its names."""
    row_id = kind.get_id(row)
    return (row_id is not None and has_short_id(row_id, text)) or kind.has_name(row, text)


def _list(kind: Kind[Row], rows: Sequence[Row]) -> str:
    """Return the ids of the first objects with what a person recognizes them by; without ids, that alone."""
    ids = [(kind.get_id(row), kind.show(row)) for row in rows[:_MAX_LISTED]]
    texts = [f"'{shown}'" if row_id is None else f"{row_id} ('{shown}')" for row_id, shown in ids]
    return ", ".join(texts) + (", …" if len(rows) > _MAX_LISTED else "")
