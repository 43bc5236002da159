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
        if any(end.is_relative_to(folder) for folder in self._inside):
            return None
        return f'is a link that leaves the folder, to "{end}"'


def _find_blobs(root: Path) -> list[Path]:
    """Return the folder to which the files of a snapshot of huggingface_hub's cache are links, if it is one."""
    for folder in (root, *root.parents):
        blobs = folder.parent / "blobs"
        if folder.name == "snapshots" and folder.parent.name.startswith("models--") and not blobs.is_symlink():
            return [blobs]
    return []
