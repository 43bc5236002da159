"""Pickles that name only allowed globals, and would crash, stall or fail the program that loads them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.server.inspection.pickle_scanner.containers import scan
from modelyard.server.inspection.pickle_scanner.ranges import Ranges
from modelyard.server.inspection.pickle_scanner.values import Tensor
from tests.server.inspection import builders
from tests.server.inspection.builders import ZipEntry, build_pickle, call, named, number, sequence, table, text
from tests.server.inspection.pickle_corpus import (
    INVALID_NUMPY,
    INVALID_TENSORS,
    INVALID_VALUES,
    OVERSIZED_VALUES,
    UNUSABLE_TENSORS,
    VALID_VALUES,
)
from tests.server.inspection.pickle_parts import (
    FALSE,
    NONE,
    TRUE,
    checkpoint,
    numbers,
    storage,
    view,
    view_all_as,
    view_bytes_as,
)

REFUSALS = {
    "malformed pickle",
    "unsafe pickle",
    "unusual pickle",
    "oversized pickle",
    "unsupported value",
    "damaged pickle file",
}


@pytest.mark.parametrize("case", VALID_VALUES)
def test_scan_pickle_of_valid_value_is_accepted(case: str) -> None:
    assert builders.get_scan_outcome(checkpoint(VALID_VALUES[case])) == "accepted"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(value, id=case)
        for part in (INVALID_NUMPY, OVERSIZED_VALUES, INVALID_TENSORS, INVALID_VALUES)
        for case, value in part.items()
    ],
)
def test_scan_pickle_of_value_that_breaks_loaders_is_refused(value: bytes) -> None:
    assert builders.get_scan_outcome(checkpoint(value)) in REFUSALS


@pytest.mark.parametrize("case", [*INVALID_NUMPY, "a bytearray of 2^40", "3 million nested tuples"])
def test_scan_plain_pickle_that_crashes_pickle_loads_is_refused(case: str) -> None:
    assert builders.get_scan_outcome(build_pickle({**INVALID_NUMPY, **OVERSIZED_VALUES}[case])) != "accepted"


@pytest.mark.parametrize("case", UNUSABLE_TENSORS)
def test_scan_pickle_of_tensor_that_torch_cannot_use_is_refused(case: str) -> None:
    assert builders.get_scan_outcome(checkpoint(UNUSABLE_TENSORS[case])) == "unsupported value"


@pytest.mark.parametrize("bit", [TRUE, FALSE])
def test_scan_view_marked_as_negated_is_lazy_whatever_the_mark_says(bit: bytes) -> None:
    """Torch negates a view whose metadata has the key."""
    content = checkpoint(view_all_as("float32", table(neg=bit)))
    value = scan(Ranges(len(content), lambda start, length: content[start : start + length])).value
    assert isinstance(value, Tensor)
    assert value.is_lazy


UNSUPPORTED = {"a sparse tensor", "a nested tensor", "a tensor without data", "a wrapper", "a tensor of a device"}


@pytest.mark.parametrize("case", sorted(UNSUPPORTED))
def test_scan_pickle_of_tensor_kind_unchecked_by_torch_is_refused(case: str) -> None:
    assert builders.get_scan_outcome(checkpoint(INVALID_VALUES[case])) in {"unsupported value", "unsafe pickle"}


def test_scan_zip_with_storage_shorter_than_declared_is_refused() -> None:
    assert builders.get_scan_outcome(checkpoint(view(size=numbers(5), of=storage(count=5)))) == "truncated file"


def test_scan_zip_with_tensors_that_repeat_a_storage_too_often_is_refused() -> None:
    large = bytes(8 * 2**20)
    views = view(size=numbers(2**21), of=storage(count=2**21))
    for times, expected in ((8, "accepted"), (40, "oversized pickle")):
        entries = [ZipEntry("a/data.pkl", build_pickle(sequence(*[views] * times))), ZipEntry("a/version", b"3")]
        assert builders.get_scan_outcome(builders.build_zip(*entries, ZipEntry("a/data/0", large))) == expected


def test_scan_zip_with_many_hidden_pickles_shares_one_budget() -> None:
    probe = b"\x80\x02" + b"N0" * 7000
    probe += bytes(-len(probe) % 4)
    count = 400
    views = [
        call(
            named("torch._utils", "_rebuild_tensor"),
            sequence(
                text("storage"), named("torch", "FloatStorage"), text(str(n)), text("cpu"), number(len(probe) // 4)
            )
            + b"Q",
            number(0),
            numbers(1),
            numbers(1),
        )
        for n in range(count)
    ]
    entries = [ZipEntry("a/data.pkl", build_pickle(sequence(*views))), ZipEntry("a/version", b"3")]
    members = [ZipEntry(f"a/data/{n}", probe) for n in range(count)]
    assert builders.get_scan_outcome(builders.build_zip(*entries, *members)) == "oversized pickle"


def test_inspect_checkpoint_with_untyped_storage_counts_the_viewed_dtype() -> None:
    facts = builders.inspect_content(
        checkpoint(table(w=view_bytes_as(named("torch", "complex32"), count=4))), "model.pt"
    )
    assert (facts.tensor_dtypes, facts.parameter_count) == ({"C32": 1}, 4)


# Randomly changed pickles: the scanner returns an outcome for each, in little time.

PARTS = st.sampled_from(
    [*VALID_VALUES.values(), NONE, TRUE, b")", b"}", b"]", b"(", b"t", b"R", b"b", b"Q", b"s", b"u", b"e"]
)


@given(st.lists(PARTS, max_size=12))
def test_scan_pickle_of_random_opcodes_returns_an_outcome(parts: list[bytes]) -> None:
    assert builders.get_scan_outcome(checkpoint(b"".join(parts)))


def change_byte(content: bytes, place: int, value: int) -> bytes:
    return content[:place] + bytes([value]) + content[place + 1 :]


def cut_piece(content: bytes, place: int, value: int) -> bytes:
    return content[:place] + content[place + value % 16 :]


def repeat_piece(content: bytes, place: int, value: int) -> bytes:
    return content[: place + value % 32] + content[place:]


@given(
    st.sampled_from(sorted(VALID_VALUES)),
    st.sampled_from([change_byte, cut_piece, repeat_piece]),
    st.integers(0, 400),
    st.integers(0, 255),
)
def test_scan_randomly_changed_pickle_returns_an_outcome(
    case: str, change: Callable[[bytes, int, int], bytes], place: int, value: int
) -> None:
    assert builders.get_scan_outcome(checkpoint(change(VALID_VALUES[case], place, value)))
