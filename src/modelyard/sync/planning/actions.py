"""The types that a plan consists of: actions, kept and blocked models, held removals."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from uuid import UUID

from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.wire.agents.values import ModelState


@dataclass(frozen=True)
class Target:
    """Where a file is placed: a root, and the name below it as ComfyUI spells it."""

    root: RootOnDisk
    name: str

    @property
    def path(self) -> Path:
        """Return the absolute path without links up to the root, as in a journal row."""
        return self.root.path / self.name

    @property
    def model_path(self) -> str:
        """Return the name below the key of its root, such as ``loras/ink.safetensors``: a model's path on a machine."""
        return f"{self.root.key}/{self.name}"


@dataclass(frozen=True)
class Source:
    """A file of this machine that already has the needed content.

    ``ours``: a file that this agent placed, or is about to place (``planned``: a download, replacement or other local
    copy of the same plan creates it and therefore runs first). ``trash``: to be renamed back. ``user``: never moved,
    never changed. ``is_link_allowed``: a hard link to it is allowed, see ``Policy.are_hard_links_allowed``.
    """

    path: Path
    kind: Literal["ours", "planned", "trash", "user"]
    is_link_allowed: bool = False


@dataclass(frozen=True)
class Fetch:
    """Download a file to an unused name."""

    desired: DesiredModel
    target: Target


@dataclass(frozen=True)
class CopyLocal:
    """Copy content from a file of this machine to an unused name: by reflink, hard link if allowed, or copy."""

    desired: DesiredModel
    target: Target
    source: Source


@dataclass(frozen=True)
class Replace:
    """Replace a file that this agent placed and that still has ``old_placement.sha256``.

    The new content comes from ``source``, or from a download if it is None.
    """

    desired: DesiredModel
    target: Target
    old_placement: Placement
    source: Source | None


@dataclass(frozen=True)
class Remove:
    """Remove a file that this agent placed and that still has ``placement.sha256``.

    ``is_approved``: a user approved it, or there is no removal limit. It does not count towards the limit of the next
    hour, see ``removal_limit.py``.
    """

    placement: Placement
    target: Target
    is_approved: bool = field(default=False, compare=False)


PlaceAction = Fetch | CopyLocal | Replace
Action = PlaceAction | Remove


@dataclass(frozen=True)
class Keep:
    """A model that is already in place. ``remark``: something its owner should know nevertheless."""

    desired: DesiredModel
    path: Path
    origin: Literal["placed", "found"]
    remark: str | None = None


@dataclass(frozen=True)
class Blocked:
    """A model for which nothing is done here, with the reason in complete sentences."""

    model_id: UUID
    version: int | None
    model_path: str
    state: ModelState  # "conflict", "blocked" or "failed"
    reason: str


@dataclass(frozen=True)
class BlockedRemoval:
    """A placed file that no model needs, in a folder that cannot be written, with the reason in complete sentences."""

    placement: Placement
    model_path: str
    reason: str


@dataclass(frozen=True)
class HeldRemovals:
    """Removals that exceed the removal limit. ``token`` identifies exactly this set; an approval must quote it.

    ``summary`` describes them in a sentence.
    """

    removals: tuple[Remove, ...]
    token: str
    summary: str

    @property
    def reason(self) -> str:
        """Return why they are held, and how to approve them."""
        return (
            f"{self.summary} So many files are removed only if you approve it: on the machine with"
            " `modelyard agent approve`, or in the registry."
        )


@dataclass(frozen=True)
class Plan:
    """The actions of one plan. ``rows_to_write`` and ``rows_to_delete`` are applied first, then the actions.

    Actions are independent, with two exceptions: one with a ``planned`` source runs after the action that creates it,
    and a removal after those that use its content, because their model got another path.
    """

    rows_to_write: tuple[Placement, ...] = ()  # files found in place, placements left unconfirmed by a kill
    rows_to_delete: tuple[Placement, ...] = ()  # the file is gone, or not the agent's any more
    fetch: tuple[Fetch, ...] = ()
    copy_local: tuple[CopyLocal, ...] = ()
    replace: tuple[Replace, ...] = ()
    remove: tuple[Remove, ...] = ()
    blocked_removals: tuple[BlockedRemoval, ...] = ()
    held_removals: HeldRemovals | None = None
    approved_removal_token: str | None = None  # of removals that exceed the limit and are in ``remove`` as approved
    keep: tuple[Keep, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    notes: tuple[str, ...] = field(default=())  # about the machine rather than about one model
    # Maintenance, done even if the plan is empty: work folders to clean at the end, whether others could not be read,
    # and the hashes whose partial files are kept there.
    work_folders: tuple[Path, ...] = field(default=(), compare=False)
    has_unread_work_folders: bool = field(default=False, compare=False)
    kept_partial_hashes: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def place_actions(self) -> tuple[PlaceAction, ...]:
        """Return the actions that place content under a name."""
        return (*self.fetch, *self.copy_local, *self.replace)

    @property
    def downloads(self) -> tuple[DesiredModel, ...]:
        """Return the models whose content is downloaded."""
        return (
            *(action.desired for action in self.fetch),
            *(action.desired for action in self.replace if action.source is None),
        )

    def with_removals_only(self) -> "Plan":
        """Return a plan with the same removals and nothing else: no held removals, no journal rows, no maintenance."""
        return Plan(remove=self.remove)

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to do; blocked models, held removals and maintenance do not count."""
        return not (
            self.rows_to_write or self.rows_to_delete or self.fetch or self.copy_local or self.replace or self.remove
        )
