"""Tests of the names and paths that a disk takes, and of its free space."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from modelyard.agent.doctor.findings import Finding
from modelyard.comfyui.quoting import in_bytes
from modelyard.sync.apply.files.dir_handles import open_folder
from modelyard.sync.inventory.filesystem import get_filesystem_space
from modelyard.transfer.portable.files import write_at
from modelyard.wire.paths import MAX_PATH_BYTES, MAX_SEGMENT_BYTES


def check_long_path(folder: Path) -> Iterator[Finding]:
    """Test writing and reading a file at the longest path that a model may have; yield the finding."""
    parts = ["d" * MAX_SEGMENT_BYTES] * (MAX_PATH_BYTES // (MAX_SEGMENT_BYTES + 1))
    name = "f" * (MAX_PATH_BYTES - len("/".join(parts)) - 1)
    path = folder.joinpath(*parts, name)
    try:
        _write_below(folder, parts, name, b"long")
        content = path.read_bytes()
    except OSError as failure:
        sentence = f"A file cannot be written and read at a path of {len(str(path))} characters: {failure.strerror}."
        enable = "Allow long paths in Windows (LongPathsEnabled), or use" if sys.platform == "win32" else "Use"
        yield Finding("problem", "long paths", sentence, f"{enable} a models folder with a shorter path.")
        return
    if content == b"long":
        yield Finding("ok", "long paths", f"A path of {len(str(path))} characters can be written and read.")
    else:
        yield Finding("problem", "long paths", "A file at a long path has other content than was written.")


def check_case(folder: Path) -> Iterator[Finding]:
    """Test whether two names that differ in case only are one file, and yield that as a finding; both are fine.

    The registry refuses such pairs.
    """
    (folder / "Name").touch()
    if (folder / "name").exists():
        yield Finding("ok", "case", "Names that differ in case only are one file; the registry refuses such pairs.")
    else:
        yield Finding("ok", "case", "Names that differ in case only are two files.")


def check_disk_space(folder: Path) -> Iterator[Finding]:
    """Read the free space of the disk, without which no download begins."""
    space = get_filesystem_space(folder)
    if space is None or not 0 < space.free_bytes <= space.total_bytes:
        yield Finding("problem", "space", "The free space of the disk cannot be read, or there is none.")
    else:
        sentence = f"The disk has {in_bytes(space.free_bytes)} of {in_bytes(space.total_bytes)} free."
        yield Finding("ok", "space", sentence)


def _write_below(folder: Path, parts: list[str], name: str, content: bytes) -> None:
    """Write a file below a folder with the functions that place models; missing folders are created."""
    with ExitStack() as stack:
        opened = stack.enter_context(open_folder(folder))
        for part in parts:
            opened = stack.enter_context(opened.open_subfolder(part, make=True))
        descriptor = opened.create_file(name)
        stack.callback(os.close, descriptor)
        write_at(descriptor, content, 0)
