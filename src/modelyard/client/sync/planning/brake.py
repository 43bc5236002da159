"""Removing many files at once waits for a person: a mistake, or an attack, would otherwise empty every machine."""

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


def held_back(removals: tuple[Remove, ...], placed: int, approved: str | None) -> HeldRemoval | None:
    """The removals if they must wait: more than 10, or more than 3 and more than a fifth of the ``placed`` files."""
    count = len(removals)
    if count <= FEW or (count <= MOST_AT_ONCE and count <= LARGEST_SHARE * placed):
        return None
    token = removal_token(removals)
    if approved == token:
        return None
    size = in_bytes(sum(removal.entry.size for removal in removals))
    reason = (
        f"{count} of the {placed} files that were placed here ({size}) are not wanted any more. So many are removed"
        " only when somebody approves it, here with `modelyard agent approve-removal` or in the registry."
    )
    return HeldRemoval(removals, token, reason)
