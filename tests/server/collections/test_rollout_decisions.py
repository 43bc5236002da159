"""How a roll-out goes on, as tables of machines and next steps."""

from datetime import UTC, datetime, timedelta

import pytest

from modelyard.server.collections.rollouts.decisions import (
    Conditions,
    MachineFacts,
    Remark,
    Step,
    count_states,
    decide_step,
    is_problem_lasting,
    is_settling,
)
from modelyard.wire.collections.rollouts import RolloutMachineState

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(seconds=60)
BY_HAND, BY_ITSELF = Conditions(False, timedelta()), Conditions(True, timedelta())
AFTER_A_MINUTE = Conditions(True, timedelta(seconds=60))
REMARK = Remark("loras/ink.safetensors", "ComfyUI does not list it.")

READY = MachineFacts("ready", True, True, 2, 2)
BUSY = MachineFacts("busy", True, True, 2, 1)
CHANGING = MachineFacts("changing", True, True, 2, 2, is_settling=True)
RETRYING = MachineFacts("retrying", True, True, 2, 1, wait=REMARK)
FAILED = MachineFacts("failed", True, True, 2, 1, failure=REMARK)
OFFLINE = MachineFacts("offline", True, True, 2, 2, is_offline=True)
GONE = MachineFacts("gone", True, True, 2, 1, is_offline=True, failure=REMARK)
HELD = MachineFacts("held", False, False, 2, 1, failure=REMARK)
OTHER_READY, OTHER_FAILED = MachineFacts("a", False, True, 2, 2), MachineFacts("b", False, True, 2, 1, failure=REMARK)

CANARY, WAITING = Step("canary"), Step("waiting_for_approval", canaries_ready_at=NOW)
ALL = Step("rolling_out")
NO_CANARIES, ALL_OFFLINE = Step("canary", obstacle="canaries_gone"), Step("canary", obstacle="canaries_offline")
REASON = "'failed': loras/ink.safetensors: ComfyUI does not list it."


@pytest.mark.parametrize(
    ("machine", "state"),
    [
        (READY, "ready"),
        (BUSY, "waiting"),
        (CHANGING, "waiting"),
        (RETRYING, "waiting"),
        (FAILED, "failed"),
        (OFFLINE, "offline"),
        (GONE, "offline"),
        (HELD, "held"),
        (MachineFacts("empty", True, True, 0), "ready"),
    ],
    ids=lambda value: value.agent_id if isinstance(value, MachineFacts) else "",
)
def test_machine_state(machine: MachineFacts, state: RolloutMachineState) -> None:
    assert machine.state == state


