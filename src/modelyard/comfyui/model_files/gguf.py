"""GGUF, versions 2 and 3: every count, length, type and offset is checked before it is used.

Layout: magic, version, two counts · key/value pairs · tensor descriptions · padding · tensors, each aligned. Rules of
ggml ``docs/gguf.md``; block sizes of ggml's type table. Stricter than other readers: no key or tensor name twice,
tensors may not overlap, and only padding follows the last one.
"""

import struct
from dataclasses import dataclass
from typing import Any

from modelyard.comfyui.model_files.cursor import Cursor
from modelyard.comfyui.model_files.gguf_types import TENSOR_TYPES
from modelyard.comfyui.model_files.gguf_values import (
    MAX_KEY_LENGTH,
    UINT32,
    build_invalid_refusal,
    read_key_values,
    read_name,
)
from modelyard.comfyui.model_files.readers import Reader
from modelyard.comfyui.model_files.refusals import build_refusal

MAX_HEADER = 64 * 1024 * 1024
MAX_KEYS = 65_536
MAX_TENSORS = 100_000
# ggml has 4; files for ComfyUI-GGUF keep five-dimensional convolutions of video models.
MAX_DIMENSIONS = 8
LARGEST = 2**63 - 1
# The facts ``found`` of files that a newer reader may read.
UNKNOWN_VERSION, UNKNOWN_TYPE = "unknown gguf version", "unknown tensor type"


@dataclass(frozen=True)
class GgufTensor:
    """One tensor description; ``offset`` counts from the start of the tensor data, ``size`` is in bytes."""

    type_name: str
    shape: tuple[int, ...]
    offset: int
    size: int


@dataclass(frozen=True)
class GgufHeader:
    """The header of a GGUF file: the values of its ``general.*`` keys, without those that are None, and its tensors."""

    version: int
    general: dict[str, Any]
    tensors: dict[str, GgufTensor]


def read_gguf_header(reader: Reader) -> GgufHeader:
    """Read the header of a GGUF file and check its structure and length; at most ``MAX_HEADER`` bytes, no tensor data.

    Raises:
        NotAModelFile: a rule of the format is broken; the detail names the rule.
    """
    cursor = Cursor(reader, start=0, end=reader.size, budget=MAX_HEADER)
    version = _read_version(cursor)
    tensor_count, key_count = struct.unpack("<QQ", cursor.take(16))
    if tensor_count > MAX_TENSORS or key_count > MAX_KEYS:
        raise build_invalid_refusal("it declares more tensors or keys than this registry reads")

    values = read_key_values(cursor, key_count)
    alignment = _get_alignment(values)
    tensors = _read_tensors(cursor, tensor_count, alignment)
    start = cursor.position + -cursor.position % alignment
    _check_offsets(list(tensors.values()), reader.size - start, alignment)
    general = {key: value for key, (_, value) in values.items() if key.startswith("general.") and value is not None}
    return GgufHeader(version, general, tensors)


def _read_version(cursor: Cursor) -> int:
    """Read magic and version; return 2 or 3.

    Raises:
        NotAModelFile: another magic or version; big-endian files and version 1 have a detail of their own.
    """
    magic, raw = cursor.take(4), cursor.take(4)
    if magic != b"GGUF":
        raise build_invalid_refusal("it does not begin with 'GGUF'")
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
    if 3 < version < 100:  # larger ones are damaged, not newer
        raise build_invalid_refusal("its version is not 2 or 3", UNKNOWN_VERSION)
    raise build_invalid_refusal("its version is not 2 or 3")


def _get_alignment(values: dict[str, tuple[int, Any]]) -> int:
    """Return ``general.alignment``, 32 if absent.

    Raises:
        NotAModelFile: it is not a ``uint32``, not a power of two, or above 1 MiB.
    """
    kind, alignment = values.get("general.alignment", (UINT32, 32))
    if kind != UINT32 or alignment == 0 or alignment & (alignment - 1) or alignment > 1 << 20:
        raise build_invalid_refusal("its general.alignment is not a power of two")
    return int(alignment)


def _read_tensors(cursor: Cursor, count: int, alignment: int) -> dict[str, GgufTensor]:
    """Read ``count`` tensor descriptions; return them by name. Raises ``NotAModelFile``, also for a repeated name."""
    tensors: dict[str, GgufTensor] = {}
    for _ in range(count):
        name = read_name(cursor, MAX_KEY_LENGTH)
        if name in tensors:
            raise build_invalid_refusal("a tensor name occurs twice")
        tensors[name] = _read_tensor(cursor, alignment)
    return tensors


def _read_tensor(cursor: Cursor, alignment: int) -> GgufTensor:
    """Read one tensor description after its name; its ``size`` in bytes follows from shape and block size.

    Raises:
        NotAModelFile: too many dimensions, an unknown type, an overflowing size, partial blocks or a misaligned offset.
    """
    (dimensions,) = struct.unpack("<I", cursor.take(4))
    if dimensions > MAX_DIMENSIONS:
        raise build_invalid_refusal(f"a tensor in it has more than {MAX_DIMENSIONS} dimensions")
    shape = struct.unpack(f"<{dimensions}Q", cursor.take(8 * dimensions))
    kind, offset = struct.unpack("<IQ", cursor.take(12))
    if kind not in TENSOR_TYPES:
        raise build_invalid_refusal("a tensor in it has a type that is unknown or retired", UNKNOWN_TYPE)
    name, block, block_bytes = TENSOR_TYPES[kind]
    elements = 1
    for size in shape:
        elements *= size
        if elements > LARGEST:
            raise build_invalid_refusal("a tensor's size overflows")
    if (shape[0] if shape else 1) % block:
        raise build_invalid_refusal("the rows of a tensor are not a multiple of its block size")
    if offset % alignment:
        raise build_invalid_refusal("a tensor in it is not aligned")
    return GgufTensor(name, shape, offset, elements // block * block_bytes)


def _check_offsets(tensors: list[GgufTensor], available: int, alignment: int) -> None:
    """Check that tensors lie inside the ``available`` bytes without overlap, and only padding follows the last one.

    Raises:
        NotAModelFile: they do not; for a truncated file the fact ``missing`` is the number of missing bytes.
    """
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: (tensor.offset, tensor.size)):
        if tensor.offset < end:
            raise build_invalid_refusal("its tensors overlap")
        end = tensor.offset + tensor.size
    if end > max(available, 0):
        raise build_refusal(
            f"This GGUF file is truncated: its tensors need {end} bytes and it has {max(available, 0)}. "
            "Download the complete file again, then upload it.",
            "truncated file",
            missing=end - max(available, 0),
        )
    if available > end + -end % alignment:
        raise build_invalid_refusal("bytes follow after its last tensor")
