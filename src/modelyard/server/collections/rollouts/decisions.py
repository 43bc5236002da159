"""How a roll-out goes on, given the machines that it is about. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelyard.comfyui.quoting import counted
from modelyard.wire.collections.rollouts import RolloutCounts, RolloutMachineState, RolloutObstacle, RolloutState

# A model may be blocked for a moment, such as while a person writes the file; the agent tries it again. A problem of a
# machine may be older than the roll-out, or end soon.
BLOCKED_FOR = timedelta(minutes=1)
# While a machine changes files, it may not have asked ComfyUI about the new ones. After this time, they count as ready.
_SETTLED_AFTER = timedelta(minutes=1)
# Of more failed machines, a reason names the first.
_MAX_NAMED = 3
_OBSTACLE_TEXTS: Mapping[RolloutObstacle, str] = {
    "canaries_offline": "All canaries are offline. Start one, approve the roll-out without canaries, or stop it and "
    "start it with another label.",
    "canaries_gone": "No subscribed machine has the label of the canaries any more. Approve the roll-out without "
    "canaries, or stop it and start it with another label.",
}


@dataclass(frozen=True)
class Remark:
    """What a machine says about a model that is not as it should be there, or without a model, about itself."""

    model_path: str | None
    reason: str


@dataclass(frozen=True)
class MachineFacts:
    """What decides the state of a subscribed machine in a roll-out.

    ``has_version``: it gets the version of the roll-out, not the one before. ``is_settling``: it changes files, among
    them those of the version, see ``is_settling``, or the registry has not updated yet what it should hold.
    ``failure``: a person has to act: the machine has a problem for some time, or a model conflicts, is blocked for some
    time, or is ready but not loaded by ComfyUI. ``wait``: why it does not have all models yet.
    """

    agent_id: str
    is_canary: bool
    has_version: bool
    models_total: int
    models_ready: int = 0
    is_offline: bool = False
    is_settling: bool = False
    failure: Remark | None = None
    wait: Remark | None = None

    @property
    def state(self) -> RolloutMachineState:
        """The state in the roll-out. While a machine changes files, it may not have asked ComfyUI about them yet."""
        if not self.has_version:
            return "held"
        if self.is_offline:
            return "offline"
        if self.failure is not None:
            return "failed"
        return "ready" if self.models_ready >= self.models_total and not self.is_settling else "waiting"


def is_problem_lasting(started_at: datetime, last_heartbeat: datetime, moment: datetime) -> bool:
    """Return whether a machine's problem fails the roll-out: it is reported after the start, which is a while ago."""
    return last_heartbeat > started_at and moment >= started_at + BLOCKED_FOR


@dataclass(frozen=True)
class Step:
    """Where a roll-out is: its state, why it failed, since when all canaries are ready, and why none can get ready."""

    state: RolloutState
    reason: str | None = None
    canaries_ready_at: datetime | None = None
    obstacle: RolloutObstacle | None = None


def is_settling(state: str, ready_at: datetime | None, changed_at: datetime | None, moment: datetime) -> bool:
    """Return whether ready models of a machine that changes files may be not ready after all.

    ``ready_at``: since when all canaries are ready. ``changed_at``: when the machine last reported a change of a model
    of the version. It does not count if it was before ``ready_at``, or in the ``state`` in which all machines get the
    version: a busy machine would keep the roll-out from finishing.
    """
    if state == "rolling_out" or changed_at is None:
        return False
    was_ready_before = ready_at is not None and changed_at <= ready_at
    return not was_ready_before and changed_at > moment - _SETTLED_AFTER


@dataclass(frozen=True)
class Conditions:
    """When a roll-out goes on to the other machines."""

    is_automatic: bool
    min_ready: timedelta


def decide_step(step: Step, conditions: Conditions, machines: Sequence[MachineFacts], moment: datetime) -> Step:
    """Return the next step of a running roll-out.

    A failed canary ends it. It goes on to the other machines when all canaries are ready; with some of them offline, it
    waits for an approval in any case; with all of them offline, it names that. Once all machines get the version,
    failures of some do not end it.
    """
    if step.state == "rolling_out":
        is_complete = all(machine.state == "ready" for machine in machines)
        return Step("finished") if is_complete else step
    canaries = [machine for machine in machines if machine.is_canary]
    failed = [machine for machine in canaries if machine.state == "failed"]
    if failed:
        return Step("failed", describe_failures(failed))
    states = {machine.state for machine in canaries}
    if states <= {"offline"}:
        return Step("canary", obstacle="canaries_offline" if canaries else "canaries_gone")
    if "ready" not in states or not states <= {"ready", "offline"}:
        return Step("canary")
    ready_at = step.canaries_ready_at or moment
    if moment < ready_at + conditions.min_ready:
        return Step("canary", canaries_ready_at=ready_at)
    if conditions.is_automatic and states == {"ready"}:
        return Step("rolling_out")
    return Step("waiting_for_approval", canaries_ready_at=ready_at)


def describe_obstacle(obstacle: RolloutObstacle) -> str:
    """Return why no canary can get ready, and what a person can do."""
    return _OBSTACLE_TEXTS[obstacle]


def describe_failures(failed: Sequence[MachineFacts]) -> str:
    """Return a text that names failed machines, a model of each, and what each says about it."""
    named = [(machine.agent_id, machine.failure) for machine in failed[:_MAX_NAMED] if machine.failure is not None]
    texts = [
        f"'{agent_id}': {remark.reason}"
        if remark.model_path is None
        else f"'{agent_id}': {remark.model_path.removeprefix('models/')}: {remark.reason}"
        for agent_id, remark in named
    ]
    more = len(failed) - _MAX_NAMED
    return " ".join([*texts, f"And {counted(more, 'other machine')}."] if more > 0 else texts)


def count_states(machines: Iterable[MachineFacts]) -> RolloutCounts:
    """Count machines by their state."""
    states = [machine.state for machine in machines]
    return RolloutCounts(
        machine_count=len(states),
        ready=states.count("ready"),
        waiting=states.count("waiting"),
        failed=states.count("failed"),
        offline=states.count("offline"),
        held=states.count("held"),
    )
