"""ONNX: a walk over the protobuf frames of a model, without a protobuf library and without reading its weights.

Checked: field numbers, wire types and lengths of the model and of every graph, node and tensor in it (onnx.proto3);
there are an ``ir_version`` and one graph with nodes. Tensors whose bytes are in another file are refused, wherever
they hang: a model here is one file, and such a path can point anywhere on the machine that loads it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from modelyard.server.models.content.facts import ModelFacts, clean_entries
from modelyard.server.models.content.reading import Cursor, Reader
from modelyard.server.models.content.refusing import refusal
from modelyard.wire.problems import NotAModelFile

MAX_READ = 64 * 1024 * 1024
MAX_FIELDS = 1_000_000
MAX_DEPTH = 32
MAX_DIMENSIONS_BYTES = 1_000
LARGEST_ELEMENTS = 2**63 - 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Message -> field number -> the message inside. Fields that are not listed hold nothing that we walk into.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_MODEL_IR_VERSION, _MODEL_PRODUCER, _MODEL_GRAPH = 1, 2, 7
_TENSOR_DIMENSIONS, _TENSOR_TYPE, _TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 1, 2, 13, 14
# TensorProto.DataType counts from 1; 0 is undefined.
_DATA_TYPES = (
    "UNKNOWN",
    "F32",
    "U8",
    "I8",
    "U16",
    "I16",
    "I32",
    "I64",
    "STRING",
    "BOOL",
    "F16",
    "F64",
    "U32",
    "U64",
    "C64",
    "C128",
    "BF16",
    "F8_E4M3",
    "F8_E4M3FNUZ",
    "F8_E5M2",
    "F8_E5M2FNUZ",
    "U4",
    "I4",
    "F4",
    "F8_E8M0",
    "U2",
    "I2",
)


@dataclass
class _Seen:
    """What the walk has met so far."""

    fields: int = 0
    ir_version: int = 0
    graphs: int = 0
    nodes: int = 0
    producer: str = ""
    dtypes: Counter[str] = field(default_factory=Counter)
    elements: int = 0


def examine_onnx(reader: Reader) -> ModelFacts:
    """Checks the frames; reads tags, lengths and dimensions and passes over everything else.

    Raises:
        NotAModelFile: this is no framed ONNX model, or not a whole one.
    """
    # Small chunks: a file of many large weights is read at each weight's beginning only.
    cursor = Cursor(reader, start=0, end=reader.size, budget=MAX_READ, chunk=16 * 1024)
    seen = _Seen()
    _walk(cursor, "model", reader.size, 0, seen)
    if not 1 <= seen.ir_version <= 1_000:
        raise _broken("it has no plausible ir_version")
    if seen.graphs != 1 or seen.nodes == 0:
        raise _broken("it has no graph with nodes, or more than one graph")
    return ModelFacts(
        format="onnx",
        tensor_dtypes=dict(seen.dtypes),
        parameter_count=seen.elements,
        extra=clean_entries({"ir_version": seen.ir_version, "producer_name": seen.producer, "node_count": seen.nodes}),
    )


def _walk(cursor: Cursor, message: str, end: int, depth: int, seen: _Seen) -> None:
    """One message up to ``end``, and those inside of it."""
    if depth > MAX_DEPTH:
        raise _broken("its graphs nest too deep")
    if message == "tensor":
        _tensor(cursor, end, seen)
        return
    for number, wire in _tags(cursor, end, seen):
        inside = _INSIDE[message].get(number)
        if inside is not None:
            _count(message, number, inside, seen)
            _walk(cursor, inside, _end(cursor, _wired(wire, _BYTES), end), depth + 1, seen)
        elif message == "model" and number == _MODEL_IR_VERSION:
            seen.ir_version = _varint(cursor) if _wired(wire, _VARINT) == _VARINT else 0
        elif message == "model" and number == _MODEL_PRODUCER:
            stop = _end(cursor, _wired(wire, _BYTES), end)
            seen.producer = cursor.take(min(stop - cursor.position, 200)).decode("utf-8", "replace")
            cursor.skip(stop - cursor.position)
        else:
            _skip(cursor, wire, end)


def _count(message: str, number: int, inside: str, seen: _Seen) -> None:
    seen.graphs += message == "model" and number == _MODEL_GRAPH
    seen.nodes += inside == "node"


def _tensor(cursor: Cursor, end: int, seen: _Seen) -> None:
    elements, dtype = 1, "UNKNOWN"
    for number, wire in _tags(cursor, end, seen):
        if number == _TENSOR_DIMENSIONS:
            elements *= _dimensions(cursor, wire, end)
            if elements > LARGEST_ELEMENTS:
                raise _broken("a tensor's size overflows")
        elif number == _TENSOR_TYPE and _wired(wire, _VARINT) == _VARINT:
            dtype = _dtype(_varint(cursor))
        elif number == _TENSOR_DATA_LOCATION and _wired(wire, _VARINT) == _VARINT:
            if _varint(cursor) != 0:
                raise _elsewhere()
        elif number == _TENSOR_EXTERNAL_DATA:
            raise _elsewhere()
        else:
            _skip(cursor, wire, end)
    seen.dtypes[dtype] += 1
    seen.elements += elements


def _dtype(number: int) -> str:
    return _DATA_TYPES[number] if number < len(_DATA_TYPES) else _DATA_TYPES[0]


def _dimensions(cursor: Cursor, wire: int, end: int) -> int:
    """The product of one dimension, or of several that the writer has packed: both are legal protobuf."""
    if wire == _VARINT:
        return _varint(cursor)
    stop = _end(cursor, _wired(wire, _BYTES), end)
    if stop - cursor.position > MAX_DIMENSIONS_BYTES:
        raise _broken("a tensor has too many dimensions")
    product = 1
    while cursor.position < stop:
        product *= _varint(cursor)
    if cursor.position != stop:
        raise _broken("a length in it ends in the middle of a field")
    return product


def _tags(cursor: Cursor, end: int, seen: _Seen) -> Iterator[tuple[int, int]]:
    """Field number and wire type of each field up to ``end``; the caller passes over its value."""
    while cursor.position < end:
        tag = _varint(cursor)
        number, wire = tag >> 3, tag & 7
        seen.fields += 1
        if seen.fields > MAX_FIELDS:
            raise _broken("it has more fields than this registry reads")
        if not 1 <= number < 1 << 29 or wire not in (_VARINT, _FIXED64, _BYTES, _FIXED32):
            raise _broken("it is not made of protobuf fields")
        yield number, wire
    if cursor.position != end:
        raise _broken("a length in it ends in the middle of a field")


def _wired(wire: int, expected: int) -> int:
    if wire != expected:
        raise _broken("a field in it has the wrong wire type")
    return wire


def _skip(cursor: Cursor, wire: int, end: int) -> None:
    if wire == _VARINT:
        _varint(cursor)
    elif wire == _BYTES:
        cursor.skip(_end(cursor, wire, end) - cursor.position)
    else:
        cursor.skip(8 if wire == _FIXED64 else 4)


def _end(cursor: Cursor, _wire: int, outer_end: int) -> int:
    """Where the length-delimited field at the cursor ends; never behind the message around it."""
    length = _varint(cursor)
    if length > outer_end - cursor.position:
        raise _broken("a length in it reaches too far, so it is truncated or no ONNX file")
    return cursor.position + length


def _varint(cursor: Cursor) -> int:
    value = 0
    for shift in range(0, 70, 7):
        (byte,) = cursor.take(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80 and value < 1 << 64:
            return value
    raise _broken("a number in it is longer than 64 bits")


def _elsewhere() -> NotAModelFile:
    return refusal(
        "The weights of this ONNX model are in another file, and a model here is one file. Save it again with its "
        "weights inside (onnx.save with save_as_external_data=False).",
        "onnx model without its weights",
    )


def _broken(reason: str) -> NotAModelFile:
    return refusal(
        f"This is not a valid ONNX model: {reason}. Export it again or fetch it again.",
        "broken onnx file",
    )
