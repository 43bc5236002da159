"""Clean files of many writers pass; the evasion corpus does not, to the last file."""

import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard.server.models.content import examine
from modelyard.wire.problems import NotAModelFile
from tests.server.models.content import building as b
from tests.server.models.content.building import (
    Entry,
    call,
    found_by_scan,
    found_in,
    look,
    named,
    pickled,
    sequence,
    table,
    text,
)

TENSOR = b.tensor("0", 4)


def rezipped(compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The same members, packed again by another program."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for entry in b.checkpoint_entries():
            archive.writestr(entry.name, entry.content)
    return buffer.getvalue()


def parameters() -> bytes:
    """An OrderedDict with a state of its own, a Parameter, a dtype and a size, as a state_dict has them."""
    parameter = call(
        named("torch._utils", "_rebuild_parameter"), TENSOR, b"\x88", call(named("collections", "OrderedDict"))
    )
    return (
        call(named("collections", "OrderedDict"))
        + b"("
        + (text("weight") + parameter + text("dtype") + named("torch", "float16"))
        + (text("size") + call(named("torch", "Size"), sequence(b.number(2))))
        + b"u"
        + table(_metadata=b"}")
        + b"b"
    )


def entry_for(value: bytes, **lies: Any) -> list[Entry]:
    """A checkpoint of one tensor; ``lies`` go to its pickle's member."""
    return [Entry("a/data.pkl", pickled(value), **lies), Entry("a/data/0", b.WEIGHTS), Entry("a/version", b"3\n")]


EVERYTHING = {
    "array": np.arange(6, dtype=np.float32).reshape(2, 3),
    "scalar": np.float64(1.5),
    "objects": np.array(["a", None], dtype=object),
    "plain": [1, 2.5, "text", b"bytes", None, True, {3}, (1, 2, 3, 4)],
    "large": 2**200,
}


RAW = pickled(table(w=TENSOR))
LOCAL_SIZES = (zlib.crc32(RAW), len(RAW), len(RAW))
CLEAN = {
    "torch zip": b.checkpoint(),
    "torch zip without ZIP64": b.checkpoint(zip64=False),
    "one tensor": b.zipped(*entry_for(table(w=TENSOR))),
    "one tensor, deflated": b.zipped(*entry_for(table(w=TENSOR), method=8)),
    "sizes in the local header": b.zipped(*entry_for(table(w=TENSOR), flags=0, local_sizes=LOCAL_SIZES)),
    "packed again": rezipped(),
    "packed again, stored": rezipped(zipfile.ZIP_STORED),
    "state_dict": b.zipped(*entry_for(parameters())),
    "before torch 1.6": b.old_checkpoint(),
    "a Lightning checkpoint": b.bare_checkpoint(
        b"}" + named("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint") + b"}s"
    ),
    **{f"NumPy, protocol {protocol}": pickle.dumps(EVERYTHING, protocol) for protocol in (2, 3, 4, 5)},
}


@pytest.mark.parametrize("case", CLEAN)
def test_a_file_of_tensors_is_clean(case: str) -> None:
    facts = look(CLEAN[case], "model.ckpt")
    assert (facts.format, facts.extra["pickle_scan"]) == ("pickle", "clean")


def test_facts_are_read_from_the_storages() -> None:
    facts = look(b.checkpoint(), "model.pt")
    assert (facts.tensor_dtypes, facts.parameter_count, facts.architecture) == ({"F32": 1, "F16": 1}, 6, "vae")


@pytest.mark.parametrize("content", [b.checkpoint(), b.old_checkpoint(), b"\x80\x02."])
def test_blocked_means_not_even_looked_at(content: bytes) -> None:
    with pytest.raises(NotAModelFile) as refused:
        examine(b.InMemory(content), "model.ckpt", "block")
    assert refused.value.facts["setting"] == "pickle_policy"


# The evasion corpus. Each of these would run code, or be read differently by another program, or is not what it says.

RUN = call(named("os", "system"), text("exit 1"))


def computed_name() -> bytes:
    """STACK_GLOBAL over texts that only a call makes."""
    joined = call(named("_codecs", "encode"), text("os"), text("utf-8"))
    return joined + text("system") + b"\x93" + sequence(text("exit 1")) + b"R"


def by_memo() -> bytes:
    """The two halves of the name are stored first and fetched later."""
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

EVIL_VALUES = {
    **{f"names {name}": call(function, text("exit 1")) for name, function in FORBIDDEN_CALLS.items()},
    "STACK_GLOBAL from the stack": text("os") + text("system") + b"\x93" + sequence(text("exit 1")) + b"R",
    "STACK_GLOBAL from the memo": by_memo(),
    "STACK_GLOBAL of a computed name": computed_name(),
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
    "a code object hidden under a pop": RUN + b"0" + b"}",
}


@pytest.mark.parametrize("case", EVIL_VALUES)
def test_a_pickle_that_does_more_than_hold_tensors_is_refused(case: str) -> None:
    assert found_in(pickled(EVIL_VALUES[case], 4), "model.pkl") in {
        "unsafe pickle",
        "unusual pickle",
        "damaged pickle file",
    }


@pytest.mark.parametrize("where", ["zip", "stream", "embedded"])
def test_it_is_refused_in_every_container(where: str) -> None:
    content = {
        "zip": b.bare_checkpoint(RUN),
        "stream": b.old_checkpoint(table(w=b.tensor("94", 4, legacy=True), x=RUN)),
        "embedded": pickled(table(a=b.number(1))) + pickled(RUN),
    }[where]
    assert found_in(content, "model.bin") == "unsafe pickle"


CLEAN_ENTRIES = b.checkpoint_entries()
EVIL_PICKLE = Entry("archive/data/evil.pkl", pickled(RUN))


def with_first(**lies: Any) -> bytes:
    return b.zipped(*entry_for(table(w=TENSOR), **lies))


def hidden_in_a_tensor() -> bytes:
    evil = pickled(RUN)
    evil += bytes(-len(evil) % 4)
    value = table(w=b.tensor("0", len(evil) // 4))
    return b.zipped(Entry("a/data.pkl", pickled(value)), Entry("a/data/0", evil), Entry("a/version", b"3"))


def a_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return buffer.getvalue()


AMBIGUOUS_ZIPS = {
    "bytes before the directory": b.checkpoint(gap=RUN),
    "another disk": with_first(disk=1),
    "methods that differ": with_first(local_method=8),
    "names in another encoding": with_first(local_flags=0x0008),
    "a checksum that differs": with_first(flags=0, local_sizes=(1, len(RAW), len(RAW))),
    "bytes behind the deflated ones": with_first(method=8, packed_tail=b"x"),
    "bytes between the members": b.checkpoint(between=b"xx"),
    "bytes behind the zip": b.checkpoint(after=b"x"),
    "a whole zip before the zip": b.checkpoint(before=b.bare_checkpoint(RUN)),
    "two zips in one": b.bare_checkpoint(RUN) + b.checkpoint(),
    "a cut tail": b.checkpoint()[:-1],
    "no end record": b.checkpoint()[:-22],
    "wrong CRC": with_first(crc=1),
    "encrypted flag": with_first(flags=0x0809),
    "masked headers": with_first(flags=0x2808),
    "strong encryption": with_first(flags=0x0848),
    "flags that differ": with_first(local_flags=0x0800),
    "names that differ": with_first(local_name="a/date.pkl"),
    "sizes that differ": with_first(local_sizes=(1, 2, 3)),
    "a descriptor that differs": with_first(descriptor=b"PK\7\x08" + bytes(12)),
    "no descriptor": with_first(descriptor=b""),
    "a size that differs": with_first(size=5),
    "bzip2": with_first(method=12),
    "lzma": with_first(method=14),
    "a comment": with_first(comment=b"x"),
    "a link": with_first(attributes=0xA1FF0000),
    "a second name in an extra field": with_first(extra=b"\x75\x70\x06\x00\x01abcde"),
    "a damaged extra field": with_first(extra=b"FB\xff\x00Z"),
    "one name twice": b.zipped(*CLEAN_ENTRIES, Entry("archive/data.pkl", pickled(RUN))),
    "one name in two cases": b.zipped(*CLEAN_ENTRIES, Entry("archive/DATA.PKL", pickled(RUN))),
    "a path out": b.zipped(*CLEAN_ENTRIES, Entry("archive/../x", b"x")),
    "a path with backslashes": b.zipped(*CLEAN_ENTRIES, Entry("archive\\x", b"x")),
    "an absolute path": b.zipped(*CLEAN_ENTRIES, Entry("/archive/x", b"x")),
    "a member of 2^40 bytes": with_first(size=2**32 - 1),
}


@pytest.mark.parametrize("case", AMBIGUOUS_ZIPS)
def test_a_zip_that_two_programs_could_read_differently_is_refused(case: str) -> None:
    assert found_by_scan(AMBIGUOUS_ZIPS[case]) == "ambiguous zip"


EVASIONS = {
    "bytes before the zip": ("damaged pickle file", b.checkpoint(before=b"\x80\x02.")),
    "a pickle before a zip": ("unsafe pickle", pickled(RUN) + b.checkpoint()),
    "two roots": ("zip archive", b.zipped(*CLEAN_ENTRIES, Entry("other/data.pkl", pickled(RUN)))),
    "an evil pickle beside": ("unknown content", b.zipped(*CLEAN_ENTRIES, EVIL_PICKLE)),
    "a clean pickle beside": ("unknown content", b.zipped(*CLEAN_ENTRIES, Entry("archive/data/2", pickled(b"}")))),
    "a pickle as version": ("unknown content", b.zipped(*CLEAN_ENTRIES[:4], Entry("archive/version", pickled(RUN)))),
    "a pickle as tensor": ("unsafe pickle", hidden_in_a_tensor()),
    "a member of another kind": ("unknown content", b.zipped(*CLEAN_ENTRIES, Entry("archive/readme.py", b"import os"))),
    "TorchScript": (
        "torchscript program",
        b.zipped(*CLEAN_ENTRIES, Entry("archive/code/a.py", b"1")),
    ),
    "constants": ("torchscript program", b.zipped(*CLEAN_ENTRIES, Entry("archive/constants.pkl", pickled(b")")))),
    "an exported program": ("exported program", b.zipped(*CLEAN_ENTRIES, Entry("archive/models/model.json", b"{}"))),
    "no data.pkl": ("zip archive", b.zipped(Entry("archive/version", b"3\n"))),
    "no members": ("zip archive", b.zipped()),
    "an ordinary zip": ("zip archive", b.zipped(Entry("model.safetensors", b.named_tensors("a")))),
    "missing bytes of a tensor": ("truncated file", b.zipped(*CLEAN_ENTRIES[:3], CLEAN_ENTRIES[4])),
    "too few bytes of a tensor": (
        "truncated file",
        b.zipped(Entry("a/data.pkl", RAW), Entry("a/data/0", b"x")),
    ),
    "bytes behind data.pkl's end": ("unsafe pickle", b.zipped(Entry("a/data.pkl", pickled(b"}") + pickled(RUN)))),
    "a second pickle behind the first": ("unsafe pickle", pickled(b"}") + pickled(b"}")),
    "bytes behind a stream": ("unsafe pickle", b.old_checkpoint(tail=b"x")),
    "a stream cut short": ("truncated file", b.old_checkpoint()[:-1]),
    "a stream of another magic": ("unsafe pickle", b.old_checkpoint(magic=0x1950A86A20F9469CFC6D)),
    "tensors without their bytes": ("unsafe pickle", pickled(table(w=b.tensor("0", 4)))),
    "protocol 0": ("unknown content", b"cos\nsystem\n(S'exit 1'\ntR."),
    "protocol 1": ("unusual pickle", b"\x80\x01}."),
    "protocol 6": ("unknown content", b"\x80\x06}."),
    "a cut pickle": ("damaged pickle file", pickled(table(a=b.number(1)))[:-1]),
    "7z": ("unknown content", b"7z\xbc\xaf\x27\x1c" + pickled(RUN)),
    "a tar": ("torch tar archive", a_tar()),
    "JSON": ("unknown content", json.dumps({"a": 1}).encode()),
    "a wrong extension": ("unknown content", b.named_tensors("a")),
    "nothing": ("unknown content", b""),
}


@pytest.mark.parametrize("case", EVASIONS)
def test_an_evasion_is_never_clean(case: str) -> None:
    found, content = EVASIONS[case]
    assert found_by_scan(content) == found


@pytest.mark.parametrize("case", ["TorchScript", "a pickle as tensor", "an ordinary zip", "a tar"])
def test_the_cage_says_the_same(case: str) -> None:
    found, content = EVASIONS[case]
    assert found_in(content, "model.pt2") == found


def test_every_cut_is_noticed() -> None:
    for whole in (b.checkpoint(), b.old_checkpoint(), pickled(table(w=b.number(1)))):
        assert found_by_scan(whole) == "accepted"
        assert "accepted" not in {found_by_scan(whole[:length]) for length in range(len(whole))}


def test_numbers_that_begin_like_a_pickle_are_numbers() -> None:
    entries = b.checkpoint_entries(table(w=b.tensor("0", 4), v=b.tensor("1", 2, kind="HalfStorage")))
    entries[2] = Entry("archive/data/0", b"\x80\x02" + struct.pack("<3f", 1.0, 2.0, 3.0) + b"\x7f\x3f")
    assert found_in(b.zipped(*entries), "model.ckpt") == "accepted"


class Canary:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_canary_never_fires(tmp_path: Path, protocol: int) -> None:
    canary = tmp_path / "fired"
    raw = pickle.dumps({"weight": Canary(canary)}, protocol)
    for content in (raw, b.zipped(Entry("archive/data.pkl", raw)), b.checkpoint() + raw, raw + b.checkpoint()):
        assert found_by_scan(content) != "accepted"
        assert found_in(content, "model.ckpt", "block") != "accepted"
    assert found_in(raw, "model.pkl", "scan") != "accepted"
    assert not canary.exists()
    pickle.loads(raw)
    assert canary.exists(), "the canary itself works"
