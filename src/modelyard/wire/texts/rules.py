"""Patterns and checks of texts that people enter."""

import re
from typing import TypeVar

from pydantic_core import PydanticCustomError

from modelyard.wire.texts.invisible_characters import has_invisible_characters

# Control characters break lines in logs and headers, and PostgreSQL cannot store NUL. Lines have none; notes may
# contain tabs and newlines.
LINE_PATTERN = r"^[^\x00-\x1f\x7f]*$"
NOTE_PATTERN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
# Written out because `\s` differs between regular expression dialects, and the patterns are published in OpenAPI.
INVISIBLE = (
    r"\x00-\x20\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    r"\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
# What breaks a line, or changes the direction of the text around it (overrides, embeddings and isolates).
UNREADABLE = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
# At least one visible character, and none of those. Joiners and variation selectors may be anywhere beside it.
NAME_PATTERN = rf"^[^{UNREADABLE}]*[^{INVISIBLE}][^{UNREADABLE}]*$"
# RFC 5321 allows 254 bytes. Checks only for one "@" between non-blank text: only a mail shows whether it exists.
EMAIL_PATTERN = rf"^[^@{INVISIBLE}]+@[^@{INVISIBLE}]+$"

Text = TypeVar("Text")

_unreadable = re.compile(f"[{UNREADABLE}]")
_visible = re.compile(f"[^{INVISIBLE}]")


def check_is_readable(value: object) -> object:
    """Return the value; raise a readable error for a text that does not match ``NAME_PATTERN``.

    An empty text passes: its length is checked elsewhere. It may have any length here, for which a match of the pattern
    would take time that grows with its square.
    """
    if not isinstance(value, str) or not value:
        return value
    if _unreadable.search(value):
        raise PydanticCustomError(
            "unreadable_name", "It has control characters, or characters that change the direction of text"
        )
    if not _visible.search(value):
        raise PydanticCustomError("invisible_name", "It has no visible characters")
    return value


def clean_name(text: str) -> str:
    """Return a text of at most 255 characters as a display name: unreadable characters are replaced by ``_``.

    A text that has nothing visible becomes ``_``.
    """
    name = _unreadable.sub("_", text)[:255]
    return name if _visible.search(name) else "_"


def check_email_address(value: object) -> object:
    """Return the value; raise a readable error for a text that is not an e-mail address or has invisible characters."""
    if isinstance(value, str) and not has_invisible_characters(value) and re.fullmatch(EMAIL_PATTERN, value) is None:
        raise PydanticCustomError("invalid_email_address", "It is not an e-mail address")
    return reject_invisible_characters(value)


def reject_invisible_characters(text: Text) -> Text:
    """Return the value; raise an error for a text with characters that are invisible or change the text direction."""
    if isinstance(text, str) and has_invisible_characters(text):
        raise PydanticCustomError(
            "invisible_characters", "It has characters that are invisible or change the direction of text"
        )
    return text
