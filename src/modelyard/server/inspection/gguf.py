"""GGUF, versions 2 and 3: every count, length, type and offset is checked before it is used.

Layout: magic, version, two counts · key/value pairs · tensor descriptions · padding · tensors, each aligned. Rules of
ggml ``docs/gguf.md``; block sizes of ggml's type table. Stricter than other readers: no key or tensor name twice,
tensors may not overlap, and only padding follows the last one.
"""

import math
import struct
from collections import Counter
from dataclasses import dataclass
from typing import Any

from modelyard.comfyui.model_files.readers import Reader
from modelyard.comfyui.model_files.refusals import build_refusal
from modelyard.server.inspection.description.architectures import describe_model
from modelyard.server.inspection.description.base_models import Claim
from modelyard.server.inspection.description.layers import Layers
from modelyard.server.inspection.gguf_types import TENSOR_TYPES
from modelyard.server.inspection.metadata import ModelMetadata, clean_entries
from modelyard.server.inspection.readers import Cursor
from modelyard.wire.problems import NotAModelFile
from modelyard.wire.texts.cleaning import clean_text

MAX_HEADER = 64 * 1024 * 1024
MAX_KEYS = 65_536
MAX_TENSORS = 100_000
MAX_KEY_LENGTH = 65_535
MAX_TEXT = 65_536
MAX_ARRAY_DEPTH = 4
# A vocabulary has some 100,000 entries; each costs one step of a Python loop.
MAX_STRINGS = 2_000_000
# ggml has 4; files for ComfyUI-GGUF keep five-dimensional convolutions of video models.
MAX_DIMENSIONS = 8
LARGEST = 2**63 - 1

_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 10: "<Q", 11: "<q", 12: "<d"}
_BOOL, _STRING, _ARRAY = 7, 8, 9
_UINT32 = 4


@dataclass(frozen=True)
class _Tensor:
    """One tensor description; ``offset`` counts from the start of the tensor data, ``size`` is in bytes."""

    type_name: str
    shape: tuple[int, ...]
    offset: int
    size: int


@dataclass
class _StringBudget:
    """The number of array elements of type string that may still be read, over all keys."""

    left: int = MAX_STRINGS


def validate_gguf(reader: Reader) -> ModelMetadata:
    """Check the structure of a GGUF file and return its metadata; reads at most ``MAX_HEADER`` bytes, no tensor data.

    Raises:
        NotAModelFile: a rule of the format is broken; the detail names the rule.
    """
    return _validate(Cursor(reader, start=0, end=reader.size, budget=MAX_HEADER), reader.size)


def _validate(cursor: Cursor, size: int) -> ModelMetadata:
    """Check a file of ``size`` bytes from a cursor at its start; see ``validate_gguf``."""
    version = _read_version(cursor)
    tensor_count, key_count = struct.unpack("<QQ", cursor.take(16))
    if tensor_count > MAX_TENSORS or key_count > MAX_KEYS:
        raise _build_invalid_refusal("it declares more tensors or keys than this registry reads")

    values = _read_key_values(cursor, key_count)
    alignment = _get_alignment(values)
    tensors = _read_tensors(cursor, tensor_count, alignment)
    start = cursor.position + -cursor.position % alignment
    _check_offsets(list(tensors.values()), size - start, alignment)
    return _build_metadata(version, values, tensors)


def _read_version(cursor: Cursor) -> int:
    """Read magic and version; return 2 or 3.

    Raises:
        NotAModelFile: another magic or version; big-endian files and version 1 have a detail of their own.
    """
    magic, raw = cursor.take(4), cursor.take(4)
    if magic != b"GGUF":
        raise _build_invalid_refusal("it does not begin with 'GGUF'")
    version: int = struct.unpack("<I", raw)[0]
    if version in (2, 3):
        return version
    if struct.unpack(">I", raw)[0] in (1, 2, 3):
        raise build_refusal(
            "This is a big-endian GGUF file; the machines that run ComfyUI are little-endian and cannot load it. "
            "Convert it (gguf_convert_endian.py of llama.cpp does that).",
            "big-endian gguf file",
        )
    if version == 1:
        raise build_refusal(
            "This is a GGUF file of version 1, which current readers refuse. Convert it to version 3.", "gguf version 1"
        )
    raise _build_invalid_refusal("its version is not 2 or 3")


