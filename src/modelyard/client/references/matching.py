"""Match what a user writes with the objects of one kind. Pure: every command and call finds objects by this order.

1. The id, or another value that no two objects have at a time, such as the path of a model outside the trash: it
   decides alone. A text in the form of an id is never a name, even if no object has it: a deleted one may have had it.
2. The start of an id (8 digits or more), and names, which people choose: those of several objects are ambiguous.

So no object can be named such that it is found in place of another by the id or the path of that one.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from modelyard.client.references.short_ids import SHORT_ID_LENGTH
from modelyard.wire.problems import Problem

Row = TypeVar("Row")

# Of the objects that an ambiguous reference may mean, messages list so many.
MAX_LISTED = 10
_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_SHORT_ID = re.compile(rf"[0-9a-f]{{{SHORT_ID_LENGTH}}}[0-9a-f-]{{0,27}}", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ReferenceKind(Generic[Row]):
    """How objects of one kind are referred to.

    ``is_unique_value`` tells whether a text is a value of an object, besides its id, that no other can have at the same
    time, and ``has_name`` whether it is one of its names. ``show`` returns what a person recognizes an object by.
    """

    name: str
    get_id: Callable[[Row], UUID | None]
    is_unique_value: Callable[[Row, str], bool] = lambda _row, _text: False
    has_name: Callable[[Row, str], bool] = lambda _row, _text: False
    show: Callable[[Row], str]


def match_interpretations(
    kind: ReferenceKind[Row], interpretations: Sequence[tuple[str, Sequence[Row]]]
) -> list[list[Row]]:
    """Return for each interpretation of a reference, a text with the objects to look at, those that it means.

    If one interpretation is an id or a unique value, the others are matched with ids and unique values only.
    """
    for is_match in (_has_id_or_unique_value, _has_short_id_or_name):
        found = [[row for row in rows if is_match(kind, row, text)] for text, rows in interpretations]
        if any(found):
            return found
    return [[] for _ in interpretations]


def match_reference(kind: ReferenceKind[Row], reference: str, rows: Sequence[Row]) -> list[Row]:
    """Return the objects that a reference means."""
    return match_interpretations(kind, [(reference, rows)])[0]


def get_only_match(
    kind: ReferenceKind[Row],
    reference: str,
    rows: Sequence[Row],
    not_found: Callable[[str], Problem],
    *,
    text_in_messages: str | None = None,
    owner: str | None = None,
) -> Row:
    """Return the object that a reference means.

    Messages have ``text_in_messages`` instead of the reference, and ``owner``, the name of what has the objects.

    Raises:
        not_found: it means none, or several, whose ids (without an id, names) the detail lists.
    """
    matches = match_reference(kind, reference, rows)
    if len(matches) == 1:
        return matches[0]
    text = reference if text_in_messages is None else text_in_messages
    if not matches:
        beginning = "There is no" if owner is None else f"'{owner}' has no"
        raise not_found(f"{beginning} {kind.name} '{text}'.")
    place = "" if owner is None else f" of '{owner}'"
    reason = f"'{text}' matches {len(matches)} {kind.name}s{place}."
    raise not_found(f"{reason} Use one of these: {_format_matches(kind, matches)}.")


def parse_id(text: str) -> UUID | None:
    """Parse an id as the registry writes it, in any case; None for any other text."""
    return UUID(text) if _ID.fullmatch(text) else None


def is_short_id(text: str) -> bool:
    """Return whether a text can be the start of an id, with or without its dashes."""
    return _SHORT_ID.fullmatch(text) is not None


def has_short_id(row_id: UUID, text: str) -> bool:
    """Return whether an id starts with a text, with or without its dashes."""
    return is_short_id(text) and row_id.hex.startswith(text.casefold().replace("-", ""))


def _has_id_or_unique_value(kind: ReferenceKind[Row], row: Row, text: str) -> bool:
    """Return whether a text is the object's id or another value that no two objects have."""
    row_id = kind.get_id(row)
    return (row_id is not None and row_id == parse_id(text)) or kind.is_unique_value(row, text)


def _has_short_id_or_name(kind: ReferenceKind[Row], row: Row, text: str) -> bool:
    """Return whether a text is the start of the object's id or one of its names."""
    row_id = kind.get_id(row)
    if row_id is None:
        return kind.has_name(row, text)
    return parse_id(text) is None and (has_short_id(row_id, text) or kind.has_name(row, text))


def _format_matches(kind: ReferenceKind[Row], rows: Sequence[Row]) -> str:
    """Return the ids of the first objects with what a person recognizes them by; without ids, that alone."""
    ids = [(kind.get_id(row), kind.show(row)) for row in rows[:MAX_LISTED]]
    texts = [f"'{shown}'" if row_id is None else f"{row_id} ('{shown}')" for row_id, shown in ids]
    more = len(rows) - MAX_LISTED
    return ", ".join(texts) + (f", and {more} more" if more > 0 else "")
