"""The key/value pairs of a GGUF header, and the names in it."""

import math
import struct
from dataclasses import dataclass
from typing import Any

from modelyard.comfyui.model_files.cursor import Cursor
from modelyard.comfyui.model_files.refusals import build_refusal
from modelyard.wire.problems import NotAModelFile

MAX_KEY_LENGTH = 65_535
MAX_TEXT = 65_536
MAX_ARRAY_DEPTH = 4
# A vocabulary has some 100,000 entries; each costs one step of a Python loop.
MAX_STRINGS = 2_000_000
UINT32 = 4

_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", UINT32: "<I", 5: "<i", 6: "<f", 10: "<Q", 11: "<q", 12: "<d"}
_BOOL, _STRING, _ARRAY = 7, 8, 9


@dataclass
class _StringBudget:
    """The number of array elements of type string that may still be read, over all keys."""

    left: int = MAX_STRINGS


def read_key_values(cursor: Cursor, count: int) -> dict[str, tuple[int, Any]]:
    """Read the key/value pairs; return type and value by key.

    The value is None for keys outside ``general.*`` and for what ``_read_value`` does not return.

    Raises:
        NotAModelFile: a key occurs twice, or a pair is invalid.
    """
    values: dict[str, tuple[int, Any]] = {}
    strings = _StringBudget()
    for _ in range(count):
        key = read_name(cursor, MAX_KEY_LENGTH)
        if key in values:
            raise build_invalid_refusal("a key occurs twice")
        (value_type,) = struct.unpack("<I", cursor.take(4))
        value = _read_value(cursor, value_type, 0, strings)
        values[key] = (value_type, value if key.startswith("general.") else None)
    return values


def read_name(cursor: Cursor, limit: int) -> str:
    """Read a length-prefixed UTF-8 key or tensor name.

    Raises:
        NotAModelFile: it has more than ``limit`` bytes or is not UTF-8.
    """
    (length,) = struct.unpack("<Q", cursor.take(8))
    if length > limit:
        raise build_invalid_refusal("a key or a name in it is too long")
    try:
        return cursor.take(length).decode("utf-8")
    except UnicodeDecodeError:
        raise build_invalid_refusal("a key or a name in it is not UTF-8") from None


def _read_value(cursor: Cursor, kind: int, depth: int, strings: _StringBudget) -> Any:
    """Read one value of type ``kind``; return None for arrays, infinities, NaN and texts above ``MAX_TEXT`` bytes.

    Invalid UTF-8 in a text is replaced. ``depth`` counts the arrays around the value.

    Raises:
        NotAModelFile: the type is unknown, or the value is invalid or too large.
    """
    if kind in _NUMBERS:
        (number,) = struct.unpack(_NUMBERS[kind], cursor.take(struct.calcsize(_NUMBERS[kind])))
        return number if math.isfinite(number) else None
    if kind == _BOOL:
        if (byte := cursor.take(1)) not in (b"\0", b"\1"):
            raise build_invalid_refusal("a boolean in it is neither 0 nor 1")
        return byte == b"\1"
    if kind == _STRING:
        (length,) = struct.unpack("<Q", cursor.take(8))
        if length > MAX_TEXT:
            return _skip_charged(cursor, length)
        return cursor.take(length).decode("utf-8", "replace")
    if kind == _ARRAY:
        return _skip_array(cursor, depth, strings)
    raise build_invalid_refusal("a value in it has an unknown type")


def _skip_charged(cursor: Cursor, length: int) -> Any:
    """Skip ``length`` bytes and count them against the read budget of the header; always returns None."""
    cursor.skip(length)
    cursor.charge(length)
    return None


def _skip_array(cursor: Cursor, depth: int, strings: _StringBudget) -> None:
    """Skip an array and those nested in it, up to ``MAX_ARRAY_DEPTH`` deep.

    Strings and nested arrays count against ``strings``.

    Raises:
        NotAModelFile: it is invalid, too deep or too large.
    """
    kind, count = struct.unpack("<IQ", cursor.take(12))
    if kind in _NUMBERS or kind == _BOOL:
        _skip_charged(cursor, count * (1 if kind == _BOOL else struct.calcsize(_NUMBERS[kind])))
        return
    if kind not in (_STRING, _ARRAY) or depth >= MAX_ARRAY_DEPTH:
        raise build_invalid_refusal("an array in it has an unknown type or nests too deep")
    strings.left -= count
    if strings.left < 0:
        raise build_invalid_refusal("its arrays have more strings than this registry reads")
    for _ in range(count):
        if kind == _STRING:
            _skip_charged(cursor, struct.unpack("<Q", cursor.take(8))[0])
        else:
            _skip_array(cursor, depth + 1, strings)


def build_invalid_refusal(reason: str, found: str = "broken gguf file") -> NotAModelFile:
    """Build the refusal of a file that breaks a rule of GGUF; ``reason`` completes "not a valid GGUF file: ..."."""
    return build_refusal(
        f"This is not a valid GGUF file: {reason}. Download it again from its source, or convert it again.",
        found,
    )
