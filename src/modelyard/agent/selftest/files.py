"""Tests of how files are renamed, replaced and opened, with the functions that place models."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from modelyard.agent.doctor.findings import Finding
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.files.dir_handles import OpenFolder, open_folder
from modelyard.sync.apply.files.rename import ExchangeUnsupported, exchange_names, rename_without_replacing
from modelyard.transfer.portable.files import set_mtime, write_at

# 2024-01-02 03:04:05 UTC, with all digits that file systems store.
_MTIME_NS = 1_704_164_645_123_456_789
# FAT stores even seconds.
_COARSEST_MTIME_NS = 2 * 10**9


def check_rename(folder: Path) -> Iterator[Finding]:
    """Test renaming to a taken name, which must be refused, to a free one, and over another; yield the finding."""
    with open_folder(folder) as opened:
        _create_files(opened, "old", "new")
        try:
            rename_without_replacing(opened, "new", opened, "old")
        except FileExistsError:
            is_refused = _read_files(folder) == {"old": b"old", "new": b"new"}
        else:
            is_refused = False
        rename_without_replacing(opened, "new" if is_refused else "old", opened, "moved")
        _create_files(opened, "other")
        opened.replace_file("moved", opened, "other")
    if not is_refused:
        yield Finding("problem", "rename", "Renaming a file replaces another that has the name already.")
    elif _read_files(folder) != {"old": b"old", "other": b"new"}:
        yield Finding("problem", "rename", "After renaming files, their names or contents are wrong.")
    else:
        yield Finding("ok", "rename", "Renaming replaces a file only if asked to, and then in one step.")


def check_exchange(folder: Path) -> Iterator[Finding]:
    """Test whether two files exchange names in one step, and yield the finding.

    Two files are left in the folder.
    """
    with open_folder(folder) as opened:
        _create_files(opened, "one", "two")
        try:
            exchange_names(opened, "one", opened, "two")
        except ExchangeUnsupported:
            sentence = (
                "Two files cannot exchange names in one step here. When a model is replaced, its name is missing for a"
                " moment; the old file is in the trash then."
            )
            yield Finding("warning", "exchange", sentence)
            return
    if _read_files(folder) == {"one": b"two", "two": b"one"}:
        yield Finding("ok", "exchange", "Two files exchange names in one step: a model is replaced without a gap.")
    else:
        yield Finding("problem", "exchange", "Two files that exchanged names do not have each other's content.")


def check_open_file(folder: Path) -> Iterator[Finding]:
    """Test replacing a file that is open and mapped into memory, as a model that ComfyUI loads; yield the finding."""
    path = folder / "model"
    with open_folder(folder) as opened:
        _create_files(opened, "model", "new")
        with path.open("rb") as reader, mmap.mmap(reader.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            try:
                rename_without_replacing(opened, "model", opened, "trash")
                rename_without_replacing(opened, "new", opened, "model")
                is_replaced = True
            except PermissionError:
                is_replaced = False
            is_intact = mapped[:] == b"model"
    expected = {"model": b"new", "trash": b"model"} if is_replaced else {"model": b"model", "new": b"new"}
    if not is_intact or _read_files(folder) != expected:
        yield Finding("problem", "open files", "Replacing an open file changes what its reader sees, or loses it.")
    elif is_replaced:
        yield Finding("ok", "open files", "A file that is open can be replaced, and its reader keeps the old content.")
    else:
        sentence = "A file that is open cannot be replaced: a model that ComfyUI has open waits. Nothing is lost."
        yield Finding("warning", "open files", sentence)


def check_time(folder: Path) -> Iterator[Finding]:
    """Test setting the modification time of an open file, by which ComfyUI recognises a change; yield the finding."""
    with open_folder(folder) as opened:
        descriptor = opened.create_file("model")
        try:
            set_mtime(descriptor, _MTIME_NS)
        finally:
            os.close(descriptor)
    difference = abs((folder / "model").stat().st_mtime_ns - _MTIME_NS)
    if difference > _COARSEST_MTIME_NS:
        yield Finding("problem", "times", f"A modification time that was set is {difference / 10**9:.1f} s off.")
    else:
        yield Finding("ok", "times", f"Modification times are kept, to {difference} ns.")


def check_link(folder: Path) -> Iterator[Finding]:
    """Test that a link to a folder is not opened, so that nothing is written through it; yield the finding."""
    (folder / "target").mkdir()
    try:
        (folder / "link").symlink_to(folder / "target", target_is_directory=True)
    except OSError:
        yield Finding("ok", "links", "This user cannot create links here.")
        return
    with open_folder(folder) as opened:
        try:
            opened.open_subfolder("link").__exit__(None, None, None)
        except NotPlaced:
            yield Finding("ok", "links", "Nothing is written through a link below a models folder.")
        else:
            yield Finding("problem", "links", "A link below a models folder is followed.")


def _create_files(folder: OpenFolder, *names: str) -> None:
    """Create files that contain their own names."""
    for name in names:
        descriptor = folder.create_file(name)
        try:
            write_at(descriptor, name.encode(), 0)
        finally:
            os.close(descriptor)


def _read_files(folder: Path) -> dict[str, bytes]:
    """Return the contents of the files in a folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
