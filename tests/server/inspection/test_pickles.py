"""Inspection of pickle files: clean files of many writers are accepted; all that could run code are refused."""

import pickle
import zipfile
import zlib
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard.server.inspection.inspector import inspect_file
from modelyard.wire.problems import NotAModelFile
from tests.server.inspection import builders
from tests.server.inspection.builders import (
    ZipEntry,
    build_pickle,
    call,
    get_outcome,
    get_scan_outcome,
    inspect_content,
    named,
    sequence,
    table,
    text,
)
from tests.server.inspection.pickle_files import (
    RAW,
    RUN_COMMAND,
    TENSOR,
    build_entries,
    build_zip_of_another_writer,
    save_value,
)


def pickle_parameters() -> bytes:
    """Return an OrderedDict with a state, a Parameter, a dtype and a size, as a state_dict has them."""
    parameter = call(
        named("torch._utils", "_rebuild_parameter"), TENSOR, b"\x88", call(named("collections", "OrderedDict"))
    )
    return (
        call(named("collections", "OrderedDict"))
        + b"("
        + (text("weight") + parameter + text("dtype") + named("torch", "float16"))
        + (text("size") + call(named("torch", "Size"), sequence(builders.number(2))))
        + b"u"
        + table(_metadata=b"}")
        + b"b"
    )


TRAINING_STATE = {
    "scalar": np.float64(1.5),
    "plain": [1, 2.5, "text", b"bytes", None, True, {3}, (1, 2, 3, 4), complex(1, 2), bytearray(b"x"), bytearray()],
    "counts": Counter({30: 1}),
    "ordered": OrderedDict(a=1),
    "large": 2**200,
}
LOCAL_SIZES = (zlib.crc32(RAW), len(RAW), len(RAW))
CLEAN_FILES = {
    "torch zip": builders.build_checkpoint(),
    "torch zip without ZIP64": builders.build_checkpoint(zip64=False),
    "one tensor": builders.build_zip(*build_entries(table(w=TENSOR))),
    "one tensor, deflated": builders.build_zip(*build_entries(table(w=TENSOR), method=8)),
    "sizes in the local header": builders.build_zip(*build_entries(table(w=TENSOR), flags=0, local_sizes=LOCAL_SIZES)),
    "packed again": build_zip_of_another_writer(zipfile.ZIP_STORED),
    "state_dict": builders.build_zip(*build_entries(pickle_parameters())),
    "before torch 1.6": builders.build_legacy_checkpoint(),
    "a Lightning checkpoint": builders.build_tensorless_checkpoint(
        b"}" + named("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint") + b"}s"
    ),
    "everything that a training loop keeps": save_value(TRAINING_STATE),
    "protocol 3": save_value({"a": [1, 2.5, None, (3,)]}, 3),
}


@pytest.mark.parametrize("case", CLEAN_FILES)
def test_inspect_clean_pickle_file_is_accepted(case: str) -> None:
    facts = inspect_content(CLEAN_FILES[case], "model.ckpt")
    assert (facts.format, facts.extra["pickle_scan"]) == ("pickle", "clean")


def test_inspect_checkpoint_returns_dtypes_parameters_and_architecture() -> None:
    facts = inspect_content(builders.build_checkpoint(), "model.pt")
    assert (facts.tensor_dtypes, facts.parameter_count, facts.architecture) == ({"F32": 1, "F16": 1}, 6, "vae")


@pytest.mark.parametrize("content", [builders.build_checkpoint(), builders.build_legacy_checkpoint(), b"\x80\x02."])
def test_inspect_pickle_under_block_policy_is_refused(content: bytes) -> None:
    with pytest.raises(NotAModelFile) as refused:
        inspect_file(builders.MemoryReader(content), "model.ckpt", "block")
    assert refused.value.facts["setting"] == "pickle_policy"


def name_from_call() -> bytes:
    """Return STACK_GLOBAL with a module name that a call returns."""
    joined = call(named("_codecs", "encode"), text("os"), text("utf-8"))
    return joined + text("system") + b"\x93" + sequence(text("exit 1")) + b"R"


def name_from_memo() -> bytes:
    """Return STACK_GLOBAL with both parts of the name fetched from the memo."""
    return text("os") + b"q\x000" + text("system") + b"q\x010" + b"h\x00h\x01\x93" + sequence(text("exit 1")) + b"R"


