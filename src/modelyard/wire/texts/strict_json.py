"""Limits for the size and depth of untrusted JSON, and hooks for ``json.loads`` that make it stricter.

``check_size`` checks the text before it is parsed. The hooks refuse repeated keys, NaN and infinities, and integers of
thousands of digits.
"""

from dataclasses import dataclass
from typing import Any

_NOT_STRUCTURE_OR_QUOTE = bytes(sorted(set(range(256)) - set(b'[]{},:"')))
_BRACES_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")
# Where few values are allowed, a document with too many has too many in its first bytes: then the rest is not read.
FIRST_BYTES = 64 * 1024
# Python converts no longer integer; the time that it takes grows with the square of the digits.
_MAX_DIGITS = 4_300
# The characters of every 64-bit integer, and one that is larger than each.
_MAX_EXACT_DIGITS, _BEYOND_64_BITS = 20, 2**64


class JsonRejected(ValueError):
    """The document is refused; the message gives the reason without quoting the document."""


@dataclass(frozen=True)
class JsonLimits:
    """The maximum size of a document, counted in its text outside of strings.

    ``brackets``: opening and closing ones, of lists and objects. ``separators``: commas and colons. Every value and key
    in a list or an object has one of these beside it, so they limit the memory and time that a document costs.
    """

    depth: int
    brackets: int
    separators: int


def check_size(document: bytes, limits: JsonLimits) -> None:
    """Check a document against the limits, in time linear in its length.

    Whether a closing bracket is of the same kind as its opening one is left to the parser.

    Raises:
        JsonRejected: it has too many quotes, brackets or separators, or its brackets do not match or nest too deep.
    """
    _extract_brackets(document[:FIRST_BYTES], limits)
    brackets = _extract_brackets(document, limits)
    for _ in range(limits.depth):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            break
    if brackets:
        raise JsonRejected(f"its brackets do not match, or nest deeper than {limits.depth}")


def _extract_brackets(document: bytes, limits: JsonLimits) -> bytes:
    """Return the brackets of a document, or of its first bytes, outside its strings; braces become brackets.

    Raises:
        JsonRejected: it has too many quotes, brackets or separators.
    """
    structure = _extract_structure(document, 2 * (limits.brackets + limits.separators + 1))
    brackets = structure.translate(_BRACES_TO_BRACKETS, b",:")
    if len(brackets) > limits.brackets:
        raise JsonRejected(f"it has more than {limits.brackets:,} brackets of lists and objects")
    if len(structure) - len(brackets) > limits.separators:
        raise JsonRejected(f"it has more than {limits.separators:,} commas and colons")
    return brackets


def _extract_structure(document: bytes, most_quotes: int) -> bytes:
    """Return the brackets, commas and colons of a document outside its strings.

    Raises:
        JsonRejected: more than ``most_quotes`` quotes are left, without escaped ones and pairs side by side.
    """
    # Without escaped backslashes and escaped quotes, every second piece between quotes lies outside of strings.
    plain = document.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = plain.translate(None, _NOT_STRUCTURE_OR_QUOTE)
    # Two quotes side by side are a string that has no such character, or the end of one and the start of the next:
    # without both, what was outside of strings still is.
    marks = marks.replace(b'""', b"")
    if marks.count(b'"') > most_quotes:
        raise JsonRejected("it has more strings than values")
    return b"".join(marks.split(b'"')[::2])


def build_unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object from pairs with distinct keys, as the ``object_pairs_hook`` of ``json.loads``.

    Raises:
        JsonRejected: a key occurs twice.
    """
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonRejected("a key occurs twice")
    return members


def reject_constant(name: str) -> Any:
    """Raise ``JsonRejected`` for NaN or an infinity, as the ``parse_constant`` of ``json.loads``."""
    raise JsonRejected(f"{name} is no JSON number")


def parse_integer(digits: str) -> int:
    """Parse an integer, as the ``parse_int`` of ``json.loads``; one of more than 20 characters becomes 2**64 or -2**64.

    Such a number is not converted, which is slow, and the field that has it is refused with the range of its values.
    As a function in Python, this lets other threads run between the numbers of a long list.

    Raises:
        JsonRejected: it has thousands of digits.
    """
    if len(digits) <= _MAX_EXACT_DIGITS:
        return int(digits)
    if len(digits) > _MAX_DIGITS:
        raise JsonRejected(f"a number has more than {_MAX_DIGITS:,} digits")
    return -_BEYOND_64_BITS if digits.startswith("-") else _BEYOND_64_BITS


def parse_float(digits: str) -> float:
    """Parse a number with a fraction or an exponent, as a ``parse_float`` that lets other threads run."""
    return float(digits)
