"""GGUF, versions 2 and 3: every count, length, type and offset is checked before it is used.

Layout: magic, version, two counts · key/value pairs · tensor descriptions · padding · tensors, each aligned. Rules of
ggml ``docs/gguf.md``; block sizes of ggml's type table. Stricter than readers: no key or tensor twice, tensors may
not overlap, and nothing follows after the last one but its padding.
"""

import math
import struct
from collections import Counter
from dataclasses import dataclass
from typing import Any

from modelyard.server.models.content.facts import ModelFacts, clean_entries, clean_text
from modelyard.server.models.content.families import Shapes, guess_family
from modelyard.server.models.content.gguf_types import TENSOR_TYPES
from modelyard.server.models.content.reading import LARGE_HEADERS, Cursor, Reader
from modelyard.server.models.content.refusing import refusal
from modelyard.wire.problems import NotAModelFile

MAX_HEADER = 64 * 1024 * 1024
MAX_KEYS = 65_536
MAX_TENSORS = 100_000
MAX_KEY_LENGTH = 65_535
MAX_KEPT_TEXT = 65_536
MAX_ARRAY_DEPTH = 4
# A vocabulary has some hundred thousand entries; each costs one step of a Python loop.
MAX_STRINGS = 2_000_000
# ggml has 4; files for ComfyUI-GGUF keep five-dimensional convolutions of video models.
MAX_DIMENSIONS = 8
LARGEST = 2**63 - 1

_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 10: "<Q", 11: "<q", 12: "<d"}
_BOOL, _STRING, _ARRAY = 7, 8, 9
_UINT32 = 4


@dataclass(frozen=True)
class _Tensor:
    type_name: str
    shape: tuple[int, ...]
    offset: int
    size: int


@dataclass
class _Strings:
    """How many strings of arrays may still come."""

    left: int = MAX_STRINGS


def examine_gguf(reader: Reader) -> ModelFacts:
    """Checks the whole structure; reads at most ``MAX_HEADER`` bytes of it.

    Raises:
        NotAModelFile: a rule of the format is broken; the detail says which.
    """
    with LARGE_HEADERS:
        return _examine(Cursor(reader, start=0, end=reader.size, budget=MAX_HEADER), reader.size)


def _examine(cursor: Cursor, size: int) -> ModelFacts:
    version = _version(cursor)
    tensor_count, key_count = struct.unpack("<QQ", cursor.take(16))
    if tensor_count > MAX_TENSORS or key_count > MAX_KEYS:
        raise _broken("it claims an absurd number of tensors or keys")

    values = _key_values(cursor, key_count)
    alignment = _alignment(values)
    tensors = _tensors(cursor, tensor_count, alignment)
    start = cursor.position + -cursor.position % alignment
    _fit(list(tensors.values()), size - start, alignment)
    return _facts(version, values, tensors)


def _version(cursor: Cursor) -> int:
    magic, raw = cursor.take(4), cursor.take(4)
    if magic != b"GGUF":
        raise _broken("it does not begin with 'GGUF'")
    version: int = struct.unpack("<I", raw)[0]
    if version in (2, 3):
        return version
    if struct.unpack(">I", raw)[0] in (1, 2, 3):
        raise refusal(
            "This is a big-endian GGUF file; the machines that run ComfyUI are little-endian and cannot load it. "
            "Convert it (gguf_convert_endian.py of llama.cpp does that).",
            "big-endian gguf file",
        )
    if version == 1:
        raise refusal("This is a GGUF file of version 1, which today's readers refuse. Convert it.", "gguf version 1")
    raise _broken("its version is not 2 or 3")


def _key_values(cursor: Cursor, count: int) -> dict[str, tuple[int, Any]]:
    """Keys with their type and value; arrays, long texts and what is not ``general.*`` have the value None."""
    values: dict[str, tuple[int, Any]] = {}
    strings = _Strings()
    for _ in range(count):
        key = _text(cursor, MAX_KEY_LENGTH)
        if key in values:
            raise _broken("a key stands in it twice")
        (kind,) = struct.unpack("<I", cursor.take(4))
        value = _value(cursor, kind, 0, strings)
        values[key] = (kind, value if key.startswith("general.") else None)
    return values


def _text(cursor: Cursor, limit: int) -> str:
    (length,) = struct.unpack("<Q", cursor.take(8))
    if length > limit:
        raise _broken("a key or a name in it is too long")
    try:
        return cursor.take(length).decode("utf-8")
    except UnicodeDecodeError:
        raise _broken("a key or a name in it is not UTF-8") from None


