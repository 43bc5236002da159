"""ONNX: validation of a model's protobuf structure, without a protobuf library and without reading its weights.

Checked: field numbers, wire types and lengths of the model and of every graph, node and tensor in it (onnx.proto3);
there are an ``ir_version`` and one graph with nodes. Tensors whose bytes are in another file are refused at any depth:
a model is one file, and such a path can point anywhere on the machine that loads it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from modelyard.comfyui.model_files.cursor import FIRST_CHUNK, Cursor
from modelyard.comfyui.model_files.readers import Reader
from modelyard.comfyui.model_files.refusals import build_refusal
from modelyard.wire.problems import NotAModelFile

MAX_READ = 64 * 1024 * 1024
MAX_FIELDS = 1_000_000
MAX_DEPTH = 32
MAX_DIMENSIONS_BYTES = 1_000
LARGEST_ELEMENTS = 2**63 - 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Message -> field number -> the message in that field. Other fields are skipped.
_SUBMESSAGES: dict[str, dict[int, str]] = {
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
class OnnxStructure:
    """What an ONNX model has; while it is walked, what was counted and read so far."""

    fields: int = 0
    ir_version: int = 0
    graphs: int = 0
    nodes: int = 0
    producer: str = ""
    dtypes: Counter[str] = field(default_factory=Counter)
    elements: int = 0


def read_onnx_structure(reader: Reader) -> OnnxStructure:
    """Check the structure of an ONNX model and return what it has; reads tags, lengths and dimensions, no weights.

    Raises:
        NotAModelFile: the structure is invalid or truncated, or weights are in another file.
    """
    # Small chunks: of a file with many large weights, only the beginning of each weight is read.
    cursor = Cursor(reader, start=0, end=reader.size, budget=MAX_READ, chunk=FIRST_CHUNK)
    found = OnnxStructure()
    _walk_message(cursor, "model", reader.size, 0, found)
    if not 1 <= found.ir_version <= 1_000:
        raise _build_invalid_refusal("it has no plausible ir_version")
    if found.graphs != 1 or found.nodes == 0:
        raise _build_invalid_refusal("it has no graph with nodes, or more than one graph")
    return found


def _walk_message(cursor: Cursor, message: str, end: int, depth: int, state: OnnxStructure) -> None:
    """Walk a message from the cursor up to ``end``, and the messages in it, and add what is found to ``state``.

    ``message`` is its kind in ``_SUBMESSAGES``, ``depth`` the number of messages around it, at most ``MAX_DEPTH``.

    Raises:
        NotAModelFile: see ``read_onnx_structure``.
    """
    if depth > MAX_DEPTH:
        raise _build_invalid_refusal("its graphs are nested too deep")
    if message == "tensor":
        _walk_tensor(cursor, end, state)
        return
    for number, wire in _read_tags(cursor, end, state):
        submessage = _SUBMESSAGES[message].get(number)
        if submessage is not None:
            _count_graphs_and_nodes(message, number, submessage, state)
            _walk_message(cursor, submessage, _read_end(cursor, _check_wire_type(wire, _BYTES), end), depth + 1, state)
        elif message == "model" and number == _MODEL_IR_VERSION:
            state.ir_version = _read_varint(cursor) if _check_wire_type(wire, _VARINT) == _VARINT else 0
        elif message == "model" and number == _MODEL_PRODUCER:
            stop = _read_end(cursor, _check_wire_type(wire, _BYTES), end)
            state.producer = cursor.take(min(stop - cursor.position, 200)).decode("utf-8", "replace")
            cursor.skip(stop - cursor.position)
        else:
            _skip_field(cursor, wire, end)


def _count_graphs_and_nodes(message: str, number: int, submessage: str, state: OnnxStructure) -> None:
    """Count a submessage in ``state`` if it is the main graph of the model, or a node at any depth."""
    state.graphs += message == "model" and number == _MODEL_GRAPH
    state.nodes += submessage == "node"


def _walk_tensor(cursor: Cursor, end: int, state: OnnxStructure) -> None:
    """Add the tensor's dtype and number of elements to ``state``; its data is skipped.

    Raises:
        NotAModelFile: its data is in another file, or its size overflows.
    """
    elements, dtype = 1, "UNKNOWN"
    for number, wire in _read_tags(cursor, end, state):
        if number == _TENSOR_DIMENSIONS:
            elements *= _read_dimensions(cursor, wire, end)
            if elements > LARGEST_ELEMENTS:
                raise _build_invalid_refusal("a tensor's size overflows")
        elif number == _TENSOR_TYPE and _check_wire_type(wire, _VARINT) == _VARINT:
            dtype = _get_dtype_name(_read_varint(cursor))
        elif number == _TENSOR_DATA_LOCATION and _check_wire_type(wire, _VARINT) == _VARINT:
            if _read_varint(cursor) != 0:
                raise _build_external_data_refusal()
        elif number == _TENSOR_EXTERNAL_DATA:
            raise _build_external_data_refusal()
        else:
            _skip_field(cursor, wire, end)
    state.dtypes[dtype] += 1
    state.elements += elements


def _get_dtype_name(number: int) -> str:
    """Return the name of a TensorProto data type; ``UNKNOWN`` for numbers outside the table."""
    return _DATA_TYPES[number] if number < len(_DATA_TYPES) else _DATA_TYPES[0]


def _read_dimensions(cursor: Cursor, wire: int, end: int) -> int:
    """Read a dimension, or several in a packed field, and return their product: both are valid protobuf.

    Raises:
        NotAModelFile: the field is invalid, or has more than ``MAX_DIMENSIONS_BYTES``.
    """
    if wire == _VARINT:
        return _read_varint(cursor)
    stop = _read_end(cursor, _check_wire_type(wire, _BYTES), end)
    if stop - cursor.position > MAX_DIMENSIONS_BYTES:
        raise _build_invalid_refusal("a tensor has too many dimensions")
    product = 1
    while cursor.position < stop:
        product *= _read_varint(cursor)
    if cursor.position != stop:
        raise _build_invalid_refusal("a length in it ends in the middle of a field")
    return product


def _read_tags(cursor: Cursor, end: int, state: OnnxStructure) -> Iterator[tuple[int, int]]:
    """Yield field number and wire type of each field up to ``end``; the caller must consume each value first.

    Raises:
        NotAModelFile: more than ``MAX_FIELDS`` in the file, an invalid tag, or a field that crosses ``end``.
    """
    while cursor.position < end:
        tag = _read_varint(cursor)
        number, wire = tag >> 3, tag & 7
        state.fields += 1
        if state.fields > MAX_FIELDS:
            raise _build_invalid_refusal("it has more fields than this registry reads")
        if not 1 <= number < 1 << 29 or wire not in (_VARINT, _FIXED64, _BYTES, _FIXED32):
            raise _build_invalid_refusal("it does not consist of protobuf fields")
        yield number, wire
    if cursor.position != end:
        raise _build_invalid_refusal("a length in it ends in the middle of a field")


def _check_wire_type(wire: int, expected: int) -> int:
    """Return ``wire`` if it is the expected wire type.

    Raises:
        NotAModelFile: it is another.
    """
    if wire != expected:
        raise _build_invalid_refusal("a field in it has the wrong wire type")
    return wire


def _skip_field(cursor: Cursor, wire: int, end: int) -> None:
    """Skip the value of a field by its wire type; raises ``NotAModelFile`` if it is invalid or too long."""
    if wire == _VARINT:
        _read_varint(cursor)
    elif wire == _BYTES:
        cursor.skip(_read_end(cursor, wire, end) - cursor.position)
    else:
        cursor.skip(8 if wire == _FIXED64 else 4)


def _read_end(cursor: Cursor, _wire: int, outer_end: int) -> int:
    """Read the length of a length-delimited field; return the position of its end.

    Raises:
        NotAModelFile: it lies beyond ``outer_end``, the end of the message around it.
    """
    length = _read_varint(cursor)
    if length > outer_end - cursor.position:
        raise _build_invalid_refusal(
            "a length in it exceeds the message around it, so it is truncated or not an ONNX file"
        )
    return cursor.position + length


def _read_varint(cursor: Cursor) -> int:
    """Read a varint.

    Raises:
        NotAModelFile: it has more than 64 bits, or the file ends before its end.
    """
    value = 0
    for shift in range(0, 70, 7):
        (byte,) = cursor.take(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80 and value < 1 << 64:
            return value
    raise _build_invalid_refusal("a number in it is longer than 64 bits")


def _build_external_data_refusal() -> NotAModelFile:
    """Build the refusal of a model whose weights are in another file."""
    return build_refusal(
        "The weights of this ONNX model are in another file, but a model must be one file. Save it again with its "
        "weights inside (onnx.save with save_as_external_data=False).",
        "onnx model without its weights",
    )


def _build_invalid_refusal(reason: str) -> NotAModelFile:
    """Build the refusal of a file that breaks a rule of ONNX; ``reason`` completes "not a valid ONNX model: ..."."""
    return build_refusal(
        f"This is not a valid ONNX model: {reason}. Export it again, or download it again.",
        "broken onnx file",
    )
