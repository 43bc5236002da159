from pathlib import Path
from uuid import UUID

from modelyard.cli.this_machine.sync_output import (
    format_ready_count,
    list_plan_lines,
    list_result_lines,
    to_plan_document,
    to_result_document,
)
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.sync.planning.actions import Plan
from modelyard.wire.agents.values import ModelState
from tests.sync.factories import SimulatedDisk, build_entry

PATH = Path("/models/loras/ink.safetensors")
FAILED = ReplicaState(UUID(int=1), "loras/ink.safetensors", None, reason="The folder is read-only.", path=PATH)
REMOVED = ReplicaState(UUID(int=1), "loras/ink.safetensors", None, origin="removed", path=PATH)


def test_result_of_failed_removal_says_not_removed_with_reason() -> None:
    assert list_result_lines(Plan(), [FAILED], False)[0] == f"not removed  {PATH}: The folder is read-only."
    assert to_result_document(FAILED)["state"] == "not removed"


def test_result_of_removal_says_removed() -> None:
    assert list_result_lines(Plan(), [REMOVED], False)[0] == f"removed  {PATH}"
    assert to_result_document(REMOVED)["state"] == "removed"


def test_result_of_failed_download_says_how_to_try_again() -> None:
    failed = ReplicaState(UUID(int=1), "loras/ink.safetensors", "failed", reason="The store does not answer.")
    blocked = ReplicaState(UUID(int=1), "loras/ink.safetensors", "blocked", reason="The folder is read-only.")
    assert "run the same command again" in list_result_lines(Plan(), [failed], False)[-1]
    assert list_result_lines(Plan(), [blocked, REMOVED], False)[-1] == "0 models in place, 1 blocked."


def test_plan_names_the_version_of_each_model() -> None:
    disk = SimulatedDisk()
    disk.add_placed_file("loras/kept.pt", "kept")
    disk.add_placed_file("loras/replaced.pt", "old")
    disk.add_user_file("loras/blocked.pt", "mine")
    disk.add_user_file("vae/copied.pt", "copied")
    models = [
        build_entry(f"loras/{name}.pt", name, version=number)
        for number, name in enumerate(["kept", "replaced", "blocked", "copied", "fetched"], 2)
    ]
    plan = disk.plan(*models)
    document = to_plan_document(plan)
    entries = [entry for part in document.values() if isinstance(part, list) for entry in part]
    assert {entry["model_path"]: entry["version"] for entry in entries} == {
        model.model_path: model.version for model in models
    }
    assert "replace  loras/replaced.pt  by version 3  8 B" in list_plan_lines(plan)


def test_ready_count_names_the_states_of_the_other_models() -> None:
    states: list[ModelState | None] = ["blocked", "conflict", None, "failed", "failed"]
    replica_states = [ReplicaState(UUID(int=number), "loras/ink.pt", state) for number, state in enumerate(states)]
    assert format_ready_count(replica_states) == "0 models in place, 2 failed, 1 in conflict, 1 blocked."
    assert format_ready_count([]) == "0 models in place."