@pytest.mark.parametrize(
    ("step", "conditions", "machines", "expected"),
    [
        pytest.param(CANARY, BY_ITSELF, [BUSY, READY, HELD], CANARY, id="a canary is not ready"),
        pytest.param(CANARY, BY_ITSELF, [CHANGING], CANARY, id="a canary changes files"),
        pytest.param(CANARY, BY_ITSELF, [RETRYING], CANARY, id="a canary tries again"),
        pytest.param(CANARY, BY_ITSELF, [HELD], NO_CANARIES, id="no canaries"),
        pytest.param(CANARY, BY_ITSELF, [OFFLINE], ALL_OFFLINE, id="all canaries are offline"),
        pytest.param(ALL_OFFLINE, BY_ITSELF, [BUSY], CANARY, id="a canary is back"),
        pytest.param(CANARY, BY_HAND, [READY, HELD], WAITING, id="ready, by approval"),
        pytest.param(CANARY, BY_ITSELF, [READY, HELD], ALL, id="ready, by itself"),
        pytest.param(CANARY, BY_ITSELF, [READY, OFFLINE], WAITING, id="one is offline, so by approval"),
        pytest.param(WAITING, BY_ITSELF, [READY], ALL, id="the offline one is back"),
        pytest.param(WAITING, BY_HAND, [READY], WAITING, id="waits for the approval"),
        pytest.param(WAITING, BY_HAND, [READY, BUSY], CANARY, id="another canary came"),
        pytest.param(CANARY, BY_ITSELF, [READY, FAILED], Step("failed", REASON), id="a canary failed"),
        pytest.param(WAITING, BY_HAND, [READY, FAILED], Step("failed", REASON), id="failed before the approval"),
        pytest.param(
            CANARY, AFTER_A_MINUTE, [READY], Step("canary", canaries_ready_at=NOW), id="ready for too short a time"
        ),
        pytest.param(
            Step("canary", canaries_ready_at=BEFORE), AFTER_A_MINUTE, [READY], ALL, id="ready for long enough"
        ),
        pytest.param(
            Step("canary", canaries_ready_at=BEFORE), AFTER_A_MINUTE, [READY, BUSY], CANARY, id="not ready in between"
        ),
        pytest.param(ALL, BY_HAND, [READY, OTHER_READY], Step("finished"), id="all are ready"),
        pytest.param(ALL, BY_HAND, [READY, OTHER_FAILED], ALL, id="another failed"),
        pytest.param(ALL, BY_HAND, [READY, OFFLINE], ALL, id="one is offline"),
        pytest.param(ALL, BY_HAND, [], Step("finished"), id="no machines"),
    ],
)
def test_decide_step(step: Step, conditions: Conditions, machines: list[MachineFacts], expected: Step) -> None:
    assert decide_step(step, conditions, machines, NOW) == expected


def test_reason_names_three_of_many_failed_canaries() -> None:
    reason = decide_step(CANARY, BY_HAND, [FAILED] * 5, NOW).reason
    assert reason == f"{REASON} {REASON} {REASON} And 2 other machines."


def test_reason_of_machine_problem_names_no_model() -> None:
    broken = MachineFacts("broken", True, True, 2, 1, failure=Remark(None, "No folder can be used."))
    assert decide_step(CANARY, BY_HAND, [broken], NOW) == Step("failed", "'broken': No folder can be used.")


@pytest.mark.parametrize(
    ("started", "heartbeat", "is_lasting"),
    [(-60, -59, True), (-600, -1, True), (-59, -1, False), (-60, -60, False), (-600, -3600, False)],
    ids=["a minute", "ten minutes", "for too short a time", "at the start", "before the start"],
)
def test_machine_problem_lasts_a_minute_and_is_reported_after_the_start(
    started: int, heartbeat: int, *, is_lasting: bool
) -> None:
    started_at, last_heartbeat = (NOW + timedelta(seconds=each) for each in (started, heartbeat))
    assert is_problem_lasting(started_at, last_heartbeat, NOW) == is_lasting


@pytest.mark.parametrize(
    ("step", "changed", "is_unsettled"),
    [
        (CANARY, -59, True),
        (CANARY, -60, False),
        (CANARY, None, False),
        (Step("canary", canaries_ready_at=NOW - timedelta(seconds=5)), -10, False),
        (Step("waiting_for_approval", canaries_ready_at=NOW - timedelta(seconds=5)), -4, True),
        (ALL, -1, False),
    ],
    ids=["just changed", "changed a minute ago", "no models", "ready before", "changed since ready", "all get it"],
)
def test_machine_that_changes_files_settles(step: Step, changed: int | None, *, is_unsettled: bool) -> None:
    changed_at = None if changed is None else NOW + timedelta(seconds=changed)
    assert is_settling(step.state, step.canaries_ready_at, changed_at, NOW) == is_unsettled


def test_count_states_counts_each_state() -> None:
    counts = count_states([READY, BUSY, RETRYING, FAILED, OFFLINE, GONE, HELD])
    assert counts.model_dump() == {
        "machine_count": 7,
        "ready": 1,
        "waiting": 2,
        "failed": 1,
        "offline": 2,
        "held": 1,
    }
