"""Our verdict on a safetensors file is the reference reader's, or stricter for a reason that is listed here."""

import json
import random
import re
import struct
from typing import Any

import pytest
import safetensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.models.content.building import found_in

SIZES = {"BOOL": 1, "U8": 1, "F8_E4M3": 1, "F16": 2, "BF16": 2, "I32": 4, "F32": 4, "F64": 8, "C64": 8}
MUTANTS = 4_000
ODD_VALUES: list[Any] = [0, 1, 7, -1, 2**31, 2**32, 2**63, 2**64, 1.0, True, None, "1", [], {}, [1], "F4", "f32", "U64"]


def reference_accepts(content: bytes) -> bool:
    try:
        safetensors.deserialize(content)  # type: ignore[no-untyped-call]  # the wheel has no types
    except safetensors.SafetensorError:
        return False
    return True


def listed_reasons(content: bytes) -> list[str]:
    """Why we may refuse what the reference accepts; looked for in the header by other means than ours."""
    (length,) = struct.unpack("<Q", content[:8])
    raw = content[8 : 8 + length]
    reasons = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(items)) != len(items):
            reasons.append("a name twice")
        return dict(items)

    header = json.loads(raw, object_pairs_hook=pairs)
    if raw[:1] != b"{":
        reasons.append("white space first")
    for name, entry in header.items():
        if re.search(r"[\x00-\x1f\x7f]", name):
            reasons.append("control character in a name")
        if name != "__metadata__" and isinstance(entry, list):
            reasons.append("entry as a list")
        if isinstance(entry, dict) and isinstance(entry.get("dtype"), dict):
            reasons.append("dtype as an object")
    if re.search(rb"\d{21}", raw):
        reasons.append("absurd number")
    if raw.count(b"[") > 16:
        reasons.append("deep nesting")
    return reasons


def valid_header(chance: random.Random) -> tuple[dict[str, Any], int]:
    header: dict[str, Any] = {}
    if chance.random() < 0.4:
        header["__metadata__"] = {f"k{n}": "v" for n in range(chance.randrange(3))}
    position = 0
    for place in range(chance.randrange(5)):
        dtype = chance.choice(list(SIZES))
        shape = [chance.randrange(4) for _ in range(chance.randrange(4))]
        size = SIZES[dtype]
        for length in shape:
            size *= length
        header[f"t{place}"] = {"dtype": dtype, "shape": shape, "data_offsets": [position, position + size]}
        position += size
    return header, position


def change_structure(header: dict[str, Any], chance: random.Random) -> None:
    """One place of the header gets a value that it should not have, or perhaps may have."""
    if not header:
        header["new"] = chance.choice(ODD_VALUES)
        return
    name = chance.choice(list(header))
    entry = header[name]
    kind = chance.randrange(8)
    if kind == 0 or not isinstance(entry, dict) or not entry:
        header[name] = chance.choice([*ODD_VALUES, list(entry.values()) if isinstance(entry, dict) else 0])
    elif kind == 1:
        del entry[chance.choice(list(entry))]
    elif kind == 2:
        entry["unknown"] = chance.choice(ODD_VALUES)
    elif kind == 3:
        header[chance.choice(["", "\0../x", "a\nb", "é", "__metadata__", "😀"])] = header.pop(name)
    elif kind == 4 and isinstance(entry.get("dtype"), str):
        entry["dtype"] = chance.choice([{entry["dtype"]: None}, "F6_E2M3", *SIZES])
    elif kind == 5 and entry.get("shape"):
        entry["shape"][chance.randrange(len(entry["shape"]))] = chance.choice(ODD_VALUES)
    elif "data_offsets" in entry:
        entry["data_offsets"][chance.randrange(2)] = chance.choice([*ODD_VALUES, chance.randrange(64)])


def change_bytes(raw: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(raw))
    kind = chance.randrange(6)
    if kind == 0:
        return raw[:place] + bytes([chance.randrange(256)]) + raw[place + 1 :]
    if kind == 1:
        return raw[:place] + raw[place + chance.randrange(4) :]
    if kind == 2:
        return (
            raw[:place] + chance.choice([b" ", b"\\", b'"', b"\\ud800", b"0", b"-", b"e1", b"\0", b","]) + raw[place:]
        )
    if kind == 3:
        return re.sub(
            rb"\d+",
            lambda _: chance.choice([b"-0", b"00", b"1e1", b"9" * 30, b"0", b"18446744073709551616"]),
            raw,
            count=1,
        )
    if kind == 4:
        return re.sub(rb'"t\d":', b'"t0":', raw)
    return chance.choice([b" " + raw, raw + b" \n", raw + b"\0", b"\xef\xbb\xbf" + raw])


def mutant(chance: random.Random) -> bytes:
    header, size = valid_header(chance)
    if chance.random() < 0.6:
        change_structure(header, chance)
    raw = json.dumps(header, ensure_ascii=chance.random() < 0.5).encode()
    if chance.random() < 0.4:
        raw = change_bytes(raw, chance)
    length = len(raw) + (chance.choice([-1, 1, 8, 2**32]) if chance.random() < 0.05 else 0)
    size = max(0, size + (chance.choice([-1, 1, 8]) if chance.random() < 0.08 else 0))
    return struct.pack("<Q", length) + raw + bytes(size)


def agree(content: bytes) -> bool:
    """Whether both accept; fails when we accept alone or refuse alone without a listed reason."""
    ours, theirs = found_in(content) == "accepted", reference_accepts(content)
    if ours != theirs:
        assert theirs, f"only we accept {content!r}"
        assert listed_reasons(content), f"refused without a listed reason: {content!r}"
    return ours


def test_mutants_meet_the_verdict_of_the_reference_reader() -> None:
    chance = random.Random(20261124)
    accepted = sum(agree(mutant(chance)) for _ in range(MUTANTS))
    # Mutants that are nearly all refused, or nearly all accepted, would prove little.
    assert MUTANTS // 10 < accepted < MUTANTS * 9 // 10


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2**65) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["U8", "F16", "F32", "F4"]) | JSON_VALUES,
        "shape": st.lists(st.integers(0, 4), max_size=3) | JSON_VALUES,
        "data_offsets": st.lists(st.integers(0, 16), min_size=2, max_size=2) | JSON_VALUES,
    }
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    header=st.dictionaries(st.sampled_from(["__metadata__", "a", "b"]), ENTRIES | JSON_VALUES, max_size=3),
    tail=st.integers(0, 24),
)
def test_generated_headers_meet_it_too(header: dict[str, Any], tail: int) -> None:
    raw = json.dumps(header).encode()
    agree(struct.pack("<Q", len(raw)) + raw + bytes(tail))


@pytest.mark.parametrize("dtype", ["F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ", "C64", "F32"])
def test_every_width_is_the_width_of_the_reference_reader(dtype: str) -> None:
    accepted = []
    for size in range(40):
        raw = json.dumps({"t": {"dtype": dtype, "shape": [4], "data_offsets": [0, size]}}).encode()
        if agree(struct.pack("<Q", len(raw)) + raw + bytes(size)):
            accepted.append(size)
    assert len(accepted) == 1
