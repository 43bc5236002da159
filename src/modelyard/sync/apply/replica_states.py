"""The state of a model on this machine while a plan is applied, as heartbeats and the CLI report it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

from modelyard.comfyui.quoting import counted
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.files.local_copies import CopyMethod
from modelyard.sync.desired import DesiredModel
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.wire.agents.values import ModelState

# Why a download receives nothing now: its last request failed, or its store sends next to nothing.
Hindrance = Literal["failing", "stalled"]
ReplicaOrigin = Literal["kept", "found", "fetched", "from trash", "removed"] | CopyMethod


@dataclass(frozen=True)
class ReplicaState:
    """A model's state on this machine. ``origin``: how it became ``ready``; None while it is not.

    ``state`` is None for a file that was removed (``origin`` is "removed"), or that is to be removed but stays for now.
    ``version``: the desired version that the state is about; None without a ``state`` or if the entry has no valid one.
    """

    model_id: UUID
    model_path: str
    state: ModelState | None
    size: int = 0
    bytes_done: int = 0
    reason: str | None = None
    origin: ReplicaOrigin | None = None
    path: Path | None = None
    version: int | None = None
    hindrance: Hindrance | None = None
    is_stuck: bool = False  # a file or folder that is to be removed, which a person has to make possible
    is_folder: bool = False  # only set for what is to be removed

    @property
    def is_as_desired(self) -> bool:
        """Whether the model is in place or evicted, or its file was removed; False for one that should be removed."""
        return self.state in {"ready", "evicted"} or self.origin == "removed"


# Called on the event loop, at most about ten times a second for each model.
OnReplicaState = Callable[[ReplicaState], None]


def ignore_replica_state(replica_state: ReplicaState) -> None:
    """Ignore a change, for callers that only use the final result."""


def build_replica_state(
    desired: DesiredModel, state: ModelState, bytes_done: int = 0, reason: str | None = None
) -> ReplicaState:
    """Build the state of a model that is not ready yet."""
    return ReplicaState(
        desired.id, desired.model_path, state, desired.size, bytes_done, reason, version=desired.version
    )


def build_ready_state(
    desired: DesiredModel, path: Path, origin: ReplicaOrigin, remark: str | None = None
) -> ReplicaState:
    """Build the state of a model that is in place."""
    size, version = desired.size, desired.version
    return ReplicaState(desired.id, desired.model_path, "ready", size, size, remark, origin, path, version)


def build_not_placed_state(desired: DesiredModel, failure: NotPlaced) -> ReplicaState:
    """Build the state of a model that could not be placed."""
    return build_replica_state(desired, failure.state, reason=failure.reason)


def build_not_removed_state(placement: Placement, model_path: str, reason: str, *, is_stuck: bool) -> ReplicaState:
    """Build the state of a file or folder that is kept for now although no model needs it."""
    return ReplicaState(
        *(placement.model_id, model_path, None),
        reason=reason,
        path=placement.path,
        is_stuck=is_stuck,
        is_folder=placement.is_folder,
    )


def count_stuck(states: Collection[ReplicaState]) -> str:
    """Return the number of files and folders that cannot be removed, in words, such as ``2 files``."""
    folders = sum(each.is_folder for each in states)
    counts = [(len(states) - folders, "file"), (folders, "folder")]
    return " and ".join(counted(count, noun) for count, noun in counts if count)
