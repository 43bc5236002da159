"""Inspection of pickle files: clean files of many writers are accepted; all that could run code are refused."""

import io
import json
import pickle
import struct
import tarfile
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

TENSOR = builders.tensor("0", 4)


def build_zip_of_another_writer(compression: int) -> bytes:
    """Build a checkpoint whose zip is written by Python's ``zipfile``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for entry in builders.build_checkpoint_entries():
            archive.writestr(entry.name, entry.content)
    return buffer.getvalue()


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


def build_entries(value: bytes, **changes: Any) -> list[ZipEntry]:
    """Build the members of a checkpoint of one tensor; ``changes`` apply to the pickle's member."""
    return [
        ZipEntry("a/data.pkl", build_pickle(value), **changes),
        ZipEntry("a/data/0", builders.WEIGHTS),
        ZipEntry("a/version", b"3\n"),
    ]


TRAINING_STATE = {
    "scalar": np.float64(1.5),
    "plain": [1, 2.5, "text", b"bytes", None, True, {3}, (1, 2, 3, 4), complex(1, 2), bytearray(b"x"), bytearray()],
    "counts": Counter({30: 1}),
    "ordered": OrderedDict(a=1),
    "large": 2**200,
}


def save_value(value: object, protocol: int = 2) -> bytes:
    """Build a torch zip whose pickle is written by Python's ``pickle``."""
    return builders.build_zip(ZipEntry("a/data.pkl", pickle.dumps(value, protocol)), ZipEntry("a/version", b"3\n"))


RAW = build_pickle(table(w=TENSOR))
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


# Files that would run code, that another program would read differently, or that are not what they seem.

RUN_COMMAND = call(named("os", "system"), text("exit 1"))


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


CLEAN_ENTRIES = builders.build_checkpoint_entries()
HARMFUL_ENTRY = ZipEntry("archive/data/evil.pkl", build_pickle(RUN_COMMAND))


def build_changed_checkpoint(**changes: Any) -> bytes:
    """Build a checkpoint whose first zip member is changed."""
    return builders.build_zip(*build_entries(table(w=TENSOR), **changes))


