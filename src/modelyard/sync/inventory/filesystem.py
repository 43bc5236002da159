"""Inspect roots and file systems: resolved links, write access, free space and reflink support."""

import os
import shutil
import stat
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from modelyard.comfyui.layout import CODE_FOLDER, Install, Root
from modelyard.comfyui.quoting import quoted
from modelyard.sync.inventory.roots import WORK_FOLDER, RootOnDisk

# FICLONE of linux/fs.h, _IOW(0x94, 9, int): two files share blocks until one of them is written.
_FICLONE = 0x40049409


@dataclass(frozen=True)
class FilesystemSpace:
    """The space of one file system in bytes.

    ``trash_bytes`` are those of files in the trash, which are deleted when space is needed. ``supports_reflinks``: two
    files can share the same blocks, and writing to one does not change the other. A scan sets these two.
    """

    folder: Path
    total_bytes: int
    free_bytes: int
    trash_bytes: int = 0
    supports_reflinks: bool = False


def inspect_root(root: Root, install: Install) -> RootOnDisk:
    """Return the root with all links resolved. Blocking.

    Does not raise: what prevents writing there becomes the root's ``problem``.
    """
    path = Path(os.path.realpath(root.path))
    status = _get_folder_status(path)
    if isinstance(status, str):
        return RootOnDisk(root.key, root.path, path, path / WORK_FOLDER, 0, 0, status, is_listed=False)
    if status is None:
        return _build_missing_root(root, install, path)
    work_folder = _choose_work_folder(path, status.st_dev, install)
    return RootOnDisk(
        root.key,
        root.path,
        path,
        work_folder,
        status.st_dev,
        status.st_ino,
        _get_code_problem(path) or _get_write_problem(path),
    )


def get_filesystem_space(path: Path) -> FilesystemSpace | None:
    """Return the total and free bytes of the file system that a folder is on, or will be on once created. Blocking.

    None if the file system cannot be read. Trash and reflinks are not examined.
    """
    for folder in (path, *path.parents):
        try:
            usage = shutil.disk_usage(folder)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return FilesystemSpace(folder, usage.total, usage.free)
    return None


def clone_blocks(original: int, descriptor: int) -> bool:
    """Reflink the open file ``original`` into an open, empty one; return False on any error, such as no support.

    Linux only.
    """
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # the error code depends on the file system; a real fault shows when copying
            fcntl.ioctl(descriptor, _FICLONE, original)
            return True
    return False


@cache
def detect_reflinks(folder: Path, device: int) -> bool:  # noqa: ARG001 - a part of the cache key: another disk may be mounted there
    """Return whether the file system of a folder supports reflinks, tested with two unnamed temporary files. On Linux.

    False also if they cannot be created. The result is cached until the process ends.
    """
    if sys.platform == "linux":
        with ExitStack() as stack, suppress(OSError):
            first, second = (os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600) for _ in range(2))
            for descriptor in (first, second):
                stack.callback(os.close, descriptor)
            return os.write(first, b"\0" * 4096) == 4096 and clone_blocks(first, second)
    return False


def _build_missing_root(root: Root, install: Install, path: Path) -> RootOnDisk:
    """Return a root that does not exist: below ComfyUI's models folder it may be created, elsewhere it is a problem."""
    models = install.models and Path(os.path.realpath(install.models))
    status = _get_folder_status(models) if models is not None else None
    if models is None or not path.is_relative_to(models) or not isinstance(status, os.stat_result):
        reason = f"The folder {quoted(root.path)} does not exist. Create it, or mount its disk."
        return RootOnDisk(root.key, root.path, path, path / WORK_FOLDER, 0, 0, reason, is_listed=False)
    return RootOnDisk(
        root.key,
        root.path,
        path,
        models / WORK_FOLDER,
        status.st_dev,
        0,
        _get_code_problem(path) or _get_write_problem(models),
    )


def _choose_work_folder(path: Path, device: int, install: Install) -> Path:
    """Return the work folder: in the models folder if that is on the same device, else in the root.

    ComfyUI lists nothing that is in the models folder beside the type folders.
    """
    if install.models is not None:
        models = Path(os.path.realpath(install.models))
        status = _get_folder_status(models)
        if isinstance(status, os.stat_result) and status.st_dev == device:
            return models / WORK_FOLDER
    return path / WORK_FOLDER


def _get_folder_status(path: Path) -> os.stat_result | str | None:
    """Return the status of a folder, a sentence if it is not usable, or None if it is missing."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as failure:
        return f"The folder {quoted(path)} cannot be opened: {failure.strerror}. Check its disk and its permissions."
    return status if stat.S_ISDIR(status.st_mode) else f"{quoted(path)} is not a folder. Put a folder there."


def _get_code_problem(path: Path) -> str | None:
    """Return a problem if files in the folder could be executed: it is, is in, or contains ``custom_nodes``."""
    if any(part.casefold() == CODE_FOLDER for part in path.parts) or (path / CODE_FOLDER).is_dir():
        return (
            f"{quoted(path)} contains code of custom nodes, so models are not placed there. Configure another folder."
        )
    return None


def _get_write_problem(path: Path) -> str | None:
    """Return why this user cannot create files in a folder, as a sentence; None if they can."""
    if os.access(path, os.W_OK | os.X_OK):
        return None
    if is_read_only(path):
        return f"The file system of {quoted(path)} is mounted read-only. Mount it for writing."
    return f"The folder {quoted(path)} is not writable for this user. Change its owner or its mode."


def is_read_only(path: Path) -> bool:
    """Return whether the file system of a folder, which exists, is mounted read-only."""
    return sys.platform != "win32" and bool(os.statvfs(path).f_flag & os.ST_RDONLY)
