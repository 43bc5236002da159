"""Inspection of files around pickles: those that programs read differently, or that are not what they seem."""

import io
import json
import struct
import tarfile
import zipfile
from typing import Any

import pytest

from modelyard.server.inspection.pickle_scanner.allowed import DTYPES, UNTYPED_DTYPES
from tests.server.inspection import builders
from tests.server.inspection.builders import (
    ZipEntry,
    build_pickle,
    get_outcome,
    get_scan_outcome,
    table,
)
from tests.server.inspection.pickle_files import (
    RAW,
    RUN_COMMAND,
    TENSOR,
    build_entries,
    build_zip_of_another_writer,
    save_value,
)
from tests.server.inspection.pickle_parts import place_storage, view_all_as

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


@pytest.mark.parametrize("remainder", [0, 1, 4, 8, 15, 16, 24, 32, 63])
def test_scan_storage_at_any_position_is_refused_only_for_unaligned_complex128(remainder: int) -> None:
    """With ``mmap=True`` torch computes in the file, and crashes on complex128 at positions that 16 does not divide."""
    outcomes = {
        name: get_scan_outcome(place_storage(view_all_as(name), remainder))
        for name in (dtype.removeprefix("torch.") for dtype in (*DTYPES, *UNTYPED_DTYPES))
        if not name.startswith("q")
    }
    expected = {"complex128": "unaligned tensors"} if remainder % 16 else {}
    assert {name: outcome for name, outcome in outcomes.items() if outcome != "accepted"} == expected


def test_inspect_torchscript_file_is_refused_unless_allowed() -> None:
    _, content = REFUSED_FILES["TorchScript"]
    outcomes = {rule: get_outcome(content, "sam.jit", rule) for rule in ("block", "scan", "convert", "allow")}
    refused = "torchscript program"
    assert outcomes == {"block": "pickle file", "scan": refused, "convert": refused, "allow": "accepted"}


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
