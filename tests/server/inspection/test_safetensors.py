"""Validation of safetensors files."""

import cProfile
import json
import struct
import tracemalloc

import pytest

from modelyard.server.inspection.inspector import inspect_file
from modelyard.server.inspection.safetensors import validate_safetensors
from modelyard.wire.problems import NotAModelFile
from tests.server.inspection.builders import (
    MemoryReader,
    SparseReader,
    build_named_tensors,
    get_outcome,
    inspect_content,
    safetensors,
)

INVALID, TRUNCATED, UNKNOWN = "broken safetensors file", "truncated file", "unknown content"


def entry(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, object]:
    """Return the header entry of a tensor."""
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


VALID = safetensors({"t": entry()}, bytes(8))
ENTRY = json.dumps(entry()).encode()

# The outcomes of the reference reader, except where this validator is stricter.
CASES = {
    "empty": (b"", "empty file"),
    "seven bytes": (b"\1\0\0\0\0\0\0", UNKNOWN),
    "length above the file": (struct.pack("<Q", 1000) + b"{}", INVALID),
    "length 2^64-1": (b"\xff" * 8 + b"{}", INVALID),
    "length above 100 MB": (struct.pack("<Q", 100_000_001) + b"{}", INVALID),
    "length 0": (bytes(8) + b"x" * 8, INVALID),
    "no JSON": (safetensors(b"{not json"), INVALID),
    "no brace": (safetensors(b"[1, 2]"), INVALID),
    "white space before the brace": (safetensors(b" " + json.dumps({"t": entry()}).encode(), bytes(8)), INVALID),
    "bad UTF-8": (safetensors(b'{"\xff": 1}'), INVALID),
    "half a surrogate pair": (safetensors(b'{"\\ud800":' + ENTRY + b"}", bytes(8)), INVALID),
    "halves parted by a backslash": (safetensors(b'{"\\ud83d\\\\\\ude00":' + ENTRY + b"}", bytes(8)), INVALID),
    "a whole surrogate pair": (safetensors(b'{"\\ud83d\\ude00\\\\ud800":' + ENTRY + b"}", bytes(8)), "accepted"),
    "hole": (safetensors({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20)), INVALID),
    "hole at the start": (safetensors({"a": entry(offsets=(4, 12))}, bytes(12)), INVALID),
    "overlap": (safetensors({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)), INVALID),
    "shape and offsets disagree": (safetensors({"a": entry(shape=(3,))}, bytes(8)), INVALID),
    "shape overflows": (safetensors({"a": entry(shape=(4194305, 4194305, 211106198978564))}, bytes(8)), INVALID),
    "overflow before a zero": (safetensors({"a": entry(shape=(2**40, 2**40, 0), offsets=(0, 0))}), INVALID),
    "negative offset": (safetensors({"a": entry(offsets=(-8, 0))}, bytes(8)), INVALID),
    "end before begin": (safetensors({"a": entry(offsets=(8, 0))}, bytes(8)), INVALID),
    "three offsets": (safetensors({"a": entry(offsets=(0, 8, 8))}, bytes(8)), INVALID),
    "a float as size": (safetensors({"a": entry(shape=(2.0,))}, bytes(8)), INVALID),
    "a truth value as size": (safetensors({"a": entry("U8", (True,), (0, 1))}, bytes(1)), INVALID),
    "minus zero": (safetensors(b'{"t":{"dtype":"U8","shape":[1],"data_offsets":[-0,1]}}', bytes(1)), INVALID),
    "NaN": (safetensors(b'{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":NaN}}', bytes(1)), INVALID),
    "no dtype": (safetensors({"a": {"shape": [2], "data_offsets": [0, 8]}}, bytes(8)), INVALID),
    "unknown dtype": (safetensors({"a": entry("F128")}, bytes(8)), "unknown dtype"),
    "half a byte": (safetensors({"a": entry("F4", (3,), (0, 2))}, bytes(2)), INVALID),
    "trailing byte": (VALID + b"\0", INVALID),
    "truncated": (VALID[:-1], TRUNCATED),
    "metadata of numbers": (safetensors({"__metadata__": {"a": 1}, "t": entry()}, bytes(8)), INVALID),
    "metadata as a list": (safetensors({"__metadata__": [], "t": entry()}, bytes(8)), INVALID),
    "100k brackets": (safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), INVALID),
    "100k open brackets": (safetensors(b'{"a":' + b"[" * 100_000), INVALID),
    "a tensor twice": (safetensors(b'{"t":' + ENTRY + b',"t":' + ENTRY + b"}", bytes(8)), INVALID),
    "a key of metadata twice": (safetensors(b'{"__metadata__":{"a":"b","a":"c"}}'), INVALID),
    "a tensor named with NUL": (safetensors({"\0../x": entry()}, bytes(8)), INVALID),
    "a tensor named with a line end": (safetensors({"a\nb": entry()}, bytes(8)), INVALID),
    "an entry as a list": (safetensors({"a": ["F32", [2], [0, 8]]}, bytes(8)), INVALID),
    "a dtype as an object": (safetensors({"a": entry({"F32": None})}, bytes(8)), INVALID),
    "valid": (VALID, "accepted"),
    "no tensors": (safetensors(b"{}      "), "accepted"),
    "zero-size tensor": (
        safetensors({"a": entry(shape=(0, 2**40), offsets=(0, 0)), "b": entry()}, bytes(8)),
        "accepted",
    ),
    "scalar": (safetensors({"a": entry(shape=(), offsets=(0, 4))}, bytes(4)), "accepted"),
    "any order": (safetensors({"b": entry(offsets=(8, 16)), "a": entry()}, bytes(16)), "accepted"),
    "four bits": (safetensors({"a": entry("F4", (4,), (0, 2))}, bytes(2)), "accepted"),
    "six bits": (safetensors({"a": entry("F6_E2M3", (4,), (0, 3))}, bytes(3)), "accepted"),
    "unknown member": (safetensors({"a": entry() | {"note": [1.5]}}, bytes(8)), "accepted"),
    "metadata null": (safetensors({"__metadata__": None, "t": entry()}, bytes(8)), "accepted"),
    "padded header": (safetensors(json.dumps({"t": entry()}).encode() + b"   ", bytes(8)), "accepted"),
}


