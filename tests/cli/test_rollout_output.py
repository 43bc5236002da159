"""The sentence about what a running roll-out waits for."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from modelyard.cli.registry.collections.rollout_output import describe_waiting
from modelyard.wire.collections.rollouts import Rollout

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
NONE = {"machine_count": 0, "ready": 0, "waiting": 0, "failed": 0, "offline": 0, "held": 0}
NEXT_STEP = "The registry writes its next step within some seconds."


def count(**states: int) -> dict[str, int]:
    return NONE | states | {"machine_count": sum(states.values())}


def build_machine(agent_id: str, state: str, *, is_canary: bool = False) -> dict[str, Any]:
    """Return a machine of a roll-out that has 3 of 12 models."""
    models = {"models_ready": 3, "models_total": 12, "model_path": None, "reason": None}
    return {"agent_id": agent_id, "is_canary": is_canary, "state": state} | models


def build_rollout(state: str, canaries: dict[str, int], others: dict[str, int], *machines: dict[str, Any]) -> Rollout:
    creator = {"kind": "user", "id": None, "display_name": "Ada"}
    progress = {"canaries": canaries, "others": others, "machine_list": machines}
    return Rollout.model_validate(
        {"id": UUID(int=1), "collection_id": UUID(int=2), "version": 2, "previous_version": 1}
        | {"canary_label": "canary", "is_automatic": False, "min_ready_seconds": 600, "state": state, "reason": None}
        | {"obstacle": None, "created_by": creator, "created_at": NOW, "updated_at": NOW, "progress": progress}
    )


BUSY, AWAY = build_machine("a", "waiting", is_canary=True), build_machine("b", "offline", is_canary=True)
OTHER, OTHER_AWAY = build_machine("c", "waiting"), build_machine("d", "offline")


@pytest.mark.parametrize(
    ("rollout", "sentence"),
    [
        (
            build_rollout("canary", count(waiting=1, offline=1), count(held=4), BUSY, AWAY),
            "It waits for 'a' (3 of 12 models).",
        ),
        (
            build_rollout("canary", count(ready=1, offline=1), count(waiting=1), AWAY, OTHER),
            "It waits until the canaries are ready for 600 seconds.",
        ),
        (build_rollout("canary", count(failed=1), count(held=4)), NEXT_STEP),
        (
            build_rollout("rolling_out", count(ready=1), count(waiting=300, offline=1), OTHER, OTHER_AWAY),
            "It waits for 'c' (3 of 12 models), 'd' (offline, 3 of 12 models), and 299 other machines.",
        ),
        (build_rollout("rolling_out", count(ready=1), count(ready=4)), NEXT_STEP),
    ],
    ids=["canary waits", "canaries ready", "canary failed", "others wait", "all ready"],
)
def test_describe_waiting_names_what_the_state_waits_for(rollout: Rollout, sentence: str) -> None:
    assert describe_waiting(rollout) == sentence