def hide_pickle_in_tensor() -> bytes:
    """Build a checkpoint with a harmful pickle as the data of a tensor."""
    harmful = build_pickle(RUN_COMMAND)
    harmful += bytes(-len(harmful) % 4)
    value = table(w=builders.tensor("0", len(harmful) // 4))
    return builders.build_zip(
        ZipEntry("a/data.pkl", build_pickle(value)), ZipEntry("a/data/0", harmful), ZipEntry("a/version", b"3")
    )


def build_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return buffer.getvalue()


def build_tar_that_starts_like_pickle() -> bytes:
    """Build a tar without a magic number, which only its checksum identifies."""
    header = bytearray(build_pickle(table(a=builders.number(1))).ljust(512, b"\0"))
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    assert tarfile.TarInfo.frombuf(bytes(header), "utf-8", "surrogateescape").chksum
    return bytes(header) + build_tar()


AMBIGUOUS_ZIPS = {
    "bytes before the directory": builders.build_checkpoint(gap=RUN_COMMAND),
    "another disk": build_changed_checkpoint(disk=1),
    "methods that differ": build_changed_checkpoint(local_method=8),
    "names in another encoding": build_changed_checkpoint(local_flags=0x0008),
    "a checksum that differs": build_changed_checkpoint(flags=0, local_sizes=(1, len(RAW), len(RAW))),
    "bytes behind the deflated ones": build_changed_checkpoint(method=8, packed_tail=b"x"),
    "bytes between the members": builders.build_checkpoint(between=b"xx"),
    "bytes behind the zip": builders.build_checkpoint(after=b"x"),
    "a whole zip before the zip": builders.build_checkpoint(before=builders.build_tensorless_checkpoint(RUN_COMMAND)),
    "two zips in one": builders.build_tensorless_checkpoint(RUN_COMMAND) + builders.build_checkpoint(),
    "a cut tail": builders.build_checkpoint()[:-1],
    "no end record": builders.build_checkpoint()[:-22],
    "wrong CRC": build_changed_checkpoint(crc=1),
    "encrypted flag": build_changed_checkpoint(flags=0x0809),
    "masked headers": build_changed_checkpoint(flags=0x2808),
    "strong encryption": build_changed_checkpoint(flags=0x0848),
    "flags that differ": build_changed_checkpoint(local_flags=0x0800),
    "names that differ": build_changed_checkpoint(local_name="a/date.pkl"),
    "sizes that differ": build_changed_checkpoint(local_sizes=(1, 2, 3)),
    "a descriptor that differs": build_changed_checkpoint(descriptor=b"PK\7\x08" + bytes(12)),
    "no descriptor": build_changed_checkpoint(descriptor=b""),
    "a size that differs": build_changed_checkpoint(size=5),
    "bzip2": build_changed_checkpoint(method=12),
    "lzma": build_changed_checkpoint(method=14),
    "a comment": build_changed_checkpoint(comment=b"x"),
    "a link": build_changed_checkpoint(attributes=0xA1FF0000),
    "a file that is marked as a folder": build_changed_checkpoint(attributes=0x10),
    "a second name in an extra field": build_changed_checkpoint(extra=b"\x75\x70\x06\x00\x01abcde"),
    "a damaged extra field": build_changed_checkpoint(extra=b"FB\xff\x00Z"),
    "one name twice": builders.build_zip(*CLEAN_ENTRIES, ZipEntry("archive/data.pkl", build_pickle(RUN_COMMAND))),
    "one name in two cases": builders.build_zip(
        *CLEAN_ENTRIES, ZipEntry("archive/DATA.PKL", build_pickle(RUN_COMMAND))
    ),
    "a path out": builders.build_zip(*CLEAN_ENTRIES, ZipEntry("archive/../x", b"x")),
    "a path with backslashes": builders.build_zip(*CLEAN_ENTRIES, ZipEntry("archive\\x", b"x")),
    "an absolute path": builders.build_zip(*CLEAN_ENTRIES, ZipEntry("/archive/x", b"x")),
    "tensors that are compressed": build_zip_of_another_writer(zipfile.ZIP_DEFLATED),
    "a member of 2^40 bytes": build_changed_checkpoint(size=2**32 - 1),
}


@pytest.mark.parametrize("case", AMBIGUOUS_ZIPS)
def test_scan_ambiguous_zip_is_refused(case: str) -> None:
    assert get_scan_outcome(AMBIGUOUS_ZIPS[case]) == "ambiguous zip"


REFUSED_FILES = {
    "bytes before the zip": ("damaged pickle file", builders.build_checkpoint(before=b"\x80\x02.")),
    "a pickle before a zip": ("unsafe pickle", build_pickle(RUN_COMMAND) + builders.build_checkpoint()),
    "two roots": (
        "zip archive",
        builders.build_zip(*CLEAN_ENTRIES, ZipEntry("other/data.pkl", build_pickle(RUN_COMMAND))),
    ),
    "an evil pickle beside": ("unknown content", builders.build_zip(*CLEAN_ENTRIES, HARMFUL_ENTRY)),
    "a clean pickle beside": (
        "unknown content",
        builders.build_zip(*CLEAN_ENTRIES, ZipEntry("archive/data/2", build_pickle(b"}"))),
    ),
    "a pickle as version": (
        "unknown content",
        builders.build_zip(*CLEAN_ENTRIES[:4], ZipEntry("archive/version", build_pickle(RUN_COMMAND))),
    ),
    "a pickle as tensor": ("unsafe pickle", hide_pickle_in_tensor()),
    "a member of another kind": (
        "unknown content",
        builders.build_zip(*CLEAN_ENTRIES, ZipEntry("archive/readme.py", b"import os")),
    ),
    "TorchScript": (
        "torchscript program",
        builders.build_zip(*CLEAN_ENTRIES, ZipEntry("archive/code/a.py", b"1")),
    ),
    "constants": (
        "torchscript program",
        builders.build_zip(*CLEAN_ENTRIES, ZipEntry("archive/constants.pkl", build_pickle(b")"))),
    ),
    "an exported program": (
        "exported program",
        builders.build_zip(*CLEAN_ENTRIES, ZipEntry("archive/models/model.json", b"{}")),
    ),
    "no data.pkl": ("zip archive", builders.build_zip(ZipEntry("archive/version", b"3\n"))),
    "no members": ("zip archive", builders.build_zip()),
    "an ordinary zip": (
        "zip archive",
        builders.build_zip(ZipEntry("model.safetensors", builders.build_named_tensors("a"))),
    ),
    "missing bytes of a tensor": ("truncated file", builders.build_zip(*CLEAN_ENTRIES[:3], CLEAN_ENTRIES[4])),
    "too few bytes of a tensor": (
        "truncated file",
        builders.build_zip(ZipEntry("a/data.pkl", RAW), ZipEntry("a/data/0", b"x"), ZipEntry("a/version", b"3")),
    ),
    "bytes behind data.pkl's end": (
        "unsafe pickle",
        builders.build_zip(
            ZipEntry("a/data.pkl", build_pickle(b"}") + build_pickle(RUN_COMMAND)), ZipEntry("a/version", b"3")
        ),
    ),
    "no folder in the zip": ("zip archive", builders.build_zip(ZipEntry("data.pkl", build_pickle(b"}")))),
    "no version": ("zip archive", builders.build_zip(ZipEntry("a/data.pkl", build_pickle(b"}")))),
    "a version that torch does not read": (
        "unknown content",
        builders.build_zip(ZipEntry("a/data.pkl", build_pickle(b"}")), ZipEntry("a/version", b"11")),
    ),
    "an unknown byte order": (
        "unknown content",
        builders.build_zip(
            ZipEntry("a/data.pkl", build_pickle(b"}")), ZipEntry("a/version", b"3"), ZipEntry("a/byteorder", b"mixed")
        ),
    ),
    "a plain pickle": ("plain pickle", build_pickle(table(a=builders.number(1)))),
    "a second pickle behind the first": ("plain pickle", build_pickle(b"}") + build_pickle(b"}")),
    "bytes behind a stream": ("unsafe pickle", builders.build_legacy_checkpoint(tail=b"x")),
    "a stream cut short": ("truncated file", builders.build_legacy_checkpoint()[:-1]),
    "a stream of another magic": ("plain pickle", builders.build_legacy_checkpoint(magic=0x1950A86A20F9469CFC6D)),
    "tensors without their bytes": ("plain pickle", build_pickle(table(w=builders.tensor("0", 4)))),
    "protocol 0": ("unknown content", b"cos\nsystem\n(S'exit 1'\ntR."),
    "protocol 1": ("unusual pickle", b"\x80\x01}."),
    "protocol 6": ("unknown content", b"\x80\x06}."),
    "a cut pickle": ("damaged pickle file", build_pickle(table(a=builders.number(1)))[:-1]),
    "7z": ("unknown content", b"7z\xbc\xaf\x27\x1c" + build_pickle(RUN_COMMAND)),
    "a tar": ("torch tar archive", build_tar()),
    "a tar that begins like a pickle": ("torch tar archive", build_tar_that_starts_like_pickle()),
    "JSON": ("unknown content", json.dumps({"a": 1}).encode()),
    "a wrong extension": ("unknown content", builders.build_named_tensors("a")),
    "nothing": ("unknown content", b""),
}


@pytest.mark.parametrize("case", REFUSED_FILES)
def test_scan_refused_file_has_expected_refusal(case: str) -> None:
    expected, content = REFUSED_FILES[case]
    assert get_scan_outcome(content) == expected


@pytest.mark.parametrize("case", ["TorchScript", "a pickle as tensor", "an ordinary zip", "a tar"])
def test_inspect_in_sandbox_has_the_same_refusal_as_scan(case: str) -> None:
    expected, content = REFUSED_FILES[case]
    assert get_outcome(content, "model.pt2") == expected


def test_scan_checkpoint_truncated_at_any_length_is_refused() -> None:
    for whole in (builders.build_checkpoint(), builders.build_legacy_checkpoint(), save_value({"w": 1})):
        assert get_scan_outcome(whole) == "accepted"
        assert "accepted" not in {get_scan_outcome(whole[:length]) for length in range(len(whole))}


def test_scan_tensor_data_that_starts_like_a_pickle_is_accepted() -> None:
    entries = builders.build_checkpoint_entries(
        table(w=builders.tensor("0", 4), v=builders.tensor("1", 2, kind="HalfStorage"))
    )
    entries[2] = ZipEntry("archive/data/0", b"\x80\x02" + struct.pack("<3f", 1.0, 2.0, 3.0) + b"\x7f\x3f")
    assert get_outcome(builders.build_zip(*entries), "model.ckpt") == "accepted"


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
