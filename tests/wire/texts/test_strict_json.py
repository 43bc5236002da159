import contextlib
import json
import random
import tracemalloc
from typing import Any

import pytest

from modelyard.wire.texts.strict_json import FIRST_BYTES, JsonLimits, JsonRejected, check_size, parse_integer

LIMITS = JsonLimits(depth=4, brackets=50_000, separators=100_000)
MEBIBYTE = 1 << 20
TEXTS = ["", "a", '"', "\\", '\\"', '\\\\"', ",", "[", "]}", '{"a":[', '","', "\\" * 7 + '"', "\u00e9,\u4e2d:", "\n"]


def generate_value(choices: random.Random, depth: int) -> Any:
    """Return a random value whose texts and keys look like the structure of a document."""
    kind = choices.choice(["list", "object", "text", "text", "number"]) if depth else "text"
    if kind == "list":
        return [generate_value(choices, depth - 1) for _ in range(choices.randrange(4))]
    if kind == "object":
        return {choices.choice(TEXTS): generate_value(choices, depth - 1) for _ in range(choices.randrange(4))}
    return choices.choice(TEXTS) if kind == "text" else choices.choice([0, -1.5, 1e300, True, None])


def measure(value: Any) -> JsonLimits:
    """Return the depth, brackets, commas and colons of a value's JSON."""
    if not isinstance(value, list | dict):
        return JsonLimits(0, 0, 0)
    members = list(value.values() if isinstance(value, dict) else value)
    inner = [measure(member) for member in members]
    own = max(0, len(members) - 1) + (len(members) if isinstance(value, dict) else 0)
    return JsonLimits(
        depth=1 + max((each.depth for each in inner), default=0),
        brackets=2 + sum(each.brackets for each in inner),
        separators=own + sum(each.separators for each in inner),
    )


@pytest.mark.parametrize("is_ascii", [True, False])
def test_check_size_accepts_exactly_the_limits_whatever_strings_contain(is_ascii: bool) -> None:
    choices = random.Random(7)
    for _ in range(500):
        value = generate_value(choices, 5)
        document, size = json.dumps(value, ensure_ascii=is_ascii).encode(), measure(value)
        check_size(document, size)
        for less in (
            JsonLimits(size.depth - 1, size.brackets, size.separators),
            JsonLimits(size.depth, size.brackets - 1, size.separators),
            JsonLimits(size.depth, size.brackets, size.separators - 1),
        ):
            if min(less.depth, less.brackets, less.separators) >= 0:
                with pytest.raises(JsonRejected):
                    check_size(document, less)


@pytest.mark.parametrize("document", [b'{"a,":["\\\\","\\"",":[",1,{}]}', b'["\\\\\\"","",["",""],"]"]'], ids=ascii)
def test_check_size_finds_the_same_values_wherever_the_first_bytes_end(document: bytes) -> None:
    size = measure(json.loads(document))
    for number in range(len(document) + 1):
        check_size(b" " * (FIRST_BYTES - number) + document, size)


def test_check_size_reads_no_more_of_a_document_with_too_many_values_in_its_first_bytes() -> None:
    document = b"[],[]," * (FIRST_BYTES // 6) + b" " * (4 * MEBIBYTE)
    tracemalloc.start()
    try:
        with pytest.raises(JsonRejected, match="1,000 brackets"):
            check_size(document, JsonLimits(depth=4, brackets=1_000, separators=1_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * FIRST_BYTES


@pytest.mark.parametrize("document", [b"[", b"]", b"{", b"}{", b"[[]", b"[]}", b'["]"', b'["[]'], ids=ascii)
def test_check_size_brackets_that_do_not_match_are_refused(document: bytes) -> None:
    with pytest.raises(JsonRejected, match="do not match"):
        check_size(document, LIMITS)


@pytest.mark.parametrize(
    "document",
    [
        b'["' + b"\\\\" * (2 * MEBIBYTE) + b'"]',
        b'["' + b'\\"' * (2 * MEBIBYTE) + b'"]',
        b"\\" * (4 * MEBIBYTE),
        b'"' * (4 * MEBIBYTE),
        b'","' * MEBIBYTE,
        b'[",,"' + b',",,"' * (MEBIBYTE // 2) + b"]",
        b'{"":",:"' + b',"":",:"' * (MEBIBYTE // 2) + b"}",
        b"[" * (4 * MEBIBYTE),
        b"," * (4 * MEBIBYTE),
    ],
    ids=["backslashes", "escaped quotes", "no string", "quotes", "commas", "strings", "members", "depth", "entries"],
)
def test_check_size_hostile_document_takes_no_more_memory_than_a_few_copies(document: bytes) -> None:
    tracemalloc.start()
    try:
        with contextlib.suppress(JsonRejected):
            check_size(document, LIMITS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(document)


def test_check_size_most_strings_within_the_limits_take_bounded_memory() -> None:
    document = b'[",,"' + b',",,"' * LIMITS.separators + b"]"
    tracemalloc.start()
    try:
        check_size(document, JsonLimits(1, LIMITS.brackets, LIMITS.separators))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 * MEBIBYTE


@pytest.mark.parametrize("number", [0, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1], ids=str)
def test_parse_integer_of_at_most_64_bits_is_exact(number: int) -> None:
    assert parse_integer(str(number)) == number


@pytest.mark.parametrize("count", [21, 308, 309, 400, 4_299])
def test_parse_integer_of_more_digits_is_an_integer_beyond_64_bits(count: int) -> None:
    assert parse_integer("9" * count) == 2**64
    assert parse_integer("-" + "9" * count) == -(2**64)


def test_parse_integer_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(JsonRejected):
        parse_integer("1" * 5_000)
