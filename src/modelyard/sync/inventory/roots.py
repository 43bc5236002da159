"""Roots as a scan finds them on disk, and the choice of the root for a new model."""

import os
from dataclasses import dataclass
from pathlib import Path

from modelyard.sync.desired import DesiredModel

# Holds partial files and the trash. ComfyUI lists nothing that is beside its type folders.
WORK_FOLDER = ".modelyard"


@dataclass(frozen=True)
class RootOnDisk:
    """A root at the time of a scan. No path component below it may be a link when a file is written."""

    key: str
    configured_path: Path  # as ComfyUI is configured
    path: Path  # with all links resolved
    work_folder: Path  # partial files and trash, on the root's own file system where that is possible
    device: int
    inode: int  # 0: it does not exist yet, and may be created since its models folder exists
    problem: str | None = None  # why nothing is written there, in a sentence
    is_listed: bool = True  # its files are known

    def contains(self, path: Path | str) -> bool:
        """Return whether the path lies in this root; so does the root's own path with a trailing separator."""
        # Called for each file and root: ``is_relative_to`` takes ten times as long.
        return str(path).startswith(f"{self.path}{os.sep}")


def choose_root(roots: tuple[RootOnDisk, ...], desired: DesiredModel) -> RootOnDisk | None:
    """Return which of ``roots``, those of the model's key, a new model is placed in; None without roots.

    ComfyUI's own downloads go to the first root of the key, which the operator made the default. If several folders of
    the key are siblings there (``unet``, ``diffusion_models``), the model's path chooses among them.
    """
    if not roots:
        return None
    siblings = [root for root in roots if root.configured_path.parent == roots[0].configured_path.parent]
    return next((root for root in siblings if root.configured_path.name == desired.folder), roots[0])
