"""Conversion of pickle files to safetensors: a sandbox finds the tensors, and their bytes are copied as they are.

No code of the file runs: the sandbox interprets the pickle abstractly, and its plan is checked as untrusted input.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from modelyard.comfyui.model_files.readers import Reader
from modelyard.comfyui.model_files.safetensors import DTYPE_BITS, check_header
from modelyard.server.inspection.sandbox import (
    DEFAULT_LIMITS,
    WORKER_SLOTS,
    LimitExceeded,
    SandboxFailed,
    SandboxProgram,
    never_stop,
    run_in_sandbox,
)
from modelyard.wire.problems import ConversionRefused, NotAModelFile
from modelyard.wire.texts.cleaning import clean_text

PLANNER = SandboxProgram(
    boot="import sys; sys.path.append(sys.argv[1]); from pickle_scanner.conversion import main; main(sys.argv[2:])",
    folder=str(Path(__file__).parent),
)
WINDOW_BYTES = 8 << 20
# A view whose elements are not adjacent is gathered in memory: its bytes and those that it spans in the source.
MAX_GATHERED_BYTES = 256 << 20
# Of all such views, each row is one step of the interpreter: a few seconds.
MAX_GATHERED_ROWS = 1 << 22
# As the scanner: copies of all views of shared storages must stay affordable, and so must reading what they span.
MAX_REPETITION, REPETITION_ALLOWED_BYTES = 16, 64 << 20
# Of the entries that are left out, so many are named, with so many characters each.
MAX_LEFT_OUT, MAX_LEFT_OUT_NAME = 20, 80
_ITEM_FORMATS: dict[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor and where its bytes are in the source: ``position`` in bytes, ``stride`` in elements."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    position: int

    @property
    def item_size(self) -> int:
        """The size of an element in bytes."""
        return DTYPE_BITS[self.dtype] // 8

    @property
    def size(self) -> int:
        """The size of the tensor in bytes."""
        return math.prod(self.shape) * self.item_size

    @property
    def span(self) -> int:
        """From the first element to the end of the last one, in bytes."""
        if not math.prod(self.shape):
            return 0
        steps = zip(self.shape, self.stride, strict=True)
        return (1 + sum((length - 1) * step for length, step in steps)) * self.item_size

    @property
    def bytes_to_read(self) -> int:
        """How many bytes of the source have to be read for it."""
        return self.size if self.is_contiguous() else self.span

    @property
    def row_count(self) -> int:
        """How many rows its bytes are copied in: one if they are adjacent."""
        if self.is_contiguous() or not any(self.stride):
            return 1
        return math.prod(self.shape) // self.shape[self.find_row_dimension()]

    def find_row_dimension(self) -> int:
        """Return the longest dimension whose elements differ: a row has all elements along it."""
        lengths = [length if step else 0 for length, step in zip(self.shape, self.stride, strict=True)]
        return lengths.index(max(lengths))

    def is_contiguous(self) -> bool:
        """Return whether its bytes in the source are those of the tensor, in order."""
        expected = 1
        for length, step in zip(reversed(self.shape), reversed(self.stride), strict=True):
            if length != 1 and step != expected:
                return self.size == 0
            expected *= length
        return True


@dataclass(frozen=True)
class LeftOut:
    """Entries of the source that are not converted: the first ``MAX_LEFT_OUT`` names, and how many entries they are."""

    names: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class ConversionPlan:
    """The header of a safetensors file, and its tensors in their order."""

    header: bytes
    tensors: tuple[PlannedTensor, ...]
    left_out: LeftOut = LeftOut()

    @property
    def size(self) -> int:
        """The size of the whole file in bytes."""
        return len(self.header) + sum(tensor.size for tensor in self.tensors)

    def iterate(self, reader: Reader, raise_if_stopped: Callable[[], None] = never_stop) -> Iterator[bytes]:
        """Yield the file in pieces of at most a few MiB; errors of the store pass through.

        ``raise_if_stopped`` is called for each tensor and before each read; an exception from it passes through.
        """
        window = _Window(reader, raise_if_stopped)
        yield self.header
        for tensor in self.tensors:
            raise_if_stopped()
            if tensor.is_contiguous():
                yield from window.iterate(tensor.position, tensor.size)
            else:
                yield from _gather(window.read(tensor.position, tensor.span), tensor)


def plan_conversion(reader: Reader, raise_if_stopped: Callable[[], None] = never_stop) -> ConversionPlan:
    """Plan the conversion of a pickle file, in a sandbox. Deterministic: the same file has the same plan.

    Raises:
        ConversionRefused: the file may run code, is a program, or has what safetensors cannot hold; says what.
        SandboxFailed: the process did not start, failed, or sent no valid plan: no fault of the file; try again later.
    """
    try:
        with WORKER_SLOTS:
            verdict = run_in_sandbox(PLANNER, reader, DEFAULT_LIMITS, raise_if_stopped)
    except LimitExceeded as exceeded:
        raise build_conversion_refusal(str(exceeded), "oversized pickle") from None
    if "reason" in verdict:
        raise build_conversion_refusal(str(verdict.get("reason", "")), str(verdict.get("found", "")))
    left_out = parse_left_out(verdict.get("left_out"), verdict.get("left_out_count"))
    return replace(parse_plan(verdict.get("tensors"), reader.size), left_out=left_out)


def parse_left_out(names: Any, count: Any) -> LeftOut:
    """Check the names of entries that are left out, from the sandbox, as untrusted input; texts are cleaned.

    Raises:
        SandboxFailed: they are malformed.
    """
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or type(count) is not int:
        raise SandboxFailed("The sandbox sent an invalid list of what is left out.")
    cleaned = tuple(clean_text(name, MAX_LEFT_OUT_NAME) or "(no name)" for name in names[:MAX_LEFT_OUT])
    return LeftOut(cleaned, min(max(count, len(cleaned)), 2**31))


def parse_plan(entries: Any, source_size: int) -> ConversionPlan:
    """Check the list of tensors from the sandbox as untrusted input, and return the plan.

    Raises:
        SandboxFailed: it is malformed.
        ConversionRefused: see ``build_plan``, or the elements of a large tensor are too far apart.
    """
    try:
        tensors = [_parse_tensor(entry, source_size) for entry in entries]
    except (TypeError, ValueError, KeyError):
        raise SandboxFailed("The sandbox sent an invalid plan.") from None
    return build_plan(tensors, source_size)


def build_plan(tensors: list[PlannedTensor], source_size: int) -> ConversionPlan:
    """Return the plan of a file with these tensors, those with the largest elements first, so that all are aligned.

    Raises:
        ConversionRefused: two have one name, they claim or span far more bytes than the source has, their elements are
            scattered, or the registry would refuse the file.
    """
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise build_conversion_refusal("has two tensors of one name", "damaged pickle file")
    if any(tensor.name == "__metadata__" for tensor in tensors):
        raise build_conversion_refusal("has a tensor whose name safetensors reserves", "unsupported tensor")
    allowed = max(REPETITION_ALLOWED_BYTES, MAX_REPETITION * source_size)
    if sum(tensor.size for tensor in tensors) > allowed:
        raise build_conversion_refusal("has tensors that claim far more bytes than it stores", "oversized pickle")
    if sum(tensor.bytes_to_read for tensor in tensors) > allowed:
        raise build_conversion_refusal("has tensors that span far more bytes than it stores", "oversized pickle")
    if sum(tensor.row_count for tensor in tensors) > MAX_GATHERED_ROWS + len(tensors):
        raise build_conversion_refusal("has tensors whose elements are scattered", "unsupported tensor")
    ordered = sorted(tensors, key=lambda tensor: (-tensor.item_size, tensor.position, tensor.name))
    return ConversionPlan(_build_header(ordered), tuple(ordered))


def _build_header(tensors: list[PlannedTensor]) -> bytes:
    """Return the header of a safetensors file with these tensors, with its length.

    Raises:
        ConversionRefused: the registry would refuse the file.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        start, end = end, end + tensor.size
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": (start, end)}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    try:
        check_header(text)
    except NotAModelFile as refused:
        reason = f"has tensors that no safetensors file may have: {refused.detail}"
        raise build_conversion_refusal(reason, "unsupported tensor") from None
    return len(text).to_bytes(8, "little") + text


