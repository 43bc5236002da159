"""Conversion of pickle files to safetensors: equal tensors, by bytes; hostile files and programs are refused."""

import json
import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from modelyard.server.inspection.conversion import (
    MAX_GATHERED_ROWS,
    LeftOut,
    PlannedTensor,
    build_plan,
    parse_left_out,
    parse_plan,
    plan_conversion,
)
from modelyard.server.inspection.sandbox import SandboxFailed
from modelyard.server.storage.digest import ReadStopped
from modelyard.wire.problems import ConversionRefused
from tests.server.inspection import builders, pickle_corpus
from tests.server.inspection.builders import ZipEntry, build_pickle, call, named, number, table, text
from tests.server.inspection.pickle_parts import HOOKS, checkpoint, numbers, view

VALUES = np.array([0.1, 0.2, 0.3, 0.4], np.float32)


def convert(content: bytes) -> bytes:
    """Return the safetensors file of a pickle file; raises ConversionRefused."""
    reader = builders.MemoryReader(content)
    plan = plan_conversion(reader)
    converted = b"".join(plan.iterate(reader))
    assert len(converted) == plan.size
    return converted


def convert_to_arrays(content: bytes) -> dict[str, Any]:
    return load(convert(content))


def get_outcome(content: bytes) -> str:
    """Return "converted", or the fact ``found`` of the refusal."""
    try:
        convert(content)
    except ConversionRefused as refused:
        return str(refused.facts["found"])
    return "converted"


