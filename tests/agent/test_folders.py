"""Folder models on a machine whose agent talks to a real registry."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.agent.agent_machine import AgentMachine
from tests.server.harness import ApiCaller, make_model_file
from tests.server.models.folders.folder_push import PATH, make_folder, push, register

pytestmark = pytest.mark.slow


def read_folder(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def get_state(team: ApiCaller, machine: AgentMachine, path: str = PATH) -> dict[str, object]:
    """Return what the registry knows of a model on the machine."""
    rows = team.get(f"/agents/{machine.agent_id}/models", per_page=100).json()["agent_model_list"]
    found: dict[str, object] = next(row for row in rows if row["model_path"] == path)
    return found


def replace_folder(team: ApiCaller, model_id: str, files: Mapping[str, bytes]) -> None:
    """Push a new version of a folder."""
    answer = push(team, files, replaces=model_id)
    assert answer.status_code in (200, 201), answer.text


def test_agent_places_replaces_repairs_and_removes_folder(team: ApiCaller, machine: AgentMachine) -> None:
    first, second = make_folder("first"), make_folder("second")
    folder = machine.models / PATH
    machine.reconcile_once()
    model_id = register(team, first)

    machine.reconcile_once()
    assert read_folder(folder) == first
    assert get_state(team, machine)["state"] == "ready"

    replace_folder(team, model_id, second)
    machine.reconcile_once()
    assert read_folder(folder) == second
    state = get_state(team, machine)
    assert (state["state"], state["version"]) == ("ready", 2)

    (folder / "unet/model.safetensors").write_bytes(b"damaged")
    (folder / "tokenizer/merges.txt").unlink()
    machine.reconcile_once()
    assert read_folder(folder) == second

    assert team.delete(f"/models/{model_id}").status_code == 204
    machine.reconcile_once()
    assert not folder.exists()


def test_agent_users_folder_is_reported_as_conflict(team: ApiCaller, machine: AgentMachine) -> None:
    machine.reconcile_once()
    register(team, make_folder())
    mine = machine.models / PATH / "model_index.json"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")

    machine.reconcile_once()

    assert get_state(team, machine)["state"] == "conflict"
    assert read_folder(machine.models / PATH) == {"model_index.json": b"mine"}


def test_agent_places_assigned_folder_and_models_beside_it(
    team: ApiCaller, new_machine: Callable[..., AgentMachine]
) -> None:
    machine = new_machine()
    machine.reconcile_once()
    model_id = register(team, make_folder(), required_labels=["gpu24"])
    team.register(make_model_file("ink"), "loras/ink.safetensors")
    machine.reconcile_once()
    assert not (machine.models / PATH).exists()

    assert team.put(f"/agents/{machine.agent_id}/models/{model_id}").status_code in (200, 201)
    machine.reconcile_once()

    assert read_folder(machine.models / PATH) == make_folder()
    assert machine.has_file("loras/ink.safetensors")


def test_agent_folder_deleted_by_user_is_downloaded_again(team: ApiCaller, machine: AgentMachine) -> None:
    machine.reconcile_once()
    register(team, make_folder())
    machine.reconcile_once()
    shutil.rmtree(machine.models / PATH)

    machine.reconcile_once()

    assert read_folder(machine.models / PATH) == make_folder()
