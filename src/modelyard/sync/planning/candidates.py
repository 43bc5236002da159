"""Find local sources of needed content, and account for disk space while a plan is made."""

from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

from modelyard.sync.inventory.inventory import Inventory
from modelyard.sync.planning import blockers
from modelyard.sync.planning.actions import Source
from modelyard.sync.planning.ownership import Ownership, count_owned_bytes
from modelyard.sync.planning.resolution import Need

# A user's file must be unchanged for this long before it is hard-linked: training overwrites its last result.
_UNCHANGED_BEFORE_LINK = timedelta(hours=1)


class SourceCandidates:
    """The files of this machine by hash, including those that the plan is about to create.

    ``replaced_paths``: paths whose content the plan replaces, which are no sources. Without ``latest_linkable_mtime``
    nothing may be hard-linked; with it, the agent's own files may be, and the user's files that are older than it.
    """

    def __init__(
        self,
        inventory: Inventory,
        ownership: Ownership,
        replaced_paths: set[Path],
        latest_linkable_mtime: datetime | None = None,
    ) -> None:
        self._spaces = inventory.spaces
        self._are_links_allowed = latest_linkable_mtime is not None
        self._sources: dict[str, list[tuple[int, Source]]] = defaultdict(list)
        for path, file in sorted(inventory.files.items()):
            if file.is_regular_file and file.sha256 is not None and path == file.path and path not in replaced_paths:
                is_own = path in ownership.owned
                may_link = latest_linkable_mtime is not None and (
                    is_own or file.mtime_ns / 1e9 < latest_linkable_mtime.timestamp()
                )
                source = Source(path, "ours" if is_own else "user", may_link)
                self._sources[file.sha256].append((file.device, source))
        for (device, sha256), path in sorted(inventory.trash_files.items()):
            self._sources[sha256].append((device, Source(path, "trash")))

    def find_source(self, need: Need) -> Source | None:
        """Return the preferred source of the needed content, or None if there is none.

        Preferred is the target's device, then a source that may be hard-linked, then the kind: the agent's own, the
        user's, the trash, planned. The file at the target and trash on another device are no sources.
        """
        device = need.target.root.device
        possible = [
            (source_device != device, not source.is_link_allowed, _KIND_ORDER.index(source.kind), position, source)
            for position, (source_device, source) in enumerate(self._sources[need.desired.sha256])
            if source.path != need.target.path and (source.kind != "trash" or source_device == device)
        ]
        return min(possible, key=lambda candidate: candidate[:-1])[-1] if possible else None

    def needs_no_space(self, source: Source, need: Need) -> bool:
        """Return whether a reflink or hard link to the source is possible, which takes no disk space.

        False for the trash, for which ``SpaceBudget.reserve`` accounts.
        """
        device = need.target.root.device
        is_on_device = (device, source) in self._sources[need.desired.sha256]
        space = self._spaces.get(device)
        is_shared = source.is_link_allowed or (space is not None and space.supports_reflinks)
        return is_shared and source.kind != "trash" and is_on_device

    def record_use(self, source: Source | None, need: Need) -> None:
        """Record that the plan places the content at the need's target, from ``source`` or by a download.

        Later needs may use it as a source, and a file in the trash is used only once.
        """
        device = need.target.root.device
        sources = self._sources[need.desired.sha256]
        if source is not None and source.kind == "trash":
            sources.remove((device, source))
        sources.append((device, Source(need.target.path, "planned", is_link_allowed=self._are_links_allowed)))


_KIND_ORDER = ("ours", "user", "trash", "planned")


def get_latest_linkable_mtime(now: datetime) -> datetime:
    """Return the latest modification time with which a user's file may be hard-linked: an hour before ``now``.

    A hard link is the same file under two names: a program that writes to one in place changes both. The agent never
    does; a training that resumes may, even after days. So the operator has to allow hard links (docs/decisions/0029),
    and even then a file that was written just now is copied.
    """
    return now - _UNCHANGED_BEFORE_LINK


class SpaceBudget:
    """The remaining space of each file system and of the disk budget while a plan is made."""

    def __init__(self, inventory: Inventory, ownership: Ownership, keep_free: int, budget: int | None) -> None:
        self._inventory = inventory
        self._keep_free = keep_free
        self._budget = budget
        self._used_bytes = count_owned_bytes(ownership, inventory)
        # Files in the trash are deleted when space is needed.
        self._left_bytes = {
            device: space.free_bytes + space.trash_bytes - keep_free for device, space in inventory.spaces.items()
        }

    def reserve(self, need: Need, source: Source | None) -> str | None:
        """Reserve space for a need and return None, or reserve nothing and return why it does not fit, as a sentence.

        Installs on one disk share its space. A replaced file frees its size in the disk budget only. A file system of
        unknown space has no limit.
        """
        device, size = need.target.root.device, need.desired.size
        present = self._count_present_bytes(need, source)
        space = self._inventory.spaces.get(device)
        if space is not None and size > space.total_bytes - self._keep_free:
            return blockers.describe_too_small_disk(need.desired, space.total_bytes, self._keep_free, space.folder)
        if space is not None and size - present > max(self._left_bytes[device], 0):
            left = self._left_bytes[device] + self._keep_free
            return blockers.describe_full_disk(need.desired, size - present, left, self._keep_free, space.folder)
        used = self._used_bytes - (need.old_placement.size if need.old_placement is not None else 0)
        if self._budget is not None and used + size > self._budget:
            return blockers.describe_exceeded_budget(need.desired, used, self._budget)
        self._used_bytes = used + size
        # A file restored from the trash was counted as free space, and no longer is.
        taken = size if source is not None and source.kind == "trash" else size - present
        self._left_bytes[device] = self._left_bytes.get(device, 0) - taken
        return None

    def _count_present_bytes(self, need: Need, source: Source | None) -> int:
        """Return how many bytes of the model are on the target's device: in a partial file or the trash."""
        if source is None:
            partial = self._inventory.partial_downloads.get((need.target.root.device, need.desired.sha256), 0)
            return min(partial, need.desired.size)
        if source.kind == "trash":
            return need.desired.size
        return min(
            self._inventory.partial_copies.get((need.target.root.device, need.desired.sha256), 0), need.desired.size
        )