def _read_key_values(cursor: Cursor, count: int) -> dict[str, tuple[int, Any]]:
    """Read the key/value pairs; return type and value by key.

    The value is None for keys outside ``general.*`` and for what ``_read_value`` does not return.

    Raises:
        NotAModelFile: a key occurs twice, or a pair is invalid.
    """
    values: dict[str, tuple[int, Any]] = {}
    strings = _StringBudget()
    for _ in range(count):
        key = _read_name(cursor, MAX_KEY_LENGTH)
        if key in values:
            raise _build_invalid_refusal("a key occurs twice")
        (value_type,) = struct.unpack("<I", cursor.take(4))
        value = _read_value(cursor, value_type, 0, strings)
        values[key] = (value_type, value if key.startswith("general.") else None)
    return values


def _read_name(cursor: Cursor, limit: int) -> str:
    """Read a length-prefixed UTF-8 key or tensor name.

    Raises:
        NotAModelFile: it has more than ``limit`` bytes or is not UTF-8.
    """
    (length,) = struct.unpack("<Q", cursor.take(8))
    if length > limit:
        raise _build_invalid_refusal("a key or a name in it is too long")
    try:
        return cursor.take(length).decode("utf-8")
    except UnicodeDecodeError:
        raise _build_invalid_refusal("a key or a name in it is not UTF-8") from None


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
            raise _build_invalid_refusal("a boolean in it is neither 0 nor 1")
        return byte == b"\1"
    if kind == _STRING:
        (length,) = struct.unpack("<Q", cursor.take(8))
        if length > MAX_TEXT:
            return _skip_charged(cursor, length)
        return cursor.take(length).decode("utf-8", "replace")
    if kind == _ARRAY:
        return _skip_array(cursor, depth, strings)
    raise _build_invalid_refusal("a value in it has an unknown type")


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
        raise _build_invalid_refusal("an array in it has an unknown type or nests too deep")
    strings.left -= count
    if strings.left < 0:
        raise _build_invalid_refusal("its arrays have more strings than this registry reads")
    for _ in range(count):
        if kind == _STRING:
            _skip_charged(cursor, struct.unpack("<Q", cursor.take(8))[0])
        else:
            _skip_array(cursor, depth + 1, strings)


def _get_alignment(values: dict[str, tuple[int, Any]]) -> int:
    """Return ``general.alignment``, 32 if absent.

    Raises:
        NotAModelFile: it is not a ``uint32``, not a power of two, or above 1 MiB.
    """
    kind, alignment = values.get("general.alignment", (_UINT32, 32))
    if kind != _UINT32 or alignment == 0 or alignment & (alignment - 1) or alignment > 1 << 20:
        raise _build_invalid_refusal("its general.alignment is not a power of two")
    return int(alignment)


def _read_tensors(cursor: Cursor, count: int, alignment: int) -> dict[str, _Tensor]:
    """Read ``count`` tensor descriptions; return them by name. Raises ``NotAModelFile``, also for a repeated name."""
    tensors: dict[str, _Tensor] = {}
    for _ in range(count):
        name = _read_name(cursor, MAX_KEY_LENGTH)
        if name in tensors:
            raise _build_invalid_refusal("a tensor name occurs twice")
        tensors[name] = _read_tensor(cursor, alignment)
    return tensors


