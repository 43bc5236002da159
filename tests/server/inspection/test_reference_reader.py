"""Validation of safetensors agrees with the reference reader, or is stricter for a reason that is listed here."""

import json
import random
import re
import struct
from typing import Any

import pytest
import safetensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.inspection.builders import get_outcome

SIZES = {"BOOL": 1, "U8": 1, "F8_E4M3": 1, "F16": 2, "BF16": 2, "I32": 4, "F32": 4, "F64": 8, "C64": 8}
CHANGED_FILES = 4_000
ODD_VALUES: list[Any] = [0, 1, 7, -1, 2**31, 2**32, 2**63, 2**64, 1.0, True, None, "1", [], {}, [1], "F4", "f32", "U64"]


def reference_accepts(content: bytes) -> bool:
    """Return whether the reference reader accepts the file."""
    try:
        safetensors.deserialize(content)  # type: ignore[no-untyped-call]  # the wheel has no types
    except safetensors.SafetensorError:
        return False
    return True


def list_reasons_to_differ(content: bytes) -> list[str]:
    """Return why a file may be refused that the reference accepts, found by other code than the validator."""
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


def build_valid_header(rng: random.Random) -> tuple[dict[str, Any], int]:
    """Return a random valid header and the size of its tensors."""
    header: dict[str, Any] = {}
    if rng.random() < 0.4:
        header["__metadata__"] = {f"k{n}": "v" for n in range(rng.randrange(3))}
    position = 0
    for position in range(rng.randrange(5)):
        dtype = rng.choice(list(SIZES))
        shape = [rng.randrange(4) for _ in range(rng.randrange(4))]
        size = SIZES[dtype]
        for length in shape:
            size *= length
        header[f"t{position}"] = {"dtype": dtype, "shape": shape, "data_offsets": [position, position + size]}
        position += size
    return header, position


def change_header_value(header: dict[str, Any], rng: random.Random) -> None:
    """Change one place of the header to a value that may be invalid."""
    if not header:
        header["new"] = rng.choice(ODD_VALUES)
        return
    name = rng.choice(list(header))
    entry = header[name]
    kind = rng.randrange(8)
    if kind == 0 or not isinstance(entry, dict) or not entry:
        header[name] = rng.choice([*ODD_VALUES, list(entry.values()) if isinstance(entry, dict) else 0])
    elif kind == 1:
        del entry[rng.choice(list(entry))]
    elif kind == 2:
        entry["unknown"] = rng.choice(ODD_VALUES)
    elif kind == 3:
        header[rng.choice(["", "\0../x", "a\nb", "é", "__metadata__", "😀"])] = header.pop(name)
    elif kind == 4 and isinstance(entry.get("dtype"), str):
        entry["dtype"] = rng.choice([{entry["dtype"]: None}, "F6_E2M3", *SIZES])
    elif kind == 5 and entry.get("shape"):
        entry["shape"][rng.randrange(len(entry["shape"]))] = rng.choice(ODD_VALUES)
    elif "data_offsets" in entry:
        entry["data_offsets"][rng.randrange(2)] = rng.choice([*ODD_VALUES, rng.randrange(64)])


def change_bytes(raw: bytes, rng: random.Random) -> bytes:
    """Change, remove or insert a few bytes of the header."""
    position = rng.randrange(len(raw))
    kind = rng.randrange(6)
    if kind == 0:
        return raw[:position] + bytes([rng.randrange(256)]) + raw[position + 1 :]
    if kind == 1:
        return raw[:position] + raw[position + rng.randrange(4) :]
    if kind == 2:
        return (
            raw[:position]
            + rng.choice([b" ", b"\\", b'"', b"\\ud800", b"0", b"-", b"e1", b"\0", b","])
            + raw[position:]
        )
    if kind == 3:
        return re.sub(
            rb"\d+",
            lambda _: rng.choice([b"-0", b"00", b"1e1", b"9" * 30, b"0", b"18446744073709551616"]),
            raw,
            count=1,
        )
    if kind == 4:
        return re.sub(rb'"t\d":', b'"t0":', raw)
    return rng.choice([b" " + raw, raw + b" \n", raw + b"\0", b"\xef\xbb\xbf" + raw])


def build_changed_file(rng: random.Random) -> bytes:
    """Build a safetensors file with random changes of structure, bytes or lengths."""
    header, size = build_valid_header(rng)
    if rng.random() < 0.6:
        change_header_value(header, rng)
    raw = json.dumps(header, ensure_ascii=rng.random() < 0.5).encode()
    if rng.random() < 0.4:
        raw = change_bytes(raw, rng)
    length = len(raw) + (rng.choice([-1, 1, 8, 2**32]) if rng.random() < 0.05 else 0)
    size = max(0, size + (rng.choice([-1, 1, 8]) if rng.random() < 0.08 else 0))
    return struct.pack("<Q", length) + raw + bytes(size)


def check_agreement(content: bytes) -> bool:
    """Return whether both readers accept; fail if only ours accepts, or only ours refuses without a listed reason."""
    is_accepted_here, is_accepted_by_reference = get_outcome(content) == "accepted", reference_accepts(content)
    if is_accepted_here != is_accepted_by_reference:
        assert is_accepted_by_reference, f"the reference reader refuses {content!r}"
        assert list_reasons_to_differ(content), f"refused without a listed reason: {content!r}"
    return is_accepted_here


def test_inspect_randomly_changed_safetensors_agrees_with_reference_reader() -> None:
    rng = random.Random(20261124)
    accepted = sum(check_agreement(build_changed_file(rng)) for _ in range(CHANGED_FILES))
    # If nearly all were refused, or nearly all accepted, the comparison would prove little.
    assert CHANGED_FILES // 10 < accepted < CHANGED_FILES * 9 // 10


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
def test_inspect_safetensors_with_generated_header_agrees_with_reference_reader(
    header: dict[str, Any], tail: int
) -> None:
    raw = json.dumps(header).encode()
    check_agreement(struct.pack("<Q", len(raw)) + raw + bytes(tail))


@pytest.mark.parametrize("dtype", ["F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ", "C64", "F32"])
def test_safetensors_dtype_size_equals_that_of_the_reference_reader(dtype: str) -> None:
    accepted = []
    for size in range(40):
        raw = json.dumps({"t": {"dtype": dtype, "shape": [4], "data_offsets": [0, size]}}).encode()
        if check_agreement(struct.pack("<Q", len(raw)) + raw + bytes(size)):
            accepted.append(size)
    assert len(accepted) == 1
