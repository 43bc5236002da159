"""Of tensors in every dtype and form, the scanner accepts exactly those that torch loads and copies, also with mmap."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.server.inspection.pickle_scanner.allowed import DTYPES, UNTYPED_DTYPES
from tests.server.inspection import builders
from tests.server.inspection.builders import call, named, sequence, table
from tests.server.inspection.pickle_parts import FALSE, HOOKS, TRUE, parameter, place_storage, view_all_as
from tests.torch_loading.test_clean_loads import load_in_torch, run_program, write_files

METADATA = {
    "plain": (),
    "negated": (table(neg=TRUE),),
    "conjugated": (table(conj=TRUE),),
    "negated and conjugated": (table(neg=TRUE, conj=TRUE),),
    "negation of false": (table(neg=FALSE),),
}
REMAINDERS = (0, 1, 4, 8, 16, 32)


@pytest.fixture(scope="module")
def dtypes() -> list[str]:
    """The dtypes on the allow-list that this release of torch has; quantized tensors have other forms."""
    names = {*DTYPES, *UNTYPED_DTYPES} & set(run_program("list_globals.py").split())
    return [name.removeprefix("torch.") for name in sorted(names) if not name.startswith("torch.q")]


def build_forms(dtype: str) -> Iterator[tuple[str, bytes]]:
    """Yield the forms of a tensor with their names: plain, of a type, and in parameters by each of three functions."""
    for metadata_name, metadata in METADATA.items():
        for flag_name, flag in (("without gradients", FALSE), ("with gradients", TRUE)):
            name = f"{dtype}, {metadata_name}, {flag_name}"
            tensor, data = view_all_as(dtype, *metadata, flag=flag), view_all_as(dtype, *metadata)
            yield f"{name}: tensor", tensor
            yield f"{name}: tensor of a type", rebuild_from_type(tensor)
            yield f"{name}: parameter", parameter(data, flag)
            yield f"{name}: parameter of a tensor like it", parameter(tensor, flag)
            yield f"{name}: parameter by its class", call(named("torch.nn.parameter", "Parameter"), data, flag)
            with_state = named("torch._utils", "_rebuild_parameter_with_state")
            yield f"{name}: parameter with a state", call(with_state, data, flag, HOOKS, table(_is_buffer=TRUE))


def rebuild_from_type(tensor: bytes) -> bytes:
    """Return the opcodes that call the function of a call of ``tensor`` by ``_rebuild_from_type_v2``."""
    function, mark, arguments = tensor.removesuffix(b"R").partition(b"(")
    rebuild = named("torch._tensor", "_rebuild_from_type_v2")
    return rebuild + sequence(function, named("torch", "Tensor"), mark + arguments, b"}") + b"R"


def test_scanner_accepts_exactly_the_forms_of_tensors_that_torch_loads(tmp_path: Path, dtypes: list[str]) -> None:
    contents = {name: place_storage(value, 0) for dtype in dtypes for name, value in build_forms(dtype)}
    results = load_in_torch(write_files(tmp_path, contents.values())).values()
    loaded = {name: result == "ok" for name, result in zip(contents, results, strict=True)}
    accepted = {name: builders.get_scan_outcome(content) == "accepted" for name, content in contents.items()}
    assert {name for name in contents if accepted[name] != loaded[name]} == set()
    assert set(loaded.values()) == {True, False}


def test_scanner_refuses_exactly_the_unaligned_storages_that_crash_torch(tmp_path: Path, dtypes: list[str]) -> None:
    contents = {
        f"{dtype} at {remainder}": place_storage(view_all_as(dtype), remainder)
        for dtype in dtypes
        for remainder in REMAINDERS
    }
    results = load_in_torch(write_files(tmp_path, contents.values())).values()
    outcomes = {name: builders.get_scan_outcome(content) for name, content in contents.items()}
    crashing = {name for name, result in zip(contents, results, strict=True) if result == "crash"}
    assert set(results) == {"ok", "crash"}
    assert {name for name, outcome in outcomes.items() if outcome != "accepted"} == crashing
