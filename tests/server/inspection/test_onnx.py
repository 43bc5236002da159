"""Validation of ONNX files."""

import random

import pytest

from modelyard.server.inspection.inspector import inspect_file
from tests.server.inspection.builders import SparseReader, get_outcome, inspect_content

INVALID = "broken onnx file"


def varint(value: int) -> bytes:
    """Encode a varint."""
    encoded = b""
    while value >= 0x80:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def varint_field(number: int, value: int) -> bytes:
    """Encode a field of type varint."""
    return varint(number << 3) + varint(value)


def message(number: int, *parts: bytes) -> bytes:
    """Encode a length-delimited field."""
    content = b"".join(parts)
    return varint(number << 3 | 2) + varint(len(content)) + content


def weight(*dimensions: int, kind: int = 1, packed: bool = True, more: bytes = b"") -> bytes:
    """Encode an initializer of a graph."""
    shape = message(1, *map(varint, dimensions)) if packed else b"".join(varint_field(1, size) for size in dimensions)
    return message(5, shape, varint_field(2, kind), message(8, b"w"), message(9, bytes(16)), more)


NODE = message(1, message(1, b"x"), message(4, b"Relu"))
GRAPH = message(7, NODE, message(2, b"g"), weight(2, 2))
HEAD = varint_field(1, 8) + message(2, b"pytorch")
VALID = HEAD + GRAPH + message(8, varint_field(2, 17))
EXTERNAL_WEIGHTS = "onnx model without its weights"


def subgraph(content: bytes, depth: int = 1) -> bytes:
    """Encode a node that contains a graph, such as the branch of an If, around ``content``."""
    for _ in range(depth):
        content = message(1, message(4, b"If"), message(5, message(6, content)))
    return content


EXTERNAL_TENSOR = weight(2, 2, more=varint_field(14, 1))
CASES = {
    "whole": (VALID, "accepted"),
    "graph before the version": (GRAPH + HEAD, "accepted"),
    "unknown fields": (VALID + message(900, b"x") + varint_field(901, 5) + varint(902 << 3 | 5) + b"1234", "accepted"),
    "a subgraph": (HEAD + message(7, NODE, subgraph(NODE)), "accepted"),
    "no version": (GRAPH, INVALID),
    "no graph": (HEAD, INVALID),
    "a graph without nodes": (HEAD + message(7, message(2, b"g")), INVALID),
    "two graphs": (VALID + GRAPH, INVALID),
    "group wire type": (VALID + varint(20 << 3 | 3), INVALID),
    "field 0": (VALID + b"\x02\x00", INVALID),
    "version as a text": (message(1, b"8") + GRAPH, INVALID),
    "graph as a number": (HEAD + varint_field(7, 1), INVALID),
    "endless number": (VALID + b"\x28" + b"\xff" * 11, INVALID),
    "a length behind the end": (VALID + varint(6 << 3 | 2) + varint(100), INVALID),
    "a length behind its message": (HEAD + message(7, NODE, varint(2 << 3 | 2) + varint(9)) + bytes(99), INVALID),
    "truncated": (VALID[:-1], INVALID),
    "trailing zip": (VALID + b"PK\x03\x04" + bytes(30), INVALID),
    "size overflows": (HEAD + message(7, NODE, weight(2**40, 2**40)), INVALID),
    "nested too deep": (HEAD + message(7, subgraph(NODE, depth=40)), INVALID),
    "weights in another file": (HEAD + message(7, NODE, EXTERNAL_TENSOR), EXTERNAL_WEIGHTS),
    "a path to another file": (HEAD + message(7, NODE, weight(2, more=message(13, b"../x"))), EXTERNAL_WEIGHTS),
    "weights elsewhere in a subgraph": (HEAD + message(7, subgraph(EXTERNAL_TENSOR)), EXTERNAL_WEIGHTS),
    "text": (b"just some words", INVALID),
}


@pytest.mark.parametrize("case", CASES)
def test_inspect_onnx_has_expected_outcome(case: str) -> None:
    content, outcome = CASES[case]
    assert get_outcome(content, "model.onnx") == outcome


@pytest.mark.parametrize("packed", [True, False])
def test_inspect_onnx_counts_tensors_and_elements(packed: bool) -> None:
    content = HEAD + message(7, NODE, weight(3, 4, kind=10, packed=packed), weight(5, kind=7, packed=packed))
    facts = inspect_content(content, "model.onnx")
    assert (facts.tensor_dtypes, facts.parameter_count) == ({"F16": 1, "I64": 1}, 17)
    assert facts.extra == {"ir_version": 8, "producer_name": "pytorch", "node_count": 1}


def test_inspect_randomly_changed_onnx_raises_no_other_error_than_refusals() -> None:
    rng = random.Random(3)
    for _ in range(1_000):
        mutant = bytearray(VALID)
        mutant[rng.randrange(len(mutant))] = rng.randrange(256)
        assert get_outcome(bytes(mutant), "model.onnx") in {"accepted", "truncated file", INVALID, EXTERNAL_WEIGHTS}


def test_inspect_onnx_with_2_gib_tensor_reads_less_than_100_kb() -> None:
    size = 2**31
    raw = varint(9 << 3 | 2) + varint(size)
    content = message(1, varint(2**29)) + varint_field(2, 1) + raw
    tensor = varint(5 << 3 | 2) + varint(len(content) + size) + content
    head = HEAD + varint(7 << 3 | 2) + varint(len(NODE) + len(tensor) + size) + NODE + tensor
    reader = SparseReader(head, len(head) + size)
    assert inspect_file(reader, "model.onnx", "block").parameter_count == 2**29
    assert reader.bytes_read < 100_000
