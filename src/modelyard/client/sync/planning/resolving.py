"""What ComfyUI would load under a wanted name, and so what has to be done about it in one install."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelyard.client.sync.holding.holdings import Holdings
from modelyard.client.sync.holding.journal import Entry
from modelyard.client.sync.holding.listing import Held
from modelyard.client.sync.holding.roots import RootOnDisk, root_for
from modelyard.client.sync.planning import refusals
from modelyard.client.sync.planning.actions import Keep, Refuse, Target
from modelyard.client.sync.planning.ownership import Ownership
from modelyard.client.sync.wanted import Wanted
from modelyard.client.sync.wording import quoted
from modelyard.wire.agents import ModelState

_Where = Literal["before", "there", "behind"]
# What ComfyUI passes over when it looks for a file.
_NO_FILE = frozenset({"folder", "dangling", "other", "barred"})


@dataclass(frozen=True)
class Need:
    """The bytes have to come to ``target``; ``old`` is the agent's own file that is there now."""

    wanted: Wanted
    target: Target
    old: Entry | None = None


def resolve(
    wanted: Wanted, roots: tuple[RootOnDisk, ...], held: Holdings, ownership: Ownership
) -> Keep | Need | Refuse:
    """Go through the ``roots`` of the model's key as ComfyUI does: the first that has a file of this name decides.

    The right bytes in any root are right, as long as ComfyUI comes to them. The agent's own files of other bytes in
    other roots are passed over: nothing wants them, so they go.
    """
    aim = root_for(roots, wanted)
    if aim is None:
        return _refuse(wanted, "blocked", refusals.no_place(wanted))
    target = Target(aim, wanted.name)
    is_behind = False  # whether the roots that come now are behind the target's
    for root in roots:
        place = root.path / wanted.name
        file = held.files.get(place)
        if not root.is_listed and (root == aim or place in ownership.away):
            return _refuse(wanted, "blocked", root.trouble or "")
        if file is not None and file.kind not in _NO_FILE:
            if file.sha256 == wanted.sha256:
                return _kept(wanted, root, place, file, ownership)
            own = ownership.own.get(file.path)
            if own is not None and root == aim and root.trouble is None:
                return Need(wanted, target, own)
            if own is None:
                where: _Where = "there" if root == aim else "behind" if is_behind else "before"
                return _taken(wanted, file, target, ownership, where)
        is_behind = is_behind or root == aim
    obstacle = held.files.get(target.path)
    if obstacle is not None and obstacle.kind in _NO_FILE:
        return _refuse(wanted, "conflict", refusals.in_the_way(obstacle))
    return Need(wanted, target) if aim.trouble is None else _refuse(wanted, "blocked", aim.trouble)


def _kept(wanted: Wanted, root: RootOnDisk, place: Path, file: Held, ownership: Ownership) -> Keep:
    remark = None
    if file.link is None and file.path != place:
        listed = file.path.relative_to(root.path)
        remark = f"ComfyUI lists it as {quoted(listed)}: this file system takes the two names for one. Rename the file."
    return Keep(wanted, file.path, "placed" if file.path in ownership.own else "found", remark)


def _taken(wanted: Wanted, file: Held, target: Target, ownership: Ownership, where: _Where) -> Refuse:
    """A file that is not the agent's has the name."""
    if file.sha256 is None:
        return _refuse(wanted, "blocked", refusals.in_the_way(file))
    if where == "before":
        return _refuse(wanted, "conflict", refusals.shadowed(wanted, file, target.path))
    if where == "behind":
        return _refuse(wanted, "conflict", refusals.would_hide(wanted, file, target.path))
    changed = ownership.changed.get(file.path)
    was_placed = changed is not None and changed.origin == "placed"
    return _refuse(wanted, "conflict", refusals.other_bytes(wanted, file, was_placed=was_placed))


def _refuse(wanted: Wanted, state: ModelState, reason: str) -> Refuse:
    return Refuse(wanted.id, wanted.model_path, state, reason)
