"""The inputs and results of a reconciliation."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from modelyard.agent.roots import FoundRoots
from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.progress import build_final_states
from modelyard.sync.apply.replica_states import ReplicaState, build_replica_state, count_stuck
from modelyard.sync.planning.actions import HeldRemovals, Plan
from modelyard.wire.agents.values import SyncPhase

PAUSED = "This machine is paused in the registry."


@dataclass(frozen=True)
class ReconcileOptions:
    """What a reconciliation may do. ``may_remove`` is called again just before each removal.

    ``evicted`` are the states of models that are not to be held, ``disk_budget`` is the team's limit in bytes.
    """

    paused: bool = False
    approved_tokens: frozenset[str] = frozenset()  # of held removals that a user approved
    may_remove: Callable[[], bool] = lambda: True
    evicted: tuple[ReplicaState, ...] = ()
    disk_budget: int | None = None


class ProgressListener(Protocol):
    """Receives the progress of a reconciliation; called on the event loop, ``set_detail`` from any thread."""

    def set_phase(self, phase: SyncPhase) -> None:
        """Report which step of the reconciliation runs."""

    def set_detail(self, detail: str) -> None:
        """Report what the phase works on, such as the file that is read; called from any thread."""

    def update_replica(self, replica_state: ReplicaState) -> None:
        """Report the new state of one model; None as its state means that its file was removed."""


@dataclass(frozen=True)
class ReconcileResult:
    """The state of all models after a plan was made: while its actions run, or after they have ended."""

    # Not in repr: asyncio's signal handling formats a task with its result, which takes long for thousands of models.
    replica_states: tuple[ReplicaState, ...] = field(default=(), repr=False)
    held: HeldRemovals | None = None
    notes: tuple[str, ...] = ()
    roots: FoundRoots = field(default_factory=FoundRoots)
    blockers: tuple[str, ...] = ()  # why due actions cannot start
    is_active: bool = False  # actions are running
    has_failed: bool = False  # a model is failed or blocked, which may end later

    @property
    def stuck_removals(self) -> list[ReplicaState]:
        """What no model needs and cannot be removed until a person acts: files and folders, each with its reason."""
        return [each for each in self.replica_states if each.is_stuck]

    @property
    def stuck_reason(self) -> str | None:
        """Why ``stuck_removals`` cannot be removed, with the first one; None if there are none."""
        stuck = self.stuck_removals
        if not stuck:
            return None
        files = f"{count_stuck(stuck)} that no model needs"
        example = f"{'' if len(stuck) == 1 else 'such as '}{quoted(stuck[0].model_path)}"
        return f"{files}, {example}, cannot be removed: {stuck[0].reason}"

    @property
    def is_blocked(self) -> bool:
        """Whether a model is blocked, for example by a full disk."""
        return any(replica_state.state == "blocked" for replica_state in self.replica_states)


class EndedActions(NamedTuple):
    """The results of the actions that ended since the last call of ``Reconciler.process_ended_actions``."""

    replica_states: tuple[ReplicaState, ...]
    has_removed: bool
    used_approval: str | None  # the token of the approved removal, if it was carried out
    has_removed_folder: bool = False


def list_planned_states(plan: Plan, reason: str) -> list[ReplicaState]:
    """Return the state of each model if none of a plan's actions run: those to be placed are queued for ``reason``."""
    return [
        *build_final_states(plan),
        *(build_replica_state(action.desired, "queued", reason=reason) for action in plan.place_actions),
    ]
