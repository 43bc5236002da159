"""What a scan finds on a machine's disks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.sync.inventory.filesystem import FilesystemSpace
from modelyard.sync.inventory.listing import FolderEntry
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.sync.inventory.roots import RootOnDisk


@dataclass(frozen=True)
class Inventory:
    """What is on this machine's disks. Paths are absolute and contain no link up to the root.

    ``installs``: the roots of each, in its order. ``files``: by the path at which each was found. ``spaces``: by
    device; the other mappings by device and hash, with the bytes on disk of unfinished downloads and copies.
    ``recent_removals``: within the last hour, see ``PlacementJournal.list_recent_removals``.
    """

    installs: tuple[tuple[RootOnDisk, ...], ...] = ()
    files: Mapping[Path, FolderEntry] = field(default_factory=dict)
    placements: tuple[Placement, ...] = ()
    spaces: Mapping[int, FilesystemSpace] = field(default_factory=dict)
    trash_files: Mapping[tuple[int, str], Path] = field(default_factory=dict)
    partial_downloads: Mapping[tuple[int, str], int] = field(default_factory=dict)
    recent_removals: frozenset[Path] = frozenset()
    partial_copies: Mapping[tuple[int, str], int] = field(default_factory=dict)
