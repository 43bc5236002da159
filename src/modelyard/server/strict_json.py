"""Checks of untrusted JSON that bound its cost before a parser builds objects from it."""

from dataclasses import dataclass
from typing import Any

_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))


class JsonRejected(ValueError):
    """The document is refused; the message gives the reason without quoting the document."""


@dataclass(frozen=True)
class JsonLimits:
    """The maximum size of a document, counted in its text.

    Every string has two quotes, and every number and container a comma beside it: so quotes and commas limit the memory
    and time that one document costs.
    """

    depth: int
    quotes: int
    commas: int


def check_size(document: bytes, limits: JsonLimits) -> bytes:
    """Check a document against the limits, in time linear in its length; return it without its strings.

    Raises:
        JsonRejected: it has too many values, or its brackets do not match or nest too deep.
    """
    outside = _without_strings(document, limits.quotes)
    if outside.count(b",") > limits.commas:
        raise JsonRejected("it has more entries than this registry reads")
    brackets = outside.translate(None, _NOT_BRACKETS)
    for _ in range(limits.depth):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not brackets:
            break
    if brackets:
        raise JsonRejected(f"its brackets do not match, or nest deeper than {limits.depth}")
    return outside


def _without_strings(document: bytes, most_quotes: int) -> bytes:
    """Return the parts of a document outside its strings.

    Raises:
        JsonRejected: it has more than ``most_quotes`` quotes; escaped ones do not count.
    """
    # Without escaped backslashes and escaped quotes, every second piece between quotes lies outside of strings.
    plain = document.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > most_quotes:
        raise JsonRejected("it has more entries than this registry reads")
    return b"".join(plain.split(b'"')[::2])


def build_unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object from pairs with distinct keys: an ``object_pairs_hook``.

    Raises:
        JsonRejected: a key occurs twice.
    """
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonRejected("a key occurs twice")
    return members


def reject_constant(name: str) -> Any:
    """Raise ``JsonRejected`` for NaN and the infinities: a ``parse_constant``."""
    raise JsonRejected(f"{name} is no JSON number")
