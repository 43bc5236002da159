"""The ``machine_state`` of a machine, which sums up all that it reports, and the reason in words. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from modelyard.comfyui.quoting import counted
from modelyard.server.agents.processes import is_reported_by_two
from modelyard.server.models.replicas.problems import describe_held_removals, truncate_reason
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.replicas.unhealthy import is_unhealthy
from modelyard.wire.agents.values import (
    DAMAGED_REASON,
    MAX_SENTENCE_LENGTH,
    REPORTED_BY_TWO_REASON,
    MachineState,
    ModelState,
)

_WAITING_PHASES = ("idle", "waiting")
_UNREAD = "Starts within about a minute."
_STOPPED = "The agent was stopped. Start its service on the machine, or modelyard agent run"
_NO_HEARTBEATS = (
    "No heartbeats arrive: the machine is off, has no network, or its agent crashed."
    " Check that, on the machine: modelyard agent status"
)
_PAUSED = "The machine is paused."
# What a machine goes on with by itself.
_UNFINISHED = ("queued", "downloading", "verifying", "failed")
# The columns that ``decide_machine_state`` reads, and those that find its other arguments.
STATE_COLUMNS = (
    *(AgentRow.number, AgentRow.team_id, AgentRow.label_set, AgentRow.agent_status, AgentRow.sync_phase),
    *(AgentRow.sync_detail, AgentRow.models_ready, AgentRow.models_unloaded, AgentRow.waiting_for, AgentRow.problem),
    AgentRow.models_evicted,
    *(AgentRow.removal_waiting, AgentRow.removal_token, AgentRow.paused, AgentRow.last_heartbeat, AgentRow.stopped_at),
    *(AgentRow.returns_since, AgentRow.returned_at),
)


# A machine, or those of its columns that a function reads.
Machine = AgentRow | Row[*tuple[Any, ...]]


@dataclass(frozen=True)
class StateAndReason:
    """A machine's state, and why it is in this state; up-to-date machines have no reason."""

    state: MachineState
    reason: str | None = None


def decide_machine_state(
    agent: AgentRow, moment: datetime, models_desired: int, reasons: Mapping[ModelState, str], refusal: str | None
) -> StateAndReason:
    """Return the state of a machine at ``moment``, the first of these that applies.

    Offline (of an agent that was stopped, with the problem that it reported last), waiting because it is paused, a
    problem that a person has to solve, syncing, a problem that it tries to solve itself, waiting, up to date.
    ``reasons`` has the reason of one model in each problematic state.

    ``refusal`` says why the registry refuses the machine's key; None if it does not.
    """
    problem = _find_problem(agent, moment, reasons)
    return (
        _find_offline(agent, moment, refusal, problem)
        or _find_pause(agent)
        or problem
        or _find_activity(agent, models_desired)
        or _find_failure(reasons)
        or _find_wait(agent, models_desired)
        or StateAndReason("up_to_date")
    )


def find_absence(agent: Machine, moment: datetime, refusal: str | None) -> str | None:
    """Return why a machine does nothing at ``moment``: it is offline or paused; None if it works.

    ``refusal`` is as in ``decide_machine_state``.
    """
    if offline := _find_offline(agent, moment, refusal):
        return f"The machine is offline. {offline.reason}"
    return _PAUSED if agent.paused else None


def explain_replica(
    agent: Machine, absence: str | None, reported: tuple[str, str | None] | None, *, is_damaged: bool
) -> str | None:
    """Return why a replica is in its state; None if nothing explains it.

    A state in which the machine has nothing left to do keeps the reason that the machine reported. For any other, the
    first of these that is known: that the machine is offline or paused, the reported reason, that the content in the
    registry is damaged, and, of a model that was not reported, what the machine does instead.

    Args:
        agent: the machine.
        absence: the result of ``find_absence``.
        reported: the stored state and its reason; None if the machine has not reported the model.
        is_damaged: whether the registry's copy of the content is damaged.
    """
    state, reason = reported or (None, None)
    if state is not None and state not in _UNFINISHED:
        return reason
    # What the machine reported before it went offline or was paused is no longer why it does not go on.
    if absence is not None:
        return absence
    if reason:
        return reason
    if is_damaged and state in (None, "queued"):
        return DAMAGED_REASON
    # What the machine waits for may be another model than one that it has reported.
    return None if state is not None else _explain_unreported(agent)