FORBIDDEN_CALLS = {
    "os.system": named("os", "system"),
    "posix.system": named("posix", "system"),
    "nt.system": named("nt", "system"),
    "builtins.eval": named("builtins", "eval"),
    "__builtin__.exec": named("__builtin__", "exec"),
    "getattr": named("builtins", "getattr"),
    "subprocess": named("subprocess", "Popen"),
    "numpy f2py": named("numpy.f2py.crackfortran", "getlincoef"),
    "numpy runstring": named("numpy.testing._private.utils", "runstring"),
    "torch.load inside": named("torch.storage", "_load_from_bytes"),
    "torch.hub": named("torch.hub", "load"),
    "torch jit": named("torch.jit", "load"),
    "pip": named("pip", "main"),
    "pydoc": named("pydoc", "pipepager"),
    "timeit": named("timeit", "timeit"),
    "runpy": named("runpy", "_run_code"),
    "imp": named("importlib", "import_module"),
    "attribute walk": named("torch", "_utils._rebuild_tensor.__globals__.__getitem__"),
    "attribute split": named("torch", "_utils._rebuild_tensor_v2"),
    "operator": named("operator", "attrgetter"),
    "a bound method": named("torch.serialization", "load"),
    "webbrowser": named("webbrowser", "open"),
    "logging config": named("logging.config", "_resolve"),
    "cProfile": named("cProfile", "runctx"),
    "bdb": named("bdb", "Bdb"),
    "the case of a name": named("collections", "ordereddict"),
    "a line end in a name": named("collections", "OrderedDict\r"),
}
HARMFUL_VALUES = {
    **{f"names {name}": call(function, text("exit 1")) for name, function in FORBIDDEN_CALLS.items()},
    "STACK_GLOBAL from the stack": text("os") + text("system") + b"\x93" + sequence(text("exit 1")) + b"R",
    "STACK_GLOBAL from the memo": name_from_memo(),
    "STACK_GLOBAL of a computed name": name_from_call(),
    "STACK_GLOBAL of bytes": b"C\x02os" + text("system") + b"\x93)R",
    "INST": b"(" + text("exit 1") + b"ios\nsystem\n",
    "OBJ": b"(" + named("os", "system") + text("exit 1") + b"o",
    "NEWOBJ": named("os", "system") + sequence(text("exit 1")) + b"\x81",
    "EXT1": b"\x82\x01",
    "EXT2": b"\x83\x01\x01",
    "EXT4": b"\x84\x01\x00\x00\x00",
    "a call of what a call returned": call(call(named("collections", "OrderedDict")), text("x")),
    "a call of a dtype": call(named("torch", "float16"), text("x")),
    "a call of Lightning's class": call(
        named("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"), text("x")
    ),
    "a call by torch's own caller": call(
        named("torch._tensor", "_rebuild_from_type_v2"),
        named("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
        named("torch", "Tensor"),
        sequence(text("/etc")),
        b"N",
    ),
    "state on a class": named("torch", "Tensor") + table(__reduce__=b"N") + b"b",
    "items on a class": named("collections", "OrderedDict") + text("k") + text("v") + b"s",
    "a module as persistent id": sequence(text("module"), named("torch", "Tensor"), text("x.py"), text("source"))
    + b"Q",
    "a persistent id of text": b"Pexit\n",
    "a huge memo": text("x") + b"r\xff\xff\xff\x7f",
    "an out-of-band buffer": b"\x97",
    "a second protocol": b"\x80\x04" + text("x"),
    "an unknown opcode": b"\xff",
    "an empty stack": b"R",
    "a code object hidden under a pop": RUN_COMMAND + b"0" + b"}",
}


@pytest.mark.parametrize("case", HARMFUL_VALUES)
def test_inspect_pickle_that_can_run_code_is_refused(case: str) -> None:
    assert get_outcome(build_pickle(HARMFUL_VALUES[case], 4), "model.pkl") in {
        "unsafe pickle",
        "unusual pickle",
        "damaged pickle file",
    }


@pytest.mark.parametrize("container", ["zip", "stream", "bare"])
def test_inspect_pickle_that_runs_code_is_refused_in_every_container(container: str) -> None:
    content = {
        "zip": builders.build_tensorless_checkpoint(RUN_COMMAND),
        "stream": builders.build_legacy_checkpoint(table(w=builders.tensor("94", 4, legacy=True), x=RUN_COMMAND)),
        "bare": build_pickle(RUN_COMMAND),
    }[container]
    assert get_outcome(content, "model.bin") == "unsafe pickle"


class FileCreator:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.mark.parametrize("protocol", range(6))
def test_inspect_pickle_does_not_run_its_code(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "created"
    raw = pickle.dumps({"weight": FileCreator(marker)}, protocol)
    for content in (
        raw,
        builders.build_zip(ZipEntry("archive/data.pkl", raw)),
        builders.build_checkpoint() + raw,
        raw + builders.build_checkpoint(),
    ):
        assert get_scan_outcome(content) != "accepted"
        assert get_outcome(content, "model.ckpt", "block") != "accepted"
    assert get_outcome(raw, "model.pkl", "scan") != "accepted"
    assert not marker.exists()
    pickle.loads(raw)
    assert marker.exists(), "unpickling the object creates the file"
