"""Safetensors: the reference reader's rules with checked arithmetic, and stricter where two readers could disagree.

Layout: 8 bytes little-endian header length · UTF-8 JSON header · tensors without a gap to the end of the file.
The rules are those of the crate ``safetensors`` 0.8 (``src/tensor.rs``). Refused here and accepted there: a header
above 16 MiB (the crate reads 100 MB), a name that occurs twice, control characters in a name, a header that starts
with white space, a tensor entry written as a list, a dtype written as an object, numbers of more than 20 digits,
nesting deeper than 16, and more than about 60,000 tensors (see ``json_limits``).
"""

import struct
from typing import Any, NamedTuple, TypeGuard

from modelyard.comfyui.model_files import json_limits
from modelyard.comfyui.model_files.readers import Reader, read_exactly
from modelyard.comfyui.model_files.refusals import build_refusal
from modelyard.wire.problems import NotAModelFile

# The registry's limit, and that of the reference reader.
MAX_HEADER = 16 * 1024 * 1024
REFERENCE_MAX_HEADER = 100_000_000
_LARGEST = 2**64 - 1

UNKNOWN_DTYPE = "unknown dtype"
DTYPE_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}


class Tensor(NamedTuple):
    """One entry of the header; ``start`` and ``end`` count from the end of the header."""

    start: int
    end: int
    dtype: str
    shape: tuple[int, ...]
    elements: int


def looks_like_safetensors(head: bytes) -> bool:
    """Return whether ``head`` starts with a plausible header length, followed by a brace."""
    return len(head) > 8 and 2 <= struct.unpack_from("<Q", head)[0] <= REFERENCE_MAX_HEADER and head[8:9] == b"{"


def check_declared_bytes(declared: int, available: int) -> None:
    """Check that a safetensors file has the bytes of all tensors that its header declares.

    Raises:
        NotAModelFile: it has not; the fact ``missing`` is the number of missing bytes.
    """
    if declared > available:
        raise build_refusal(
            f"This safetensors file is truncated: its header declares {declared} bytes of tensors and the file has "
            f"{available}. Download the complete file again, then upload it.",
            "truncated file",
            missing=declared - available,
        )


def read_header_length(reader: Reader) -> int:
    """Read the header length and check the byte after it.

    Raises:
        NotAModelFile: it is above ``MAX_HEADER``, exceeds the file, or no JSON object follows.
    """
    if reader.size < 8:
        raise build_broken_refusal("it is shorter than the 8 bytes with which one begins")
    head = read_exactly(reader, 0, min(9, reader.size))
    length: int = struct.unpack_from("<Q", head)[0]
    if length > REFERENCE_MAX_HEADER:
        raise build_broken_refusal("its first 8 bytes are not the length of a header")
    if length > reader.size - 8:
        raise build_broken_refusal("its header reaches past the end of the file, so it is truncated")
    if length > MAX_HEADER:
        raise build_refusal(
            f"The header of this safetensors file has {length} bytes; this registry reads at most {MAX_HEADER} "
            f"({MAX_HEADER >> 20} MiB). Remove pictures and other large metadata from it.",
            "oversized header",
            header_size=length,
        )
    if length == 0 or head[8:] != b"{":
        raise build_broken_refusal("its header does not start with '{'")
    return length


def build_broken_refusal(reason: str) -> NotAModelFile:
    """Build the refusal of a file that breaks a rule; ``reason`` completes "not a valid safetensors file: ..."."""
    return build_refusal(
        f"This is not a valid safetensors file: {reason}. Download it again from its source, or save it again.",
        "broken safetensors file",
    )