@pytest.mark.parametrize("case", CASES)
def test_inspect_safetensors_has_expected_outcome(case: str) -> None:
    content, outcome = CASES[case]
    assert get_outcome(content) == outcome


def test_inspect_safetensors_counts_tensors_and_parameters() -> None:
    facts = inspect_content(safetensors({"a": entry(), "b": entry("F16", (2, 2), (8, 16))}, bytes(16)), "Model.SFT")
    assert (facts.format, facts.tensor_dtypes, facts.parameter_count) == ("safetensors", {"F32": 1, "F16": 1}, 6)


def test_inspect_safetensors_with_header_above_16_mib_is_refused_as_oversized() -> None:
    with pytest.raises(NotAModelFile) as refused:
        inspect_file(SparseReader(struct.pack("<Q", 16 * 2**20 + 1) + b"{", 20 * 2**20), "big.safetensors", "block")
    assert refused.value.facts["found"] == "oversized header"


def test_inspect_safetensors_of_6_gib_reads_its_header_only() -> None:
    head = safetensors({"t": entry("U8", (6 * 2**30,), (0, 6 * 2**30))})
    reader = SparseReader(head, len(head) + 6 * 2**30)
    assert inspect_file(reader, "huge.safetensors", "block").parameter_count == 6 * 2**30
    assert reader.bytes_read < 16 * 1024


def test_inspect_truncated_safetensors_states_the_missing_bytes() -> None:
    with pytest.raises(NotAModelFile) as refused:
        inspect_file(MemoryReader(VALID[:-3]), "cut.safetensors", "block")
    assert refused.value.facts["missing"] == 3


def test_inspect_safetensors_whose_header_length_spells_another_magic_is_accepted() -> None:
    # 35,615 = 1f 8b (gzip), 23,117 = MZ: real files have such headers.
    for length in (0x8B1F, 0x5A4D, 0x2123):
        assert get_outcome(safetensors(json.dumps({"t": entry()}).encode().ljust(length), bytes(8))) == "accepted"


def test_validate_safetensors_calls_at_most_75_functions_for_each_tensor() -> None:
    # Counted and not timed, so that other work on the machine changes nothing; 50 when this was written.
    few, many = (count_calls_of_validation(tensors) for tensors in (1_000, 3_000))
    assert (many - few) / 2_000 < 75


def count_calls_of_validation(tensors: int) -> int:
    """Return how many functions are called to validate a file of so many tensors."""
    names = (f"model.diffusion_model.blocks.{n}.attn.to_q.weight" for n in range(tensors))
    reader = MemoryReader(build_named_tensors(*names, shape=(4, 4)))
    profile = cProfile.Profile()
    profile.runcall(validate_safetensors, reader)
    return sum(entry.callcount for entry in profile.getstats())


@pytest.mark.parametrize(
    "filling",
    [b"[],", b'"a",', b"123456789,", b'"\\"\\"",', b"{}", b'"', b'\\"', b"[", b'"a":{},'],
    ids=["lists", "texts", "numbers", "escapes", "objects", "quotes", "backslashes", "brackets", "entries"],
)
@pytest.mark.parametrize("mebibytes", [1, 15])
def test_validate_safetensors_with_huge_json_header_uses_at_most_80_mib(filling: bytes, mebibytes: int) -> None:
    header = b'{"a":[' + filling * (mebibytes * 2**20 // len(filling)) + b"0]}"
    content = safetensors(header)
    tracemalloc.start()
    with pytest.raises(NotAModelFile) as refused:
        validate_safetensors(MemoryReader(content))
    assert refused.value.facts["found"] == INVALID
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80 * 2**20
