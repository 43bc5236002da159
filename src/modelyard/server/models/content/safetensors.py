"""Safetensors: the reference reader's rules with checked arithmetic, and stricter where two readers could disagree.

Layout: 8 bytes little-endian header length · UTF-8 JSON header · tensors without a hole to the end of the file.
The rules are those of the crate ``safetensors`` 0.8 (``src/tensor.rs``). Refused here and accepted there: a header
above 16 MiB (the crate reads 100 MB), a name that stands twice, control characters in a name, a header that starts
with white space, a tensor entry written as a list, a dtype written as an object, numbers of more than 20 digits,
nesting deeper than 16, and more than 60,000 tensors or so (see ``json_guard``).
"""

import struct
from collections import Counter
from typing import Any, NamedTuple, TypeGuard

from modelyard.server.models.content import json_guard
from modelyard.server.models.content.facts import ModelFacts, clean_entries
from modelyard.server.models.content.families import Shapes, guess_family
from modelyard.server.models.content.reading import LARGE_HEADERS, Reader, read_exactly
from modelyard.server.models.content.refusing import refusal
from modelyard.server.models.content.trainers import trainer_facts
from modelyard.wire.problems import NotAModelFile

MAX_HEADER = 16 * 1024 * 1024
SMALL_HEADER = 1024 * 1024
REFERENCE_MAX_HEADER = 100_000_000
LARGEST = 2**64 - 1

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
    """Eight bytes of a plausible length, then a brace."""
    return len(head) > 8 and 2 <= struct.unpack_from("<Q", head)[0] <= REFERENCE_MAX_HEADER and head[8:9] == b"{"


def examine_safetensors(reader: Reader) -> ModelFacts:
    """Checks the whole structure; reads the header only, whatever the size of the file.

    Raises:
        NotAModelFile: a rule of the format is broken; the detail says which.
    """
    header_length = _header_length(reader)
    if header_length <= SMALL_HEADER:
        return _examine(reader, header_length)
    with LARGE_HEADERS:
        return _examine(reader, header_length)


def _examine(reader: Reader, header_length: int) -> ModelFacts:
    header = _header(reader, header_length)
    metadata = _metadata(header.pop("__metadata__", None))
    tensors = {name: _tensor(name, entry) for name, entry in header.items()}
    _no_holes(list(tensors.values()), reader.size - 8 - header_length)

    shapes: Shapes = {name: tensor.shape for name, tensor in tensors.items()}
    said = trainer_facts(metadata)
    return ModelFacts(
        format="safetensors",
        tensor_dtypes=dict(Counter(tensor.dtype for tensor in tensors.values())),
        parameter_count=sum(tensor.elements for tensor in tensors.values()),
        architecture=guess_family(shapes, said.base_model) or said.architecture,
        tags=said.tags,
        trigger_words=said.trigger_words,
        extra=clean_entries({"tensor_count": len(tensors)} | said.entries),
    )


def _header_length(reader: Reader) -> int:
    if reader.size < 8:
        raise _broken("it is shorter than the 8 bytes with which one begins")
    length: int = struct.unpack("<Q", read_exactly(reader, 0, 8))[0]
    if length > REFERENCE_MAX_HEADER:
        raise _broken("its first 8 bytes are not the length of a header")
    if length > reader.size - 8:
        raise _broken("its header reaches past the end of the file, so it is truncated")
    if length > MAX_HEADER:
        raise refusal(
            f"The header of this safetensors file has {length} bytes; this registry reads at most {MAX_HEADER} "
            "(16 MiB). Remove pictures and other large metadata from it.",
            "oversized header",
            header_size=length,
        )
    return length


def _header(reader: Reader, length: int) -> dict[str, Any]:
    raw = read_exactly(reader, 8, length)
    if not raw.startswith(b"{"):
        raise _broken("its header does not start with '{'")
    try:
        header: dict[str, Any] = json_guard.parse(raw)
    except json_guard.RefusedJson as refused:
        raise _broken(f"in its header, {refused}") from None
    return header


def _metadata(metadata: Any) -> dict[str, str]:
    if metadata is None:
        return {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _broken("its __metadata__ is not a table of texts")
    return metadata


def _tensor(name: str, entry: Any) -> Tensor:
    """One checked entry. The name is looked at for controls and then used for nothing but counting and guessing."""
    if not name.isprintable() and any(character < " " or character == "\x7f" for character in name):
        raise _broken("a tensor's name holds control characters")
    if not isinstance(entry, dict):
        raise _broken("a tensor's entry is not an object")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise _broken("a tensor's dtype is missing or unknown")
    if not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2:
        raise _broken("a tensor's shape or data_offsets is missing or no list of sizes")
    start, end = offsets
    elements = _checked_elements(shape, DTYPE_BITS[dtype])
    if elements * DTYPE_BITS[dtype] != 8 * (end - start):
        raise _broken("a tensor's shape and dtype do not agree with its data_offsets")
    return Tensor(start, end, dtype, tuple(shape), elements)


def _sizes(value: Any) -> TypeGuard[list[int]]:
    if not isinstance(value, list):
        return False
    for size in value:  # noqa: SIM110 - a generator here doubles the time for a whole header
        # ``type``, since True is an int for isinstance and no size for anybody.
        if type(size) is not int or not 0 <= size <= LARGEST:
            return False
    return True


def _checked_elements(shape: list[int], bits: int) -> int:
    """How many elements; every product on the way to the bits must fit 64 bits, as in the reference: a zero at the
    end comes too late.
    """
    product = 1
    for size in shape:
        product *= size
        if product > LARGEST:
            raise _broken("a tensor's size overflows")
    if product * bits > LARGEST:
        raise _broken("a tensor's size overflows")
    return product


def _no_holes(tensors: list[Tensor], available: int) -> None:
    """Sorted by offset the tensors start at 0, touch, never overlap, and end with the file."""
    position = 0
    for tensor in sorted(tensors):
        if tensor.start != position:
            raise _broken("its tensors overlap or leave a hole")
        position = tensor.end
    if position > available:
        raise refusal(
            f"This safetensors file is truncated: its header promises {position} bytes of tensors and the file has "
            f"{available}. Fetch and upload the whole file again.",
            "truncated file",
            missing=position - available,
        )
    if position < available:
        raise _broken(f"{available - position} bytes follow after its last tensor")


def _broken(reason: str) -> NotAModelFile:
    return refusal(
        f"This is not a valid safetensors file: {reason}. Fetch it again from where it came, or save it again.",
        "broken safetensors file",
    )