def build_conversion_refusal(reason: str, found: str) -> ConversionRefused:
    """Build the refusal of a conversion; ``reason`` completes "This file ...". Texts are cleaned and truncated."""
    return ConversionRefused(
        f"This file {clean_text(reason, 300)}. It was not converted: convert it to .safetensors on a machine where "
        "running it does no harm, and push the result.",
        found=clean_text(found, 60) or "damaged pickle file",
    )


def _parse_tensor(entry: Any, source_size: int) -> PlannedTensor:
    """Return a tensor of the plan.

    Raises:
        TypeError, ValueError, KeyError: the entry is malformed, or lies outside of the source.
        ConversionRefused: its elements are too far apart.
    """
    name, dtype, shape, stride, position = entry
    numbers = [*shape, *stride, position]
    if not isinstance(name, str) or not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
        raise ValueError(name)
    if DTYPE_BITS[dtype] not in (8, 16, 32, 64):
        raise ValueError(dtype)
    name.encode()  # surrogates are refused
    tensor = PlannedTensor(name, dtype, tuple(shape), tuple(stride), position)
    if len(shape) != len(stride) or position + tensor.span > source_size:
        raise ValueError(name)
    if not tensor.is_contiguous() and tensor.span + tensor.size > MAX_GATHERED_BYTES:
        raise build_conversion_refusal("has a large tensor whose elements are not adjacent", "unsupported tensor")
    return tensor


