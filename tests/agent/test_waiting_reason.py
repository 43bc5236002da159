"""Why a machine waits while its downloads run."""

from uuid import UUID

import pytest

from modelyard.agent.reconcile_result import ReconcileResult
from modelyard.agent.settings import AgentSettings
from modelyard.agent.status import AgentStatus
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.wire.agents.values import ModelState

REASON = "The store at files.example is tried again. The server answered 500: Internal Server Error."
LIMIT = "Downloads take at most 5.0 MB a second here."


def build_state(number: int, reason: str | None, state: ModelState = "downloading") -> ReplicaState:
    return ReplicaState(UUID(int=number), f"loras/{number}.sft", state, 1000, 0, reason)


def build_status(*reasons: str | None, rate_limit: int | None = None) -> AgentStatus:
    """Build the status of an agent whose downloads run, each with a reason why nothing arrives, or None."""
    status = AgentStatus(AgentSettings(rate_limit=rate_limit), "http://models.example", lambda: None)
    planned = [build_state(number, None, "queued") for number in range(len(reasons) + 1)]
    status.set_result(ReconcileResult(tuple(planned), is_active=True))
    for number, reason in enumerate(reasons):
        status.update_replica(build_state(number, reason))
    return status


@pytest.mark.parametrize("rate_limit", [None, 5_000_000])
def test_waiting_reason_while_no_download_receives_anything_is_that_of_the_first(rate_limit: int | None) -> None:
    assert build_status(REASON, "Another.", rate_limit=rate_limit).find_waiting_reason() == REASON


@pytest.mark.parametrize(("rate_limit", "reason"), [(None, None), (5_000_000, LIMIT)])
def test_waiting_reason_while_one_download_receives_is_the_limit_if_there_is_one(
    rate_limit: int | None, reason: str | None
) -> None:
    assert build_status(REASON, None, rate_limit=rate_limit).find_waiting_reason() == reason


def test_waiting_reason_of_blocked_models_counts_those_of_the_first_reason() -> None:
    status = build_status()
    full = ["The disk has 1.5 GB left.", "The disk has 900.0 MB left.", "The folder is missing."]
    states = [build_state(number, reason, "blocked") for number, reason in enumerate(full)]
    status.set_result(ReconcileResult((*states, build_state(3, None, "ready"))))
    assert status.find_waiting_reason() == "2 of 4 models wait: The disk has 1.5 GB left."
    (shared, alone) = status.count_states().reasons
    assert (shared.count, shared.model_paths) == (2, ["loras/0.sft", "loras/1.sft"])
    assert (alone.count, alone.reason) == (1, "The folder is missing.")


def test_waiting_reason_before_the_first_download_is_none() -> None:
    assert build_status().find_waiting_reason() is None
