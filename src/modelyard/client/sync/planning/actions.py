"""What a plan is made of: the only words in which what should happen on a disk is said."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from uuid import UUID

from modelyard.client.sync.holding.journal import Entry
from modelyard.client.sync.holding.roots import RootOnDisk
from modelyard.client.sync.wanted import Wanted
from modelyard.wire.agents import ModelState


@dataclass(frozen=True)
class Target:
    """Where a file goes or lies: a root, and the name below it as ComfyUI says it."""

    root: RootOnDisk
    name: str

    @property
    def path(self) -> Path:
        """The absolute path, with no link in it up to the root; what a journal's row has."""
        return self.root.path / self.name


@dataclass(frozen=True)
class Source:
    """Bytes on this machine that have the hash already.

    ``ours``: a file that this agent placed or is about to place (``planned``: a fetch, a replacement or another
    adoption of the same plan makes it, so it comes first). ``trash``: to be renamed back. ``user``: never moved,
    never changed; a hard link to it only with ``may_link``, see ``plan.may_be_linked``.
    """

    path: Path
    kind: Literal["ours", "planned", "trash", "user"]
    may_link: bool = True


@dataclass(frozen=True)
class Fetch:
    """Download to a name where nothing is."""

    wanted: Wanted
    target: Target


@dataclass(frozen=True)
class Adopt:
    """Bring bytes that are on this machine to a name where nothing is: reflink, hard link (if it may be), copy."""

    wanted: Wanted
    target: Target
    source: Source


@dataclass(frozen=True)
class Replace:
    """Put new bytes in the place of a file that this agent placed and that still has ``old.sha256``.

    The bytes come from ``source``, or from a download if it is None.
    """

    wanted: Wanted
    target: Target
    old: Entry
    source: Source | None


@dataclass(frozen=True)
class Remove:
    """Take away a file that this agent placed and that still has ``entry.sha256``."""

    entry: Entry
    target: Target


@dataclass(frozen=True)
class Keep:
    """The model is here; nothing is done. ``remark``: what its owner should know all the same."""

    wanted: Wanted
    path: Path
    origin: Literal["placed", "found"]
    remark: str | None = None


@dataclass(frozen=True)
class Refuse:
    """Nothing is done for this model here, and why in whole sentences."""

    model_id: UUID
    model_path: str
    state: ModelState  # "conflict", "blocked" or "failed"
    reason: str


@dataclass(frozen=True)
class HeldRemoval:
    """Removals that are too many to be made unasked. ``token`` names exactly this set: an approval must quote it.

    ``finding`` says in a sentence what they are.
    """

    removals: tuple[Remove, ...]
    token: str
    finding: str

    @property
    def reason(self) -> str:
        """Why they wait, and what ends that."""
        return (
            f"{self.finding} So many are removed only when somebody approves it, here with"
            " `modelyard agent approve-removal` or in the registry."
        )


@dataclass(frozen=True)
class Plan:
    """What has to happen. Carry it out in this order: ``confirm`` and ``forget``, fetches and adoptions with
    replacements (most wanted first; a ``planned`` source before who uses it), removals last.

    Removals come last because their bytes may be the source of an adoption: a model that got another path.
    """

    confirm: tuple[Entry, ...] = ()  # rows for the journal: files found in place, placements that a kill left open
    forget: tuple[Entry, ...] = ()  # rows whose file is gone, or is not the agent's any more
    fetch: tuple[Fetch, ...] = ()
    adopt: tuple[Adopt, ...] = ()
    replace: tuple[Replace, ...] = ()
    remove: tuple[Remove, ...] = ()
    is_removal_approved: bool = False  # if not, ``remove`` counts for an hour, see ``brake.py``
    held: HeldRemoval | None = None
    keep: tuple[Keep, ...] = ()
    refuse: tuple[Refuse, ...] = ()
    notes: tuple[str, ...] = field(default=())  # about the machine rather than about one model
    # Upkeep, which decides nothing: work folders to be tidied at the end, though nothing else is to be done, and the
    # hashes whose partial files stay there.
    works: tuple[Path, ...] = field(default=(), compare=False)
    unfinished: frozenset[str] = field(default=frozenset(), compare=False)

    def removals_only(self) -> "Plan":
        """The part that comes last."""
        return Plan(remove=self.remove, is_removal_approved=self.is_removal_approved)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do; what is refused or held back is not to be done."""
        return not (self.confirm or self.forget or self.fetch or self.adopt or self.replace or self.remove)
