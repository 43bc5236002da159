"""Hold removals of many files within an hour until a user approves them.

A mistake or an attack would otherwise empty every machine. Models are disabled one by one, and a machine acts on each
within a second. So recent removals count as well, unless they were approved or the file is back: many small plans can
remove no more than one large plan.
"""

import hashlib
from collections.abc import Iterable

from modelyard.comfyui.quoting import in_bytes
from modelyard.sync.planning.actions import HeldRemovals, Remove

MAX_REMOVALS = 10
ALWAYS_ALLOWED = 3
MAX_SHARE = 0.2


def build_removal_token(removals: Iterable[Remove]) -> str:
    """Return a token for exactly this set of paths and hashes, independent of their order."""
    digest = hashlib.sha256()
    for line in sorted(f"{removal.target.path}\0{removal.placement.sha256}\n" for removal in removals):
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def hold_removals(removals: tuple[Remove, ...], placed_count: int, recent_count: int) -> HeldRemovals | None:
    """Return the removals as held if they exceed the removal limit, else None.

    ``removals`` have no approval yet; ``recent_count`` were made within the last hour. Together they exceed the limit
    if they are more than 10, or more than 3 and more than a fifth of what was placed before all of them: the
    ``placed_count`` files that are placed now and the recently removed ones.
    """
    total = len(removals) + recent_count
    if (
        not removals
        or total <= ALWAYS_ALLOWED
        or (total <= MAX_REMOVALS and total <= MAX_SHARE * (placed_count + recent_count))
    ):
        return None
    return HeldRemovals(removals, build_removal_token(removals), _summarize(removals, placed_count, recent_count))


def _summarize(removals: tuple[Remove, ...], placed_count: int, recent_count: int) -> str:
    """Return a sentence with the number and total size of the held removals, and how many files are placed.

    It also has the number of removals within the last hour, if there were any.
    """
    size = in_bytes(sum(removal.placement.size for removal in removals))
    verb = "is" if len(removals) == 1 else "are"
    current = f"{len(removals)} of the {placed_count} files that were placed here ({size}) {verb} not desired any more"
    earlier = "1 other was" if recent_count == 1 else f"{recent_count} others were"
    return f"{current}, and {earlier} removed within the last hour." if recent_count else f"{current}."
