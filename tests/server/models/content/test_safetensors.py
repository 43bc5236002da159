import gc
import json
import struct
import time
import tracemalloc
from collections.abc import Callable

import pytest

from modelyard.server.models.content import examine
from modelyard.wire.problems import NotAModelFile
from tests.server.models.content.building import InMemory, Sparse, found_in, look, named_tensors, safetensors

BROKEN, TRUNCATED, UNKNOWN = "broken safetensors file", "truncated file", "unknown content"


def entry(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


GOOD = safetensors({"t": entry()}, bytes(8))
ONE = json.dumps(entry()).encode()

# The table of the reference reader's verdicts, and ours where it accepts and we do not.
TABLE = {
    "empty": (b"", "empty file"),
    "seven bytes": (b"\1\0\0\0\0\0\0", UNKNOWN),
    "length above the file": (struct.pack("<Q", 1000) + b"{}", BROKEN),
    "length 2^64-1": (b"\xff" * 8 + b"{}", BROKEN),
    "length above 100 MB": (struct.pack("<Q", 100_000_001) + b"{}", BROKEN),
    "length 0": (bytes(8) + b"x" * 8, BROKEN),
    "no JSON": (safetensors(b"{not json"), BROKEN),
    "no brace": (safetensors(b"[1, 2]"), BROKEN),
    "white space before the brace": (safetensors(b" " + json.dumps({"t": entry()}).encode(), bytes(8)), BROKEN),
    "bad UTF-8": (safetensors(b'{"\xff": 1}'), BROKEN),
    "half a surrogate pair": (safetensors(b'{"\\ud800":' + ONE + b"}", bytes(8)), BROKEN),
    "halves parted by a backslash": (safetensors(b'{"\\ud83d\\\\\\ude00":' + ONE + b"}", bytes(8)), BROKEN),
    "a whole surrogate pair": (safetensors(b'{"\\ud83d\\ude00\\\\ud800":' + ONE + b"}", bytes(8)), "accepted"),
    "hole": (safetensors({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20)), BROKEN),
    "hole at the start": (safetensors({"a": entry(offsets=(4, 12))}, bytes(12)), BROKEN),
    "overlap": (safetensors({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)), BROKEN),
    "shape and offsets disagree": (safetensors({"a": entry(shape=(3,))}, bytes(8)), BROKEN),
    "shape overflows": (safetensors({"a": entry(shape=(4194305, 4194305, 211106198978564))}, bytes(8)), BROKEN),
    "overflow before a zero": (safetensors({"a": entry(shape=(2**40, 2**40, 0), offsets=(0, 0))}), BROKEN),
    "negative offset": (safetensors({"a": entry(offsets=(-8, 0))}, bytes(8)), BROKEN),
    "end before begin": (safetensors({"a": entry(offsets=(8, 0))}, bytes(8)), BROKEN),
    "three offsets": (safetensors({"a": entry(offsets=(0, 8, 8))}, bytes(8)), BROKEN),
    "a float as size": (safetensors({"a": entry(shape=(2.0,))}, bytes(8)), BROKEN),
    "a truth value as size": (safetensors({"a": entry("U8", (True,), (0, 1))}, bytes(1)), BROKEN),
    "minus zero": (safetensors(b'{"t":{"dtype":"U8","shape":[1],"data_offsets":[-0,1]}}', bytes(1)), BROKEN),
    "NaN": (safetensors(b'{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":NaN}}', bytes(1)), BROKEN),
    "no dtype": (safetensors({"a": {"shape": [2], "data_offsets": [0, 8]}}, bytes(8)), BROKEN),
    "unknown dtype": (safetensors({"a": entry("F128")}, bytes(8)), BROKEN),
    "half a byte": (safetensors({"a": entry("F4", (3,), (0, 2))}, bytes(2)), BROKEN),
    "trailing byte": (GOOD + b"\0", BROKEN),
    "truncated": (GOOD[:-1], TRUNCATED),
    "metadata of numbers": (safetensors({"__metadata__": {"a": 1}, "t": entry()}, bytes(8)), BROKEN),
    "metadata as a list": (safetensors({"__metadata__": [], "t": entry()}, bytes(8)), BROKEN),
    "100k brackets": (safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), BROKEN),
    "100k open brackets": (safetensors(b'{"a":' + b"[" * 100_000), BROKEN),
    "a tensor twice": (safetensors(b'{"t":' + ONE + b',"t":' + ONE + b"}", bytes(8)), BROKEN),
    "a key of metadata twice": (safetensors(b'{"__metadata__":{"a":"b","a":"c"}}'), BROKEN),
    "a tensor named with NUL": (safetensors({"\0../x": entry()}, bytes(8)), BROKEN),
    "a tensor named with a line end": (safetensors({"a\nb": entry()}, bytes(8)), BROKEN),
    "an entry as a list": (safetensors({"a": ["F32", [2], [0, 8]]}, bytes(8)), BROKEN),
    "a dtype as an object": (safetensors({"a": entry({"F32": None})}, bytes(8)), BROKEN),
    "valid": (GOOD, "accepted"),
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


@pytest.mark.parametrize("case", TABLE)
def test_the_rules_of_the_format_hold(case: str) -> None:
    content, verdict = TABLE[case]
    assert found_in(content) == verdict


def test_facts_count_tensors_and_parameters() -> None:
    facts = look(safetensors({"a": entry(), "b": entry("F16", (2, 2), (8, 16))}, bytes(16)), "Model.SFT")
    assert (facts.format, facts.tensor_dtypes, facts.parameter_count) == ("safetensors", {"F32": 1, "F16": 1}, 6)


def test_a_header_of_more_than_16_mib_is_named_as_ours_to_refuse() -> None:
    with pytest.raises(NotAModelFile) as refused:
        examine(Sparse(struct.pack("<Q", 16 * 2**20 + 1) + b"{", 20 * 2**20), "big.safetensors", "block")
    assert refused.value.facts["found"] == "oversized header"


def test_a_huge_file_costs_its_header_only() -> None:
    head = safetensors({"t": entry("U8", (6 * 2**30,), (0, 6 * 2**30))})
    reader = Sparse(head, len(head) + 6 * 2**30)
    assert examine(reader, "huge.safetensors", "block").parameter_count == 6 * 2**30
    assert reader.bytes_read < 16 * 1024


def test_missing_bytes_are_counted() -> None:
    with pytest.raises(NotAModelFile) as refused:
        examine(InMemory(GOOD[:-3]), "cut.safetensors", "block")
    assert refused.value.facts["missing"] == 3


def test_a_length_that_spells_another_magic_is_still_a_length() -> None:
    # 35,615 = 1f 8b (gzip), 23,117 = MZ: real files have such headers.
    for length in (0x8B1F, 0x5A4D, 0x2123):
        assert found_in(safetensors(json.dumps({"t": entry()}).encode().ljust(length), bytes(8))) == "accepted"


def test_ten_thousand_tensors_cost_a_few_times_what_the_json_parser_costs() -> None:
    names = (f"model.diffusion_model.blocks.{n}.attn.to_q.weight" for n in range(10_000))
    content = named_tensors(*names, shape=(4, 4))
    header = content[8 : -10_000 * 32]
    ours, plain = [], []
    for _ in range(3):
        plain.append(seconds_of(lambda: json.loads(header)))
        ours.append(seconds_of(lambda: look(content)))
    # 13 ms and 70 ms on a quiet machine. A ratio, since a busy one slows both.
    assert min(ours) < 10 * min(plain)


def seconds_of(work: Callable[[], object]) -> float:
    # The collector would walk through all that the tests before have left behind.
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        work()
        return time.process_time() - began
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "filling",
    [b"[],", b'"a",', b"123456789,", b'"\\"\\"",', b"{}", b'"', b'\\"', b"[", b'"a":{},'],
    ids=["lists", "texts", "numbers", "escapes", "objects", "quotes", "backslashes", "brackets", "entries"],
)
@pytest.mark.parametrize("mebibytes", [1, 15])
def test_a_header_made_to_eat_memory_is_refused_cheaply(filling: bytes, mebibytes: int) -> None:
    header = b'{"a":[' + filling * (mebibytes * 2**20 // len(filling)) + b"0]}"
    content = safetensors(header)
    tracemalloc.start()
    assert found_in(content) == BROKEN
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80 * 2**20
