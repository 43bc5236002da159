"""JSON from strangers: its shape is measured before a parser builds objects from it."""

import json
import math
import re
from typing import Any

MAX_DEPTH = 16
# Every string that a parser builds has two quotes, every number and container a comma beside it: these two bounds
# limit the memory that one document can cost to some tens of MiB.
MAX_QUOTES = 600_000
MAX_COMMAS = 500_000

_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
# 2^64 has 20 digits. Surrogates come in by escapes only, since UTF-8 cannot carry them.
_ABSURD_NUMBER = re.compile(rb"[0-9]{21}")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")


class RefusedJson(ValueError):
    """This is no JSON that we read; the text says why, without quoting the document."""


def parse(document: bytes) -> Any:
    """The value of a UTF-8 JSON document; objects keep no key twice, a negative integer comes out as -1.

    Stricter than ``json``: no NaN, no infinity, no lone surrogates, no number of more than 20 digits; and bounded
    in depth and in the number of values before it is parsed.

    Raises:
        RefusedJson: always this, and never a RecursionError or a MemoryError.
    """
    outside = _outside_of_texts(document)
    _measure(outside)
    # An escaped backslash becomes something else first, or it could hide what follows or join what it parts.
    if _SURROGATE_ESCAPE.search(_SURROGATE_PAIR.sub(b"", document.replace(b"\\\\", b"--"))):
        raise RefusedJson("it has half of a surrogate pair")
    # It costs one call a number, so it is made only where the document gives a reason.
    integer = _integer if b"-" in outside else None
    try:
        text = document.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedJson("it is not UTF-8") from None
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_int=integer, parse_float=_finite, parse_constant=_no_constant
        )
    except RefusedJson:
        raise
    except ValueError:
        raise RefusedJson("it is not valid JSON") from None


def _outside_of_texts(document: bytes) -> bytes:
    # Without escaped backslashes and escaped quotes, every second piece between quotes lies outside of strings.
    plain = document.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > MAX_QUOTES:
        raise RefusedJson("it has more entries than this registry reads")
    return b"".join(plain.split(b'"')[::2])


def _measure(outside: bytes) -> None:
    if outside.count(b",") > MAX_COMMAS:
        raise RefusedJson("it has more entries than this registry reads")
    if _ABSURD_NUMBER.search(outside):
        raise RefusedJson("it has an absurd number")
    brackets = outside.translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not brackets:
            return
    raise RefusedJson("its brackets do not match or nest too deep")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise RefusedJson("a name stands in it twice")
    return made


def _integer(digits: str) -> int:
    if digits[0] == "-":
        # No field of ours may be negative, and "-0" must not pass for 0: the reference reader refuses it.
        return -1
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise RefusedJson("it has an absurd number")
    return number


def _no_constant(name: str) -> Any:
    raise RefusedJson(f"{name} is not JSON")
