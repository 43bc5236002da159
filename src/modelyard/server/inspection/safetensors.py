"""Safetensors: the reference reader's rules with checked arithmetic, and stricter where two readers could disagree.

Layout: 8 bytes little-endian header length · UTF-8 JSON header · tensors without a gap to the end of the file.
The rules are those of the crate ``safetensors`` 0.8 (``src/tensor.rs``). Refused here and accepted there: a header
above 16 MiB (the crate reads 100 MB), a name that occurs twice, control characters in a name, a header that starts
with white space, a tensor entry written as a list, a dtype written as an object, numbers of more than 20 digits,
nesting deeper than 16, and more than about 60,000 tensors (see ``json_limits``).
"""

import struct
from collections import Counter
from typing import Any, NamedTuple, TypeGuard

from modelyard.comfyui.model_files.readers import Reader, read_exactly
from modelyard.comfyui.model_files.safetensors import (
    MAX_HEADER,
    build_broken_refusal,
    check_declared_bytes,
    looks_like_safetensors,
    read_header_length,
)
from modelyard.server.inspection import json_limits
from modelyard.server.inspection.description.architectures import describe_model
from modelyard.server.inspection.description.layers import Layers
from modelyard.server.inspection.description.training_metadata import add_tensor_details, parse_training_metadata
from modelyard.server.inspection.metadata import ModelMetadata, clean_entries

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


def find_data_start(head: bytes) -> int | None:
    """Return the offset at which the header ends and the tensors begin; None if ``head`` is of another format."""
    return 8 + int(struct.unpack_from("<Q", head)[0]) if looks_like_safetensors(head) else None


def validate_safetensors(reader: Reader) -> ModelMetadata:
    """Check the structure of a safetensors file and return its metadata; reads the header only.

    Raises:
        NotAModelFile: a rule of the format is broken; the detail names the rule.
    """
    header_length = read_header_length(reader)
    header = _read_header(reader, header_length)
    metadata = _check_metadata(header.pop("__metadata__", None))
    tensors = {name: _parse_tensor(name, entry) for name, entry in header.items()}
    _check_contiguous(list(tensors.values()), reader.size - 8 - header_length)

    # U8 holds packed weights of 4 bits (ComfyUI's nvfp4, bitsandbytes), whose shape is not that of the layer.
    layers = Layers({name: None if tensor.dtype == "U8" else tensor.shape for name, tensor in tensors.items()})
    training = parse_training_metadata(metadata)
    description = describe_model(layers, training.claims)
    return ModelMetadata(
        format="safetensors",
        tensor_dtypes=dict(Counter(tensor.dtype for tensor in tensors.values())),
        parameter_count=sum(tensor.elements for tensor in tensors.values()),
        architecture=description.architecture or training.architecture,
        **description.entries,
        tags=training.tags,
        trigger_words=training.trigger_words,
        training_tags=training.training_tags,
        details=add_tensor_details(training.details, layers),
        extra=clean_entries({"tensor_count": len(tensors)} | training.entries),
    )


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


def _read_header(reader: Reader, length: int) -> dict[str, Any]:
    """Read and parse the header.

    Raises:
        NotAModelFile: it is not valid JSON, or too large; see ``json_limits.parse``.
    """
    return _parse_header(read_exactly(reader, 8, length))


def _parse_header(raw: bytes) -> dict[str, Any]:
    """Parse the header; raises as ``_read_header``."""
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
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise build_broken_refusal("a tensor's dtype is missing or unknown")
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
        if type(size) is not int or not 0 <= size <= LARGEST:
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
        if product > LARGEST:
            raise build_broken_refusal("a tensor's size overflows")
    if product * bits > LARGEST:
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
