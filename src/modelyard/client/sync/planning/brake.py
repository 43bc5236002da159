"""Removing many files within an hour waits for a person: a mistake, or an attack, would otherwise empty every machine.

Models are disabled one by one, and a machine acts on each within a second. So what went lately counts as well, unless
somebody approved it or it is back: no more goes in many rounds than in one.
"""

import hashlib
from collections.abc import Iterable

from modelyard.client.sync.planning.actions import HeldRemoval, Remove
from modelyard.client.sync.wording import in_bytes

MOST_AT_ONCE = 10
FEW = 3
LARGEST_SHARE = 0.2


def removal_token(removals: Iterable[Remove]) -> str:
    """The name of exactly this set of files and bytes, whatever their order."""
    digest = hashlib.sha256()
    for line in sorted(f"{removal.target.path}\0{removal.entry.sha256}\n" for removal in removals):
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def held_back(removals: tuple[Remove, ...], placed: int, lately: int) -> HeldRemoval | None:
    """The removals if they must wait: with those of ``lately`` more than 10, or more than 3 and more than a fifth.

    The fifth is one of what was placed before all of them: the files that are ``placed`` now, and those of lately.
    """
    total = len(removals) + lately
    if not removals or total <= FEW or (total <= MOST_AT_ONCE and total <= LARGEST_SHARE * (placed + lately)):
        return None
    return HeldRemoval(removals, removal_token(removals), _finding(removals, placed, lately))


def _finding(removals: tuple[Remove, ...], placed: int, lately: int) -> str:
    size = in_bytes(sum(removal.entry.size for removal in removals))
    verb = "is" if len(removals) == 1 else "are"
    now = f"{len(removals)} of the {placed} files that were placed here ({size}) {verb} not wanted any more"
    before = "1 other was" if lately == 1 else f"{lately} others were"
    return f"{now}, and {before} removed within the last hour." if lately else f"{now}."