def read_tensors(reader: Reader) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the header of a safetensors file, check its structure, and return its tensors by name and its metadata.

    Raises:
        NotAModelFile: a rule of the format is broken; the detail names the rule.
    """
    header_length = read_header_length(reader)
    header = _parse_header(read_exactly(reader, 8, header_length))
    metadata = _check_metadata(header.pop("__metadata__", None))
    tensors = {name: _parse_tensor(name, entry) for name, entry in header.items()}
    _check_contiguous(list(tensors.values()), reader.size - 8 - header_length)
    return tensors, metadata


def check_header(raw: bytes) -> None:
    """Check the header of a file that is to be written, without its length: each rule for one tensor.

    Raises:
        NotAModelFile: it would be refused as a file's.
    """
    if len(raw) > MAX_HEADER:
        raise build_broken_refusal("its header is too large")
    header = _parse_header(raw)
    _check_metadata(header.pop("__metadata__", None))
    for name, entry in header.items():
        _parse_tensor(name, entry)


def _parse_header(raw: bytes) -> dict[str, Any]:
    """Parse the header.

    Raises:
        NotAModelFile: it is not valid JSON, or too large; see ``json_limits.parse``.
    """
    try:
        header: dict[str, Any] = json_limits.parse(raw)
    except json_limits.JsonRejected as refused:
        raise build_broken_refusal(f"in its header, {refused}") from None
    return header


def _check_metadata(metadata: Any) -> dict[str, str]:
    """Return ``__metadata__``; empty if absent or null.

    Raises:
        NotAModelFile: it is not an object of strings.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise build_broken_refusal("its __metadata__ is not an object of strings")
    return metadata


def _parse_tensor(name: str, entry: Any) -> Tensor:
    """Check one header entry and return it as a tensor; the name is only checked for control characters.

    Raises:
        NotAModelFile: a field is missing or invalid, or shape, dtype and offsets disagree.
    """
    if not name.isprintable() and any(character < " " or character == "\x7f" for character in name):
        raise build_broken_refusal("a tensor's name contains control characters")
    if not isinstance(entry, dict):
        raise build_broken_refusal("a tensor's entry is not an object")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str):
        raise build_broken_refusal("a tensor's dtype is missing")
    if dtype not in DTYPE_BITS:
        raise build_refusal(
            "A tensor of this safetensors file has a dtype that this registry does not read. Save the file with "
            "another one, such as F16, or ask the operators of the registry to upgrade it.",
            UNKNOWN_DTYPE,
        )
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        raise build_broken_refusal("a tensor's shape or data_offsets is missing or not a list of sizes")
    start, end = offsets
    elements = _count_elements(shape, DTYPE_BITS[dtype])
    if elements * DTYPE_BITS[dtype] != 8 * (end - start):
        raise build_broken_refusal("a tensor's shape and dtype do not agree with its data_offsets")
    return Tensor(start, end, dtype, tuple(shape), elements)


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    """Return whether the value is a list of integers that fit 64 bits unsigned."""
    if not isinstance(value, list):
        return False
    for size in value:  # noqa: SIM110 - a generator here doubles the time for a whole header
        # ``type``, since True is an int for ``isinstance`` but not a size.
        if type(size) is not int or not 0 <= size <= _LARGEST:
            return False
    return True


def _count_elements(shape: list[int], bits: int) -> int:
    """Return the number of elements.

    Every intermediate product, up to the number of bits, must fit 64 bits, as in the reference: a zero at the end does
    not make up for an overflow before it.

    Raises:
        NotAModelFile: one overflows.
    """
    product = 1
    for size in shape:
        product *= size
        if product > _LARGEST:
            raise build_broken_refusal("a tensor's size overflows")
    if product * bits > _LARGEST:
        raise build_broken_refusal("a tensor's size overflows")
    return product


def _check_contiguous(tensors: list[Tensor], available: int) -> None:
    """Check that the tensors, sorted by offset, start at 0, adjoin without overlap, and end with the file.

    Raises:
        NotAModelFile: they do not; for a truncated file the fact ``missing`` is the number of missing bytes.
    """
    position = 0
    for tensor in sorted(tensors):
        if tensor.start != position:
            raise build_broken_refusal("its tensors overlap or leave a gap")
        position = tensor.end
    check_declared_bytes(position, available)
    if position < available:
        raise build_broken_refusal(f"{available - position} bytes follow after its last tensor")
