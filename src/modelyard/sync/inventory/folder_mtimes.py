"""Modification times of the folders below the roots, to notice files added or removed by hand without a scan."""

import os
from collections.abc import Mapping
from pathlib import Path


class FolderMtimes:
    """The modification time of each folder as of the last scan, taken before the folder was listed.

    Adding, renaming or removing a file changes the time of its folder; writing to a file does not. Unlike inotify, this
    works on network mounts and costs one ``stat`` per folder (docs/decisions/0030).
    """

    def __init__(self) -> None:
        self._recorded: Mapping[Path, int | None] = {}

    def record(self, mtimes: Mapping[Path, int | None]) -> None:
        """Replace the recorded folders, in memory, by those of a scan; None stands for a root that did not exist."""
        self._recorded = mtimes

    def has_changed(self) -> bool:
        """Return whether a recorded folder changed, appeared or disappeared since the last scan, if any; blocking."""
        return any(get_folder_mtime(folder) != mtime for folder, mtime in self._recorded.items())


def get_folder_mtime(folder: Path) -> int | None:
    """Return a folder's modification time in nanoseconds, or None if it cannot be read."""
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - asked for hundreds of folders
    except OSError:
        return None
