"""A root as it is on the disk now: where its links lead, whether it may be written, how much room there is."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from modelyard.client.sync.holding.roots import CODE_FOLDER, WORK_FOLDER, Install, Root, RootOnDisk
from modelyard.client.sync.wording import quoted


@dataclass(frozen=True)
class Space:
    """A file system: bytes in all, bytes that are free for us, and bytes in the trash, which go when room is needed."""

    folder: Path
    total: int
    free: int
    trash: int = 0


def look_at(root: Root, install: Install) -> RootOnDisk:
    """The root with its links resolved; what stands against writing there is said, never raised. Blocking."""
    path = Path(os.path.realpath(root.path))
    status = _folder_status(path)
    if isinstance(status, str):
        return RootOnDisk(root.key, root.path, path, path / WORK_FOLDER, 0, 0, status, is_listed=False)
    if status is None:
        return _absent(root, install, path)
    work = _work_folder(path, status.st_dev, install)
    return RootOnDisk(root.key, root.path, path, work, status.st_dev, status.st_ino, _code(path) or _shut(path))


def space_at(path: Path) -> Space | None:
    """The file system that a folder is on, or will be on once it is made. Blocking."""
    for folder in (path, *path.parents):
        try:
            status = os.statvfs(folder)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return Space(folder, status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)
    return None


def _absent(root: Root, install: Install, path: Path) -> RootOnDisk:
    """A root that is not there: ComfyUI's own type folders are made when they are needed, others hide a fault."""
    models = install.models and Path(os.path.realpath(install.models))
    status = _folder_status(models) if models is not None else None
    if models is None or not path.is_relative_to(models) or not isinstance(status, os.stat_result):
        reason = f"The folder {quoted(root.path)} is not there. Make it, or mount its disk."
        return RootOnDisk(root.key, root.path, path, path / WORK_FOLDER, 0, 0, reason, is_listed=False)
    return RootOnDisk(root.key, root.path, path, models / WORK_FOLDER, status.st_dev, 0, _code(path) or _shut(models))


def _work_folder(path: Path, device: int, install: Install) -> Path:
    """Beside the type folders, where nothing is listed; in the root itself if that is on another file system."""
    if install.models is not None:
        models = Path(os.path.realpath(install.models))
        status = _folder_status(models)
        if isinstance(status, os.stat_result) and status.st_dev == device:
            return models / WORK_FOLDER
    return path / WORK_FOLDER


def _folder_status(path: Path) -> os.stat_result | str | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as failure:
        return f"The folder {quoted(path)} cannot be opened: {failure.strerror}."
    return status if stat.S_ISDIR(status.st_mode) else f"{quoted(path)} is no folder."


def _code(path: Path) -> str | None:
    """Whether files there could run: a custom node's own folder, or one that has them all below it."""
    if any(part.casefold() == CODE_FOLDER for part in path.parts) or (path / CODE_FOLDER).is_dir():
        return f"{quoted(path)} holds code of custom nodes; models are not placed there."
    return None


def _shut(path: Path) -> str | None:
    if os.access(path, os.W_OK | os.X_OK):
        return None
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"The file system of {quoted(path)} is mounted read-only. Mount it for writing."
    return f"The folder {quoted(path)} may not be written by this user. Change its owner or its mode."
