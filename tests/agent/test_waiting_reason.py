"""Why a machine waits while its downloads run."""

from uuid import UUID

import pytest

from modelyard.agent.reconcile_result import ReconcileResult
from modelyard.agent.settings import AgentSettings
from modelyard.agent.status import AgentStatus
from modelyard.agent.status_documents import build_snapshot
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.transfer.errors import Unreachable
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


def test_waiting_reason_of_models_that_differ_in_their_names_is_an_example() -> None:
    status = build_status()
    states = [build_state(number, f'"loras/{number}.sft" needs 1.0 GB.', "blocked") for number in range(2)]
    status.set_result(ReconcileResult((*states, build_state(2, None, "ready"))))
    assert status.find_waiting_reason() == '2 of 3 models wait, for example: "loras/0.sft" needs 1.0 GB.'


def test_reasons_of_many_conflicts_are_one_although_each_has_other_hashes_and_paths() -> None:
    status = build_status()
    conflicts = [
        build_state(
            number,
            f'"/models/{"loras" if number % 2 else "unet"}/{number}.sft" is another file: it has sha256:{number:064x},'
            f" the model has sha256:{number + 1:064x}. Move it away or rename it.",
            "conflict",
        )
        for number in range(500)
    ]
    status.set_result(ReconcileResult(tuple(conflicts)))
    [shared] = status.count_states().reasons
    assert (shared.count, shared.reason) == (500, conflicts[0].reason)


def test_reasons_are_bounded_in_each_state_and_begin_with_that_of_most_models() -> None:
    status = build_status()
    blocked = [build_state(number, f"Reason {chr(945 + number)}.", "blocked") for number in range(25)]
    shared = [build_state(100 + number, "The folder is missing.", "blocked") for number in range(2)]
    status.set_result(ReconcileResult((*blocked, *shared, build_state(200, "Another file is there.", "conflict"))))
    reasons = status.count_states().reasons
    assert [each.count for each in reasons] == [2] + [1] * 20
    assert (reasons[0].reason, reasons[-1].state) == ("The folder is missing.", "conflict")


def test_retry_of_failed_models_is_in_the_status_only_while_the_registry_answers() -> None:
    status = build_status()
    status.set_retry(15)
    status.connection.record_success()
    assert build_snapshot(status).retry_at == status.retry_at
    status.connection.record_failure(Unreachable("No answer."))
    assert build_snapshot(status).retry_at is None


def test_waiting_reason_before_the_first_download_is_none() -> None:
    assert build_status().find_waiting_reason() is None
