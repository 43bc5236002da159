"""Where the bytes of a needed model come from, and whether there is room for them."""

from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

from modelyard.client.sync.holding.holdings import Holdings
from modelyard.client.sync.holding.listing import Held
from modelyard.client.sync.planning import refusals
from modelyard.client.sync.planning.actions import Source
from modelyard.client.sync.planning.ownership import Ownership, own_bytes
from modelyard.client.sync.planning.resolving import Need

# How long a user's file must have rested before it is linked to: programs that train write over their last result.
_RESTED = timedelta(hours=1)


class Supply:
    """The bytes on this machine, by hash; what the plan is about to make is added as it goes on.

    ``leaving``: paths whose bytes the plan replaces, so that they are no source. ``now`` is this machine's time.
    """

    def __init__(self, held: Holdings, ownership: Ownership, leaving: set[Path], now: datetime) -> None:
        self._sources: dict[str, list[tuple[int, Source]]] = defaultdict(list)
        for path, file in sorted(held.files.items()):
            if file.is_plain and file.sha256 is not None and path == file.path and path not in leaving:
                is_own = path in ownership.own
                source = Source(path, "ours" if is_own else "user", may_link=is_own or may_be_linked(file, now))
                self._sources[file.sha256].append((file.device, source))
        for (device, sha256), path in sorted(held.trash.items()):
            self._sources[sha256].append((device, Source(path, "trash")))

    def source(self, need: Need) -> Source | None:
        """The cheapest source: one that needs no room before one that is copied. None: the bytes are not here."""
        device = need.target.root.device
        possible = [
            (found_on != device, not source.may_link, _ORDER.index(source.kind), place, source)
            for place, (found_on, source) in enumerate(self._sources[need.wanted.sha256])
            if source.path != need.target.path and (source.kind != "trash" or found_on == device)
        ]
        return min(possible, key=lambda known: known[:-1])[-1] if possible else None

    def is_linked(self, source: Source, need: Need) -> bool:
        """Whether the bytes come without taking any room."""
        is_here = (need.target.root.device, source) in self._sources[need.wanted.sha256]
        return source.may_link and source.kind != "trash" and is_here

    def use(self, source: Source | None, need: Need) -> None:
        """The plan brings the bytes to the target: later needs may link to it, and trash is used only once."""
        device = need.target.root.device
        known = self._sources[need.wanted.sha256]
        if source is not None and source.kind == "trash":
            known.remove((device, source))
        known.append((device, Source(need.target.path, "planned")))


_ORDER = ("ours", "user", "trash", "planned")


def may_be_linked(file: Held, now: datetime) -> bool:
    """Whether a hard link to a user's file is as good as a copy: once it has rested.

    A link shares the bytes, so a program that writes over the user's file *in place* would change the model too. The
    agent never writes in place. Of users' programs, only those do that still work on the file: training that saves
    over its last result, an interrupted copy. Later changes show in the next scan, as they do for files found in
    place.
    """
    return now.timestamp() - file.mtime_ns / 1e9 > _RESTED.total_seconds()


class Room:
    """What is left on each file system and of the budget, while a plan is made."""

    def __init__(self, held: Holdings, ownership: Ownership, keep_free: int, budget: int | None) -> None:
        self._held = held
        self._keep_free = keep_free
        self._budget = budget
        self._used = own_bytes(ownership, held)
        # What is in the trash is given up when room is needed.
        self._left = {device: space.free + space.trash - keep_free for device, space in held.spaces.items()}

    def refusal(self, need: Need, source: Source | None) -> str | None:
        """Why the bytes do not fit, in a sentence; otherwise they are counted. Two installs on one disk share it."""
        device, size = need.target.root.device, need.wanted.size
        there = self._there(need, source)
        space = self._held.spaces.get(device)
        if space is not None and size > space.total - self._keep_free:
            return refusals.too_large(size, space.total, space.folder)
        if space is not None and size - there > max(self._left[device], 0):
            left = self._left[device] + self._keep_free
            return refusals.no_room(size - there, left, self._keep_free, space.folder)
        used = self._used - (need.old.size if need.old is not None else 0)
        if self._budget is not None and used + size > self._budget:
            return refusals.over_budget(size, used, self._budget)
        self._used = used + size
        # What comes out of the trash was counted as room, and is none any more.
        taken = size if source is not None else size - there
        self._left[device] = self._left.get(device, 0) - taken
        return None

    def _there(self, need: Need, source: Source | None) -> int:
        """Bytes of the model that are on this file system already."""
        if source is None:
            partial = self._held.partial.get((need.target.root.device, need.wanted.sha256), 0)
            return min(partial, need.wanted.size)
        return need.wanted.size if source.kind == "trash" else 0
