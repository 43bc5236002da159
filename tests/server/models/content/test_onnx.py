import random

import pytest

from modelyard.server.models.content import examine
from tests.server.models.content.building import Sparse, found_in, look

BROKEN = "broken onnx file"


def varint(value: int) -> bytes:
    made = b""
    while value >= 0x80:
        made += bytes([value & 0x7F | 0x80])
        value >>= 7
    return made + bytes([value])


def count(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def message(number: int, *parts: bytes) -> bytes:
    inside = b"".join(parts)
    return varint(number << 3 | 2) + varint(len(inside)) + inside


def weight(*dimensions: int, kind: int = 1, packed: bool = True, more: bytes = b"") -> bytes:
    shape = message(1, *map(varint, dimensions)) if packed else b"".join(count(1, size) for size in dimensions)
    return message(5, shape, count(2, kind), message(8, b"w"), message(9, bytes(16)), more)


NODE = message(1, message(1, b"x"), message(4, b"Relu"))
GRAPH = message(7, NODE, message(2, b"g"), weight(2, 2))
HEAD = count(1, 8) + message(2, b"pytorch")
WHOLE = HEAD + GRAPH + message(8, count(2, 17))
ELSEWHERE = "onnx model without its weights"


def subgraph(inside: bytes, depth: int = 1) -> bytes:
    """A node that holds a graph, such as the branch of an If, which holds ``inside``."""
    for _ in range(depth):
        inside = message(1, message(4, b"If"), message(5, message(6, inside)))
    return inside


EXTERNAL = weight(2, 2, more=count(14, 1))
TABLE = {
    "whole": (WHOLE, "accepted"),
    "graph before the version": (GRAPH + HEAD, "accepted"),
    "unknown fields": (WHOLE + message(900, b"x") + count(901, 5) + varint(902 << 3 | 5) + b"1234", "accepted"),
    "a subgraph": (HEAD + message(7, NODE, subgraph(NODE)), "accepted"),
    "no version": (GRAPH, BROKEN),
    "no graph": (HEAD, BROKEN),
    "a graph without nodes": (HEAD + message(7, message(2, b"g")), BROKEN),
    "two graphs": (WHOLE + GRAPH, BROKEN),
    "group wire type": (WHOLE + varint(20 << 3 | 3), BROKEN),
    "field 0": (WHOLE + b"\x02\x00", BROKEN),
    "version as a text": (message(1, b"8") + GRAPH, BROKEN),
    "graph as a number": (HEAD + count(7, 1), BROKEN),
    "endless number": (WHOLE + b"\x28" + b"\xff" * 11, BROKEN),
    "a length behind the end": (WHOLE + varint(6 << 3 | 2) + varint(100), BROKEN),
    "a length behind its message": (HEAD + message(7, NODE, varint(2 << 3 | 2) + varint(9)) + bytes(99), BROKEN),
    "truncated": (WHOLE[:-1], BROKEN),
    "trailing zip": (WHOLE + b"PK\x03\x04" + bytes(30), BROKEN),
    "size overflows": (HEAD + message(7, NODE, weight(2**40, 2**40)), BROKEN),
    "nested too deep": (HEAD + message(7, subgraph(NODE, depth=40)), BROKEN),
    "weights in another file": (HEAD + message(7, NODE, EXTERNAL), ELSEWHERE),
    "a path to another file": (HEAD + message(7, NODE, weight(2, more=message(13, b"../x"))), ELSEWHERE),
    "weights elsewhere in a subgraph": (HEAD + message(7, subgraph(EXTERNAL)), ELSEWHERE),
    "text": (b"just some words", BROKEN),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_frames_must_be_whole(case: str) -> None:
    content, verdict = TABLE[case]
    assert found_in(content, "model.onnx") == verdict


@pytest.mark.parametrize("packed", [True, False])
def test_facts_count_weights(packed: bool) -> None:
    content = HEAD + message(7, NODE, weight(3, 4, kind=10, packed=packed), weight(5, kind=7, packed=packed))
    facts = look(content, "model.onnx")
    assert (facts.tensor_dtypes, facts.parameter_count) == ({"F16": 1, "I64": 1}, 17)
    assert facts.extra == {"ir_version": 8, "producer_name": "pytorch", "node_count": 1}


def test_a_mutant_is_accepted_or_refused_and_nothing_else_happens() -> None:
    chance = random.Random(3)
    for _ in range(1_000):
        mutant = bytearray(WHOLE)
        mutant[chance.randrange(len(mutant))] = chance.randrange(256)
        assert found_in(bytes(mutant), "model.onnx") in {"accepted", "truncated file", BROKEN, ELSEWHERE}


def test_weights_are_not_read() -> None:
    size = 2**31
    raw = varint(9 << 3 | 2) + varint(size)
    inside = message(1, varint(2**29)) + count(2, 1) + raw
    tensor = varint(5 << 3 | 2) + varint(len(inside) + size) + inside
    head = HEAD + varint(7 << 3 | 2) + varint(len(NODE) + len(tensor) + size) + NODE + tensor
    reader = Sparse(head, len(head) + size)
    assert examine(reader, "model.onnx", "block").parameter_count == 2**29
    assert reader.bytes_read < 100_000
