"""Deciding whether a machine can run a workflow. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from modelyard.comfyui.quoting import in_bytes, quoted
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.wire.agents.values import ModelState
from modelyard.wire.workflows import MachineReadiness, Readiness

# For machines that do not download anything now: about what Gigabit Ethernet carries.
ASSUMED_BYTES_PER_SECOND = 100_000_000
_MAX_NAMED = 3
# States in which a machine does not get a model by itself.
_STUCK: frozenset[ModelState] = frozenset({"conflict", "blocked"})


@dataclass(frozen=True)
class NeededModel:
    """A model that the workflow requires.

    ``unavailable`` completes "<name> ..." if machines cannot download it now. ``version`` is the one that the workflow
    declares by its hash; None if each version will do.
    """

    id: UUID
    name: str
    file_size: int
    label_set: str
    unavailable: str | None = None
    version: int | None = None


class Replica(NamedTuple):
    """What a machine reported for a model."""

    state: ModelState
    reason: str | None = None
    bytes_done: int = 0


_UNREPORTED = Replica("queued")


@dataclass(frozen=True)
class MachineFacts:
    """What the decision needs of a machine.

    ``absent`` says why it is offline or paused, None if it is neither. ``pins`` has the versions that are pinned on it.
    """

    agent_id: str
    label_set: str
    absent: str | None
    disk_free: int | None
    bytes_per_second: int | None
    assigned: frozenset[UUID]
    replicas: Mapping[UUID, Replica]
    pins: Mapping[UUID, int] = field(default_factory=dict)

    def is_meant_for(self, model: NeededModel) -> bool:
        """Return whether the machine should hold the model, by its labels or an assignment."""
        return model.id in self.assigned or has_all_labels(model.label_set, self.label_set)

    def get_replica(self, model: NeededModel) -> Replica:
        """Return the reported state of the model; ``queued`` without one."""
        return self.replicas.get(model.id, _UNREPORTED)


def describe_absent_files(names: Sequence[str]) -> str | None:
    """Return why no machine can run a workflow that requires files of these names, which the team lacks."""
    return f"The registry has no file for {_list_names(names)}." if names else None


def decide_readiness(machine: MachineFacts, needed: Sequence[NeededModel]) -> MachineReadiness:
    """Decide whether a machine can run a workflow that requires these models."""
    missing = [model for model in needed if machine.get_replica(model).state != "ready"]
    obstacle = _find_obstacle(machine, needed, missing)
    if obstacle is not None:
        return build_unable(machine.agent_id, obstacle)
    if not missing:
        return _build(machine, "ready", 0, machine.absent)
    seconds, size = _estimate_seconds(machine, missing), in_bytes(_count_missing_bytes(machine, missing))
    evicted = [model for model in missing if machine.get_replica(model).state == "evicted"]
    if evicted:
        # A machine fetches these again once they are assigned to it.
        reason = f"{_list_names([model.name for model in evicted])} {_is_are(evicted)} evicted there."
        unassigned = [model for model in missing if model in evicted or not machine.is_meant_for(model)]
        return _build(machine, "assignable", seconds, reason, [model.id for model in unassigned])
    unassigned = [model for model in missing if not machine.is_meant_for(model)]
    if unassigned:
        reason = f"{_list_names([model.name for model in unassigned])} {_is_are(unassigned)} not meant for it."
        return _build(machine, "assignable", seconds, reason, [model.id for model in unassigned])
    return _build(machine, "soon", seconds, f"{size} are missing.")


def build_unable(agent_id: str, reason: str) -> MachineReadiness:
    """Build the answer for a machine that cannot run the workflow."""
    return MachineReadiness(agent_id=agent_id, readiness="cannot", seconds=None, reason=reason, missing_list=[])


def _build(
    machine: MachineFacts,
    readiness: Readiness,
    seconds: int,
    reason: str | None = None,
    missing: Sequence[UUID] = (),
) -> MachineReadiness:
    """Build the answer for a machine."""
    return MachineReadiness(
        agent_id=machine.agent_id, readiness=readiness, seconds=seconds, reason=reason, missing_list=list(missing)
    )


def _find_obstacle(machine: MachineFacts, needed: Sequence[NeededModel], missing: Sequence[NeededModel]) -> str | None:
    """Return why the machine cannot run the workflow, even after some time; None if it can."""
    if missing and machine.absent is not None:
        return machine.absent
    stuck = next((reason for model in needed if (reason := _find_stuck(machine, model))), None)
    if stuck is not None:
        return stuck
    size = _count_missing_bytes(machine, missing)
    if machine.disk_free is not None and size > machine.disk_free:
        return f"It needs {in_bytes(size)} more, and its disk has {in_bytes(machine.disk_free)} free."
    return None


def _find_stuck(machine: MachineFacts, model: NeededModel) -> str | None:
    """Return why the machine cannot load a model, or cannot get it by itself; None otherwise."""
    replica, pinned = machine.get_replica(model), machine.pins.get(model.id, model.version)
    if model.version is not None and pinned != model.version:
        return (
            f"{quoted(model.name)} is pinned to version {pinned} there, and the workflow needs version {model.version}."
        )
    if replica.state == "ready":
        return replica.reason
    if replica.state in _STUCK:
        return replica.reason or f"{quoted(model.name)} cannot be placed there."
    return f"{quoted(model.name)} {model.unavailable}." if model.unavailable else None


def _count_missing_bytes(machine: MachineFacts, missing: Sequence[NeededModel]) -> int:
    """Return how many bytes the machine still has to download."""
    return sum(max(0, model.file_size - machine.get_replica(model).bytes_done) for model in missing)


def _estimate_seconds(machine: MachineFacts, missing: Sequence[NeededModel]) -> int:
    """Return the seconds that the missing bytes take at the machine's present rate, or at an assumed one."""
    rate = machine.bytes_per_second or ASSUMED_BYTES_PER_SECOND
    return -(-_count_missing_bytes(machine, missing) // rate)


def _list_names(names: Sequence[str]) -> str:
    """Return the first names in quotes, with the number of those that are left out."""
    shown = ", ".join(quoted(name) for name in names[:_MAX_NAMED])
    return shown if len(names) <= _MAX_NAMED else f"{shown} and {len(names) - _MAX_NAMED} more"


def _is_are(models: Sequence[NeededModel]) -> str:
    """Return the verb for so many models."""
    return "is" if len(models) == 1 else "are"
