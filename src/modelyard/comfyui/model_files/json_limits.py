"""Parsing of untrusted JSON: its size and depth are limited before a parser builds objects from it."""

import json
import math
import re
from collections.abc import Callable
from typing import Any

from modelyard.wire.texts.strict_json import JsonLimits, JsonRejected, build_unique_object, check_size, reject_constant

__all__ = ["LIMITS", "JsonRejected", "parse"]

# Those of 60,000 tensors and some metadata. They limit the memory that one document costs to some tens of MiB.
LIMITS = JsonLimits(depth=16, brackets=400_000, separators=600_000)

# 2^64 has 20 digits. Surrogates can only be written as escapes, since UTF-8 cannot encode them.
_TOO_LONG_NUMBER = re.compile(r"[0-9]{21}")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")


def parse(document: bytes, parse_constant: Callable[[str], Any] = reject_constant) -> Any:
    """Parse a UTF-8 JSON document; every negative integer is returned as -1.

    Stricter than ``json``: no key twice in an object, no lone surrogates, no number of more than 20 digits; depth and
    number of values are limited before parsing. NaN and the infinities are refused, unless ``parse_constant`` takes
    their names and returns a value for them.

    Raises:
        JsonRejected: the document is invalid or too large; never a RecursionError or a MemoryError.
    """
    check_size(document, LIMITS)
    # Escaped backslashes are replaced first: one could hide the escape after it, or join two separate halves.
    if _SURROGATE_ESCAPE.search(_SURROGATE_PAIR.sub(b"", document.replace(b"\\\\", b"--"))):
        raise JsonRejected("it has half of a surrogate pair")
    try:
        text = document.decode("utf-8")
    except UnicodeDecodeError:
        raise JsonRejected("it is not UTF-8") from None
    try:
        return json.loads(
            text,
            object_pairs_hook=build_unique_object,
            parse_int=_parse_integer,
            parse_float=_parse_finite,
            parse_constant=parse_constant,
        )
    except JsonRejected:
        raise
    except ValueError:
        raise JsonRejected("it is not valid JSON") from None


def _parse_integer(digits: str) -> int:
    """Parse the digits of an integer; every negative one, ``-0`` included, becomes -1.

    Raises:
        JsonRejected: it has more than 20 digits.
    """
    if _TOO_LONG_NUMBER.search(digits):
        raise JsonRejected("it has a number that is too large")
    if digits[0] == "-":
        # No field may be negative, and "-0" must not pass for 0: the reference reader refuses it.
        return -1
    return int(digits)


def _parse_finite(digits: str) -> float:
    """Parse a float.

    Raises:
        JsonRejected: it overflows to infinity, or has more than 20 digits.
    """
    number = float(digits)
    if not math.isfinite(number) or _TOO_LONG_NUMBER.search(digits):
        raise JsonRejected("it has a number that is too large")
    return number