def assert_equal(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == np.asarray(values).dtype
        np.testing.assert_array_equal(found[name], values)


def test_convert_torch_zip_has_equal_tensors() -> None:
    expected = {"first_stage_model.decoder.conv_in.weight": VALUES, "b": np.array([1, 1], np.float16)}
    assert_equal(convert_to_arrays(builders.build_checkpoint()), expected)


def test_convert_stream_of_old_torch_has_equal_tensors() -> None:
    assert_equal(convert_to_arrays(builders.build_legacy_checkpoint()), {"w": VALUES})


COLUMNS = np.tile(VALUES.reshape(2, 1, 2).T, (1, 3, 1)).copy()
VIEWS = {
    "a part": (view(number(1), numbers(2), numbers(1)), VALUES[1:3]),
    "every second": (view(number(0), numbers(2), numbers(2)), VALUES[::2]),
    "transposed": (view(number(0), numbers(2, 2), numbers(1, 2)), VALUES.reshape(2, 2).T),
    "a repeated row": (view(number(0), numbers(3, 4), numbers(0, 1)), np.tile(VALUES, (3, 1))),
    "a repeated element": (view(number(2), numbers(3), numbers(0)), VALUES[[2, 2, 2]]),
    "no dimensions": (view(number(3), b")", b")"), VALUES[3].reshape(())),
    "empty": (view(number(0), numbers(0, 7), numbers(7, 1)), np.zeros((0, 7), np.float32)),
    "one of two columns": (view(number(1), numbers(2, 1), numbers(2, 2)), VALUES.reshape(2, 2)[:, 1:]),
    "columns before a repeated row": (view(number(0), numbers(2, 3, 2), numbers(1, 0, 2)), COLUMNS),
    "a dimension of one": (view(number(0), numbers(1, 4), numbers(99, 1)), VALUES.reshape(1, 4)),
    "a parameter": (call(named("torch._utils", "_rebuild_parameter"), view(), b"\x88", HOOKS), VALUES),
}


@pytest.mark.parametrize("case", VIEWS)
def test_convert_view_has_its_values(case: str) -> None:
    value, expected = VIEWS[case]
    assert_equal(convert_to_arrays(checkpoint(table(w=value))), {"w": expected})


def test_convert_tensors_of_one_storage_writes_each() -> None:
    found = convert_to_arrays(checkpoint(table(a=view(), b=view(number(2), numbers(2), numbers(1)))))
    assert_equal(found, {"a": VALUES, "b": VALUES[2:]})


TENSOR = builders.tensor("0", 4)
OTHER = view(number(2), numbers(2), numbers(1))
NESTED = {
    "state_dict": table(state_dict=table(w=TENSOR), epoch=number(3)),
    "the only dictionary": table(anything=table(w=TENSOR)),
    "params_ema before params": table(params=table(w=OTHER), params_ema=table(w=TENSOR)),
    "params in state_dict": table(state_dict=table(params=table(w=TENSOR))),
    "model beside an optimizer": table(model=table(w=TENSOR), optimizer=table(state=table(m=OTHER))),
    "an ordered dictionary": call(named("collections", "OrderedDict")) + text("w") + TENSOR + b"s",
    "beside the state of a training": table(state_dict=table(w=TENSOR), rng_state=OTHER, global_step=OTHER),
    "beside numbers": table(w=TENSOR, step=number(5), names=b"]"),
}


@pytest.mark.parametrize("case", NESTED)
def test_convert_nested_state_dict_has_names_that_comfyui_uses(case: str) -> None:
    assert_equal(convert_to_arrays(checkpoint(NESTED[case])), {"w": VALUES})


LEFT_OUT = {
    "a tensor beside the wrapper": table(model=table(w=TENSOR), b=OTHER),
    "a dictionary beside the wrapper": table(model=table(w=TENSOR), vae=table(w=OTHER)),
    "a list beside the wrapper": table(model=table(w=TENSOR), others=b"](" + OTHER + b"e"),
    "a tensor beside state_dict": table(state_dict=table(w=TENSOR), w=OTHER),
    "a dictionary in the state dict": table(w=TENSOR, layer=table(w=OTHER)),
    "a deeper dictionary": table(w=TENSOR, layer=table(block=table(w=OTHER))),
    "a wrapper beside tensors": table(w=TENSOR, net=table(w=OTHER)),
    "a tensor as key": b"}" + text("w") + TENSOR + b"s" + b"(" + text("x") + b"}" + OTHER + number(1) + b"s" + b"u",
    "a tensor beside an embedding": table(string_to_param=b"}" + text("*") + TENSOR + b"s", w=OTHER),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_convert_file_with_other_tensors_is_refused_instead_of_leaving_them_out(case: str) -> None:
    assert get_outcome(checkpoint(LEFT_OUT[case])) == "tensors left out"


def find_left_out(value: bytes) -> LeftOut:
    return plan_conversion(builders.MemoryReader(checkpoint(value))).left_out


def test_plan_names_the_entries_that_are_left_out() -> None:
    training = table(model=table(w=TENSOR, step=number(5)), optimizer=table(m=OTHER), epoch=number(3))
    assert find_left_out(training) == LeftOut(("optimizer", "epoch", "step"), 3)
    assert find_left_out(table(w=TENSOR)) == LeftOut()


def test_plan_names_at_most_20_entries_with_80_printable_characters_each() -> None:
    many = table(model=table(w=TENSOR), **{f"{'a' * 100}{index}": number(1) for index in range(30)})
    found = find_left_out(many)
    assert (found.names, found.count) == (("a" * 80,) * 20, 30)
    hidden = b"}(" + text("w") + TENSOR + text("e\n\u202ex") + number(1) + number(7) + number(1) + b"u"
    assert find_left_out(hidden).names == ("e x", "(no name)")


@pytest.mark.parametrize(("names", "count"), [(None, 0), ([1], 1), ("ab", 2), ([], None), ([], True)])
def test_parse_malformed_names_of_left_out_entries_raises_sandbox_failed(names: object, count: object) -> None:
    with pytest.raises(SandboxFailed):
        parse_left_out(names, count)


@pytest.mark.parametrize("name", ["a\n", "a\0", "\x7f", "__metadata__"])
def test_convert_name_that_the_inspector_refuses_is_refused(name: str) -> None:
    assert get_outcome(checkpoint(b"}" + text(name) + TENSOR + b"s")) == "unsupported tensor"


PLANNED = PlannedTensor("w", "U8", (4,), (1,), 0)
MALFORMED = {
    "an unknown dtype": ["w", "F7", [4], [1], 0],
    "a dtype that is no text": ["w", ["U8"], [4], [1], 0],
    "a dtype of 4 bits": ["w", "F4", [4], [1], 0],
    "a surrogate": ["\ud800", "U8", [4], [1], 0],
    "a shape that is a text": ["w", "U8", "4", [1], 0],
    "a size that is true": ["w", "U8", [True], [1], 0],
    "a view behind the end": ["w", "U8", [4], [1], 13],
    "an entry too short": ["w", "U8"],
}


@pytest.mark.parametrize("case", MALFORMED)
def test_parse_malformed_plan_raises_sandbox_failed(case: str) -> None:
    with pytest.raises(SandboxFailed):
        parse_plan([MALFORMED[case]], 16)
    assert parse_plan([["w", "U8", [4], [1], 0]], 16).tensors == (PLANNED,)


REFUSED_BY_INSPECTOR = {
    "a control character": replace(PLANNED, name="a\n"),
    "the reserved name": replace(PLANNED, name="__metadata__"),
    "sizes whose product overflows": replace(PLANNED, shape=(2**62, 2**62, 0), stride=(0, 0, 0)),
}


@pytest.mark.parametrize("case", REFUSED_BY_INSPECTOR)
def test_plan_that_the_inspector_refuses_is_refused(case: str) -> None:
    with pytest.raises(ConversionRefused):
        build_plan([REFUSED_BY_INSPECTOR[case]], 16)


def test_convert_textual_inversion_has_the_name_that_comfyui_looks_for() -> None:
    value = table(
        string_to_token=b"}" + text("*") + number(265) + b"s", string_to_param=b"}" + text("*") + TENSOR + b"s"
    )
    assert_equal(convert_to_arrays(checkpoint(value)), {"emb_params": VALUES})


def test_convert_is_deterministic_and_header_is_aligned() -> None:
    first = convert(builders.build_checkpoint())
    (length,) = struct.unpack("<Q", first[:8])
    assert length % 8 == 0
    assert json.loads(first[8 : 8 + length])["__metadata__"] == {"format": "pt"}
    assert convert(builders.build_checkpoint()) == first


def plan(shape: tuple[int, ...], stride: tuple[int, ...], *, count: int = 1, source_size: int = 128 << 20) -> int:
    """Return how many bytes are read for a file with ``count`` such tensors; raises ConversionRefused."""
    tensors = [PlannedTensor(f"w{index}", "U8", shape, stride, index) for index in range(count)]
    return sum(tensor.bytes_to_read for tensor in build_plan(tensors, source_size).tensors)


def test_plan_small_views_of_a_large_storage_is_refused_above_the_bytes_to_read() -> None:
    assert plan((2,), ((64 << 20) - 1,), count=32) == 2048 << 20
    with pytest.raises(ConversionRefused, match="span far more bytes"):
        plan((2,), ((64 << 20) - 1,), count=33)


def test_plan_scattered_elements_is_refused_above_the_row_limit() -> None:
    assert plan((3, MAX_GATHERED_ROWS + 1), (2 * (MAX_GATHERED_ROWS + 1), 2))
    with pytest.raises(ConversionRefused, match="scattered"):
        plan((2,) * 24, tuple(2 ** (exponent + 1) for exponent in range(24)))


def test_iterate_stopped_conversion_raises_before_each_read() -> None:
    def stop() -> None:
        if reader.bytes_read > before:
            raise ReadStopped("Stopped.")

    reader = builders.SparseReader(b"", 64 << 20)
    planned = build_plan([PlannedTensor("w", "U8", (2,), ((32 << 20) - 1,), 0)], reader.size)
    before = reader.bytes_read
    with pytest.raises(ReadStopped):
        list(planned.iterate(reader, stop))
    assert reader.bytes_read == 8 << 20


INVALID = {
    **{name: checkpoint(table(w=value)) for name, value in pickle_corpus.INVALID_TENSORS.items()},
    **{name: checkpoint(value) for name, value in pickle_corpus.INVALID_VALUES.items()},
    **{name: checkpoint(value) for name, value in pickle_corpus.INVALID_NUMPY.items()},
}


@pytest.mark.parametrize("case", sorted(INVALID))
def test_convert_file_that_the_scan_refuses_is_refused_for_the_same_reason(case: str) -> None:
    scanned = builders.get_scan_outcome(INVALID[case])
    assert scanned != "accepted"
    assert get_outcome(INVALID[case]) == scanned


HOSTILE = {
    "os.system": checkpoint(call(named("os", "system"), text("true"))),
    "beside a tensor": checkpoint(table(w=TENSOR, x=call(named("builtins", "eval"), text("1")))),
    "a whole module": checkpoint(call(named("copyreg", "_reconstructor"), named("torch.nn", "Linear"))),
    "TorchScript": builders.build_zip(
        *builders.build_checkpoint_entries(), ZipEntry("archive/code/__torch__.py", b"def f(): pass")
    ),
    "no dictionary": checkpoint(TENSOR),
    "no tensors": builders.build_tensorless_checkpoint(table(a=number(1))),
    "a number as name": checkpoint(b"}" + number(1) + TENSOR + b"s"),
    "a quantized tensor": checkpoint(table(w=pickle_corpus.VALID_VALUES["a quantized tensor"])),
    "a conjugated tensor": checkpoint(table(w=pickle_corpus.VALID_VALUES["conjugated"])),
    "a plain pickle": build_pickle(table(a=number(1))),
    "nothing": b"",
}
FOUND = {
    **dict.fromkeys(("os.system", "beside a tensor", "a whole module"), "unsafe pickle"),
    **dict.fromkeys(("no dictionary", "no tensors"), "no state dict"),
    **dict.fromkeys(("a number as name", "a quantized tensor", "a conjugated tensor"), "unsupported tensor"),
    "TorchScript": "torchscript program",
    "a plain pickle": "plain pickle",
    "nothing": "unknown content",
}


@pytest.mark.parametrize("case", sorted(HOSTILE))
def test_convert_hostile_or_unsupported_file_is_refused(case: str) -> None:
    assert get_outcome(HOSTILE[case]) == FOUND[case]


def test_convert_refusal_names_the_reason() -> None:
    with pytest.raises(ConversionRefused, match=r"os\.system"):
        convert(HOSTILE["os.system"])
    with pytest.raises(ConversionRefused, match="TorchScript"):
        convert(HOSTILE["TorchScript"])


def test_convert_big_endian_file_is_refused() -> None:
    entries = [
        ZipEntry(entry.name, b"big") if entry.name.endswith("byteorder") else entry
        for entry in builders.build_checkpoint_entries()
    ]
    assert get_outcome(builders.build_zip(*entries)) == "big-endian file"


def test_convert_8_bit_floats_copies_their_bytes() -> None:
    value = table(w=pickle_corpus.VALID_VALUES["8-bit floats"])
    converted = convert(checkpoint(value))
    assert converted.endswith(builders.WEIGHTS)
    assert b'"dtype":"F8_E4M3"' in converted