def _explain_unreported(agent: Machine) -> str:
    """Return why a machine has not reported a model yet."""
    if agent.problem is not None:
        return f"The machine has a problem: {agent.problem}"
    if agent.waiting_for is not None:
        return f"The machine waits: {agent.waiting_for}"
    if agent.sync_phase not in _WAITING_PHASES:
        return f"The machine is busy: {_describe_activity(agent)}"
    return _UNREAD


def _find_offline(
    agent: Machine, moment: datetime, refusal: str | None, problem: StateAndReason | None = None
) -> StateAndReason | None:
    """Return the state of a machine that is refused, was stopped, or has sent no heartbeat for too long.

    The reason of one that was stopped has that of ``problem`` too: its agent reported it when it ended.
    """
    if refusal is not None:
        return StateAndReason("offline", refusal)
    if agent.stopped_at is not None:
        reason = _STOPPED if problem is None else f"{_STOPPED}. It reported last: {problem.reason}"
        return StateAndReason("offline", truncate_reason(reason, MAX_SENTENCE_LENGTH))
    if is_unhealthy(agent, moment):
        return StateAndReason("offline", _NO_HEARTBEATS)
    return None


def _find_pause(agent: AgentRow) -> StateAndReason | None:
    """Return the state of a machine that was paused."""
    return StateAndReason("waiting", _PAUSED) if agent.paused else None


def _find_problem(agent: AgentRow, moment: datetime, reasons: Mapping[ModelState, str]) -> StateAndReason | None:
    """Return the state of a machine on which a person has to do something."""
    if is_reported_by_two(agent, moment):
        # What else is reported may be of the other one.
        return StateAndReason("problem", REPORTED_BY_TWO_REASON)
    if agent.problem is not None:
        return StateAndReason("problem", agent.problem)
    if "conflict" in reasons:
        return StateAndReason("problem", reasons["conflict"] or "A file of yours has the path of a model.")
    if agent.removal_token is not None:
        return StateAndReason("problem", describe_held_removals(agent.removal_waiting))
    if "blocked" in reasons:
        return StateAndReason("problem", reasons["blocked"] or "Something on the machine prevents a model.")
    if agent.models_unloaded:
        models = counted(agent.models_unloaded, "model")
        return StateAndReason("problem", f"ComfyUI does not load {models}; the states of its models say why.")
    return None


def _find_activity(agent: AgentRow, models_desired: int) -> StateAndReason | None:
    """Return the state of a machine that changes models, or prepares that since it lacks some.

    A scan of the folders of a complete machine is no activity for people.
    """
    is_preparing = _count_missing(agent, models_desired) > 0 and agent.sync_phase not in _WAITING_PHASES
    if agent.agent_status != "syncing" and not is_preparing:
        return None
    activity = _describe_activity(agent)
    return StateAndReason("syncing", activity if agent.waiting_for is None else f"{activity}. {agent.waiting_for}")


def _describe_activity(agent: Machine) -> str:
    """Return what the agent does, such as ``Scanning ink.safetensors: 2 GB of 6 GB read``."""
    detail = f" {agent.sync_detail}" if agent.sync_detail else ""
    return f"{agent.sync_phase.capitalize()}{detail}"


def _find_failure(reasons: Mapping[ModelState, str]) -> StateAndReason | None:
    """Return the state of a machine on which an attempt failed, which it repeats within ten minutes."""
    if "failed" not in reasons:
        return None
    return StateAndReason("problem", reasons["failed"] or "A model could not be placed; it is tried again.")


def _find_wait(agent: AgentRow, models_desired: int) -> StateAndReason | None:
    """Return the state of a machine that lacks models and does nothing about it now."""
    missing = _count_missing(agent, models_desired)
    if missing <= 0:
        return None
    is_are = "is" if missing == 1 else "are"
    queued = f"{counted(missing, 'model')} {is_are} queued. {_UNREAD}"
    return StateAndReason("waiting", agent.waiting_for or queued)


def _count_missing(agent: AgentRow, models_desired: int) -> int:
    """Return how many models a machine lacks, without those that it has evicted."""
    return models_desired - agent.models_ready - agent.models_evicted