class _Window:
    """Sequential reads of a source by ranges of ``WINDOW_BYTES``, so that small tensors share requests."""

    def __init__(self, reader: Reader, raise_if_stopped: Callable[[], None]) -> None:
        self._reader, self._raise_if_stopped = reader, raise_if_stopped
        self._start = 0
        self._bytes = b""

    def iterate(self, start: int, length: int) -> Iterator[bytes]:
        """Yield ``length`` bytes from ``start`` in pieces; where the window ends, read and keep the next one.

        ``raise_if_stopped`` is called before each read.

        Raises:
            ConversionRefused: the source ended early.
        """
        while length:
            offset = start - self._start
            if not 0 <= offset < len(self._bytes):
                self._raise_if_stopped()
                self._bytes = self._reader.read(start, min(WINDOW_BYTES, self._reader.size - start))
                self._start, offset = start, 0
            piece = self._bytes[offset : offset + length]
            if not piece:
                raise build_conversion_refusal("ended early", "truncated file")
            yield piece
            start, length = start + len(piece), length - len(piece)

    def read(self, start: int, length: int) -> bytearray:
        """Return ``length`` bytes from ``start``, which are in memory once; raises as ``iterate``."""
        found, end = bytearray(length), 0
        for piece in self.iterate(start, length):
            found[end : end + len(piece)] = piece
            end += len(piece)
        return found


def _gather(source: bytearray, tensor: PlannedTensor) -> Iterator[bytes]:
    """Yield the bytes of a tensor whose elements are not adjacent, in pieces; ``source`` is its span."""
    if not any(tensor.stride):
        gathered = source * math.prod(tensor.shape)
    else:
        gathered = bytearray(tensor.size)
        _copy_rows(source, gathered, tensor)
    with memoryview(gathered) as view:
        for start in range(0, len(gathered), WINDOW_BYTES):
            yield bytes(view[start : start + WINDOW_BYTES])


def _copy_rows(source: bytearray, target: bytearray, tensor: PlannedTensor) -> None:
    """Copy each row of a tensor along its longest dimension, from its span to its bytes in order."""
    form = _ITEM_FORMATS[tensor.item_size]
    found, ordered = memoryview(source).cast(form), memoryview(target).cast(form)
    target_steps = [math.prod(tensor.shape[index + 1 :]) for index in range(len(tensor.shape))]
    dimensions = list(zip(tensor.shape, tensor.stride, target_steps, strict=True))
    length, step, target_step = dimensions.pop(tensor.find_row_dimension())
    extent, target_extent = (length - 1) * step + 1, (length - 1) * target_step + 1
    for start, at in _iterate_starts(dimensions):
        ordered[at : at + target_extent : target_step] = found[start : start + extent : step]


def _iterate_starts(dimensions: list[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the offset of each row in the span and in the result, in elements, for dimensions with length and steps."""
    if not dimensions:
        yield 0, 0
        return
    (length, step, target_step), *rest = dimensions
    for start, at in _iterate_starts(rest):
        for index in range(length):
            yield start + index * step, at + index * target_step
