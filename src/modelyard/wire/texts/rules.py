"""Patterns and checks of texts that people enter."""

import re
from typing import TypeVar

from pydantic_core import PydanticCustomError

from modelyard.wire.texts.invisible_characters import has_invisible_characters

# Control characters break lines in logs and headers, and PostgreSQL cannot store NUL. Lines have none; notes may
# contain tabs and newlines.
LINE_PATTERN = r"^[^\x00-\x1f\x7f]*$"
NOTE_PATTERN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
# What breaks a line, or changes the direction of the text around it (overrides, embeddings and isolates).
UNREADABLE = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
# Other characters that are rendered as nothing. Written out because `\s` differs between regular expression dialects,
# and the patterns are published in OpenAPI.
_BLANK = (
    r"\x20\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u202f\u205f-\u2065\u206a-\u206f"
    r"\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
INVISIBLE = _BLANK + UNREADABLE
# Those above U+FFFF: fillers, format controls of scripts and music, tags and further variation selectors.
_BLANK_ABOVE = (
    "\U00013430-\U00013440\U00016fe4\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)


def _build_name_pattern(blank: str) -> str:
    """Build the pattern of texts with at least one visible character, and without unreadable ones.

    The first visible character is where the blank ones end, so that a match takes linear time in every dialect.
    """
    return rf"^[{blank}]*[^{blank}{UNREADABLE}][^{UNREADABLE}]*$"


# Of characters up to U+FFFF: dialects write those above differently, or compare halves of them. `check_is_readable` has
# the whole rule.
NAME_PATTERN = _build_name_pattern(_BLANK)
# The whole rule, for dialects that compare code points.
NAME_PATTERN_OF_CODE_POINTS = _build_name_pattern(_BLANK + _BLANK_ABOVE)
# RFC 5321 allows 254 bytes. Checks only for one "@" between non-blank text: only a mail shows whether it exists.
EMAIL_PATTERN = rf"^[^@{INVISIBLE}]+@[^@{INVISIBLE}]+$"

Text = TypeVar("Text")

_control_character = re.compile(r"[\x00-\x1f\x7f]")
_unreadable = re.compile(f"[{UNREADABLE}]")
# The file names of other encodings have halves of surrogate pairs, which UTF-8 cannot encode.
_not_in_names = re.compile(f"[{UNREADABLE}\ud800-\udfff]")
_visible = re.compile(f"[^{INVISIBLE}{_BLANK_ABOVE}]")


def check_is_readable(value: object) -> object:
    """Return the value; raise a readable error for a text with nothing visible, or with unreadable characters.

    An empty text passes: its length is checked elsewhere. Joiners, tags and variation selectors may be anywhere beside
    a visible character.
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


def clean_line(text: str, max_length: int) -> str:
    """Return the first characters of a text as a line: what ``LINE_PATTERN`` or UTF-8 does not allow is replaced."""
    line = text[:max_length].encode(errors="replace").decode()
    return _control_character.sub("\N{REPLACEMENT CHARACTER}", line)


def clean_name(text: str) -> str:
    """Return a text of at most 255 characters as a display name: unreadable characters are replaced by ``_``.

    A text that has nothing visible becomes ``_``.
    """
    name = _not_in_names.sub("_", text)[:255]
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