def _value(cursor: Cursor, kind: int, depth: int, strings: _Strings) -> Any:
    if kind in _NUMBERS:
        (number,) = struct.unpack(_NUMBERS[kind], cursor.take(struct.calcsize(_NUMBERS[kind])))
        return number if math.isfinite(number) else None
    if kind == _BOOL:
        if (byte := cursor.take(1)) not in (b"\0", b"\1"):
            raise _broken("a truth value in it is neither 0 nor 1")
        return byte == b"\1"
    if kind == _STRING:
        (length,) = struct.unpack("<Q", cursor.take(8))
        if length > MAX_KEPT_TEXT:
            return _pass(cursor, length)
        return cursor.take(length).decode("utf-8", "replace")
    if kind == _ARRAY:
        return _array(cursor, depth, strings)
    raise _broken("a value in it has an unknown type")


def _pass(cursor: Cursor, length: int) -> Any:
    cursor.skip(length)
    cursor.charge(length)
    return None


def _array(cursor: Cursor, depth: int, strings: _Strings) -> None:
    kind, count = struct.unpack("<IQ", cursor.take(12))
    if kind in _NUMBERS or kind == _BOOL:
        _pass(cursor, count * (1 if kind == _BOOL else struct.calcsize(_NUMBERS[kind])))
        return
    if kind not in (_STRING, _ARRAY) or depth >= MAX_ARRAY_DEPTH:
        raise _broken("an array in it has an unknown type or nests too deep")
    strings.left -= count
    if strings.left < 0:
        raise _broken("its arrays have more texts than this registry reads")
    for _ in range(count):
        if kind == _STRING:
            _pass(cursor, struct.unpack("<Q", cursor.take(8))[0])
        else:
            _array(cursor, depth + 1, strings)


def _alignment(values: dict[str, tuple[int, Any]]) -> int:
    kind, alignment = values.get("general.alignment", (_UINT32, 32))
    if kind != _UINT32 or alignment == 0 or alignment & (alignment - 1) or alignment > 1 << 20:
        raise _broken("its general.alignment is no power of two")
    return int(alignment)


def _tensors(cursor: Cursor, count: int, alignment: int) -> dict[str, _Tensor]:
    tensors: dict[str, _Tensor] = {}
    for _ in range(count):
        name = _text(cursor, MAX_KEY_LENGTH)
        if name in tensors:
            raise _broken("a tensor stands in it twice")
        tensors[name] = _tensor(cursor, alignment)
    return tensors


def _tensor(cursor: Cursor, alignment: int) -> _Tensor:
    (dimensions,) = struct.unpack("<I", cursor.take(4))
    if dimensions > MAX_DIMENSIONS:
        raise _broken(f"a tensor in it has more than {MAX_DIMENSIONS} dimensions")
    shape = struct.unpack(f"<{dimensions}Q", cursor.take(8 * dimensions))
    kind, offset = struct.unpack("<IQ", cursor.take(12))
    if kind not in TENSOR_TYPES:
        raise _broken("a tensor in it has a type that is unknown or retired")
    name, block, block_bytes = TENSOR_TYPES[kind]
    elements = 1
    for size in shape:
        elements *= size
        if elements > LARGEST:
            raise _broken("a tensor's size overflows")
    if (shape[0] if shape else 1) % block:
        raise _broken("the rows of a tensor are no multiple of its block size")
    if offset % alignment:
        raise _broken("a tensor in it is not aligned")
    return _Tensor(name, shape, offset, elements // block * block_bytes)


def _fit(tensors: list[_Tensor], available: int, alignment: int) -> None:
    """Inside the file, no overlap, and nothing behind the last one but its padding."""
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: (tensor.offset, tensor.size)):
        if tensor.offset < end:
            raise _broken("its tensors overlap")
        end = tensor.offset + tensor.size
    if end > max(available, 0):
        raise refusal(
            f"This GGUF file is truncated: its tensors need {end} bytes and it has {max(available, 0)}. "
            "Fetch and upload the whole file again.",
            "truncated file",
            missing=end - max(available, 0),
        )
    if available > end + -end % alignment:
        raise _broken("bytes follow after its last tensor")


def _facts(version: int, values: dict[str, tuple[int, Any]], tensors: dict[str, _Tensor]) -> ModelFacts:
    # ggml writes the fastest dimension first, everybody else last.
    shapes: Shapes = {name: tensor.shape[::-1] for name, tensor in tensors.items()}
    said = {key: value for key, (_, value) in values.items() if key.startswith("general.") and value is not None}
    architecture = said.get("general.architecture")
    return ModelFacts(
        format="gguf",
        tensor_dtypes=dict(Counter(tensor.type_name for tensor in tensors.values())),
        parameter_count=sum(math.prod(tensor.shape) for tensor in tensors.values()),
        architecture=(clean_text(architecture, 100) if isinstance(architecture, str) else "") or guess_family(shapes),
        extra=clean_entries({"tensor_count": len(tensors), "gguf_version": version} | said),
    )


def _broken(reason: str) -> NotAModelFile:
    return refusal(
        f"This is not a valid GGUF file: {reason}. Fetch it again from where it came, or convert it again.",
        "broken gguf file",
    )
