"""Symbolic links in a folder that is pushed: which of them are followed."""

import os
from pathlib import Path


class FolderLinks:
    """Decides which links in a folder are followed: those that end inside of it. The folder itself may be a link.

    huggingface_hub has the contents of a repository in ``models--<name>/blobs``, to which the files in
    ``models--<name>/snapshots/<commit>`` are links. A folder of such a snapshot includes them.
    """

    def __init__(self, folder: Path) -> None:
        """Resolve the folder. Blocking."""
        root = Path(os.path.realpath(folder))
        self._inside = [root, *_find_blobs(root)]

    def find_problem(self, path: Path) -> str | None:
        """Return why a path in the folder is not followed, as what it is; None if it may be read. Blocking.

        Each link on the way is resolved, and a folder too, since the junctions of Windows are no links by their type.
        """
        if not os.path.islink(path) and not os.path.isdir(path):  # noqa: PTH112, PTH114 - pathlib raises if a folder is closed
            return None
        try:
            end = Path(os.path.realpath(path, strict=True))
        except FileNotFoundError:
            return "is a link that leads to nothing"
        except OSError as failure:
            return f"is a link that cannot be followed ({failure.strerror})"
        return None if self._is_inside(end) else f'is a link that leaves the folder, to "{end}"'

    def find_status(self, path: Path) -> os.stat_result | None:
        """Return the status of the file to which a path in the folder leads; None if it is outside. Blocking.

        A file with another identity than this status has may be another one: a link may be changed after the check.

        Raises:
            OSError: nothing is there, or it cannot be read.
        """
        end = Path(os.path.realpath(path, strict=True))
        # Not followed again: it may be a link by now.
        return end.lstat() if self._is_inside(end) else None

    def _is_inside(self, end: Path) -> bool:
        """Return whether a resolved path is in the folder."""
        return any(end.is_relative_to(folder) for folder in self._inside)


def _find_blobs(root: Path) -> list[Path]:
    """Return the folder to which the files of a snapshot of huggingface_hub's cache are links, if it is one."""
    for folder in (root, *root.parents):
        blobs = folder.parent / "blobs"
        if folder.name == "snapshots" and folder.parent.name.startswith("models--") and not blobs.is_symlink():
            return [blobs]
    return []