def _read_tensor(cursor: Cursor, alignment: int) -> _Tensor:
    """Read one tensor description after its name; its ``size`` in bytes follows from shape and block size.

    Raises:
        NotAModelFile: too many dimensions, an unknown type, an overflowing size, partial blocks or a misaligned offset.
    """
    (dimensions,) = struct.unpack("<I", cursor.take(4))
    if dimensions > MAX_DIMENSIONS:
        raise _build_invalid_refusal(f"a tensor in it has more than {MAX_DIMENSIONS} dimensions")
    shape = struct.unpack(f"<{dimensions}Q", cursor.take(8 * dimensions))
    kind, offset = struct.unpack("<IQ", cursor.take(12))
    if kind not in TENSOR_TYPES:
        raise _build_invalid_refusal("a tensor in it has a type that is unknown or retired")
    name, block, block_bytes = TENSOR_TYPES[kind]
    elements = 1
    for size in shape:
        elements *= size
        if elements > LARGEST:
            raise _build_invalid_refusal("a tensor's size overflows")
    if (shape[0] if shape else 1) % block:
        raise _build_invalid_refusal("the rows of a tensor are not a multiple of its block size")
    if offset % alignment:
        raise _build_invalid_refusal("a tensor in it is not aligned")
    return _Tensor(name, shape, offset, elements // block * block_bytes)


def _check_offsets(tensors: list[_Tensor], available: int, alignment: int) -> None:
    """Check that tensors lie inside the ``available`` bytes without overlap, and only padding follows the last one.

    Raises:
        NotAModelFile: they do not; for a truncated file the fact ``missing`` is the number of missing bytes.
    """
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: (tensor.offset, tensor.size)):
        if tensor.offset < end:
            raise _build_invalid_refusal("its tensors overlap")
        end = tensor.offset + tensor.size
    if end > max(available, 0):
        raise build_refusal(
            f"This GGUF file is truncated: its tensors need {end} bytes and it has {max(available, 0)}. "
            "Download the complete file again, then upload it.",
            "truncated file",
            missing=end - max(available, 0),
        )
    if available > end + -end % alignment:
        raise _build_invalid_refusal("bytes follow after its last tensor")


def _build_metadata(version: int, values: dict[str, tuple[int, Any]], tensors: dict[str, _Tensor]) -> ModelMetadata:
    """Build the metadata; the architecture is that of the tensors, or else the declared ``general.architecture``."""
    # ggml writes the fastest-varying dimension first, other formats last.
    layers = Layers({name: tensor.shape[::-1] for name, tensor in tensors.items()})
    general = {key: value for key, (_, value) in values.items() if key.startswith("general.") and value is not None}
    texts = {key: value for key, value in general.items() if isinstance(value, str)}
    description = describe_model(layers, _list_claims(texts))
    return ModelMetadata(
        format="gguf",
        tensor_dtypes=dict(Counter(tensor.type_name for tensor in tensors.values())),
        parameter_count=sum(math.prod(tensor.shape) for tensor in tensors.values()),
        architecture=description.architecture or clean_text(texts.get("general.architecture", ""), 100) or None,
        **description.entries,
        details={
            name: text for name in ("author", "license") if (text := clean_text(texts.get(f"general.{name}", ""), 200))
        },
        extra=clean_entries({"tensor_count": len(tensors), "gguf_version": version} | general),
    )


def _list_claims(texts: dict[str, str]) -> list[Claim]:
    """Return what the file claims as its base model: the names of its sources, then its architecture."""
    exact = [Claim("metadata", texts[key]) for key in ("general.base_model.0.name", "general.name") if key in texts]
    kinds = [texts["general.architecture"]] if "general.architecture" in texts else []
    return exact + [Claim("metadata", kind, is_exact=False) for kind in kinds]


def _build_invalid_refusal(reason: str) -> NotAModelFile:
    """Build the refusal of a file that breaks a rule of GGUF; ``reason`` completes "not a valid GGUF file: ..."."""
    return build_refusal(
        f"This is not a valid GGUF file: {reason}. Download it again from its source, or convert it again.",
        "broken gguf file",
    )
