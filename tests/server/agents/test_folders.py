"""Folders and machines: only those that place folders are told of one, and nothing waits for the others to have one."""

import pytest

from tests.server.agents.machine import add_machine, build_states
from tests.server.harness import Harness
from tests.server.models.folders.folder_push import make_folder, register

pytestmark = pytest.mark.slow


def test_manifest_leaves_folders_out(shared_registry: Harness) -> None:
    team = shared_registry.create_team()
    machine = add_machine(shared_registry, team)
    single = team.register()
    folder = register(team, make_folder())

    listed = [model["id"] for model in machine.manifest().json()["model_list"]]

    assert listed == [single]
    record = team.get(f"/models/{folder}").json()
    assert (record["agents_desired"], record["required_labels"]) == (0, [])


def test_labels_of_a_folder_change_without_a_machine_getting_it(shared_registry: Harness) -> None:
    team = shared_registry.create_team()
    machine = add_machine(shared_registry, team)
    folder = register(team, make_folder(), required_labels=["gpu"])

    assert team.put(f"/models/{folder}", required_labels=None).status_code == 200

    assert machine.manifest().json()["model_list"] == []
    assert team.get(f"/models/{folder}").json()["agents_desired"] == 0


def test_machine_that_places_folders_gets_them_until_it_cannot_any_more(shared_registry: Harness) -> None:
    team = shared_registry.create_team()
    able, other = add_machine(shared_registry, team), add_machine(shared_registry, team, "old-01")
    able.beat(places_folders=True)
    folder = register(team, make_folder())
    record = team.get(f"/models/{folder}").json()

    [entry] = able.manifest().json()["model_list"]

    assert (entry["id"], entry["is_folder"], entry["file_hash"]) == (folder, True, record["file_hash"])
    assert other.manifest().json()["model_list"] == []
    assert record["agents_desired"] == 1
    assert able.key.get(f"/models/{folder}/files").status_code == 200
    listed = {row["agent_id"]: row for row in team.get("/agents").json()["agent_list"]}
    assert (listed["render-07"]["models_desired"], listed["old-01"]["models_desired"]) == (1, 0)
    assert listed["render-07"]["agent_labels"] == []

    able.series, able.number = "one", 1
    report = {"model_list": build_states(folder), "is_whole": True, "is_last": True}
    able.beat(places_folders=True, **report)
    assert team.get(f"/models/{folder}").json()["agents_ready"] == 1
    able.beat()

    assert able.manifest().json()["model_list"] == []
    record = team.get(f"/models/{folder}").json()
    assert (record["agents_desired"], record["agents_ready"]) == (0, 0)


def test_labels_set_by_an_admin_keep_the_ability_to_place_folders(shared_registry: Harness) -> None:
    team = shared_registry.create_team()
    machine = add_machine(shared_registry, team)
    machine.beat(places_folders=True)
    folder = register(team, make_folder(), required_labels=["gpu"])
    assert machine.desired() == {}

    assert team.put(f"/agents/{machine.agent_id}", agent_labels=["gpu"]).status_code == 200

    assert [model["id"] for model in machine.manifest().json()["model_list"]] == [folder]


def test_assigned_folder_reaches_only_machines_that_place_folders(shared_registry: Harness) -> None:
    team = shared_registry.create_team()
    machine = add_machine(shared_registry, team)
    machine.beat(places_folders=True)
    folder = register(team, make_folder(), required_labels=["gpu"])

    assert team.put(f"/agents/{machine.agent_id}/models/{folder}").status_code == 200

    assert [model["id"] for model in machine.manifest().json()["model_list"]] == [folder]
    machine.beat()
    assert machine.manifest().json()["model_list"] == []


def test_entry_of_a_single_file_does_not_say_that_it_is_no_folder(shared_registry: Harness) -> None:
    team = shared_registry.create_team()
    machine = add_machine(shared_registry, team)
    team.register()

    # The manifest of a machine without folders is what it was, so no machine reads it again after an update.
    assert all("is_folder" not in entry for entry in machine.manifest().json()["model_list"])


def test_preview_evictions_counts_all_files_of_a_folder_and_never_evicts_it(shared_registry: Harness) -> None:
    team = shared_registry.create_team()
    machine = add_machine(shared_registry, team)
    machine.beat(places_folders=True)
    files = make_folder()
    register(team, files)

    preview = team.get(f"/agents/{machine.agent_id}/evictions", disk_budget_bytes=1).json()

    assert (preview["desired_bytes"], preview["evicted_count"]) == (sum(map(len, files.values())), 0)


def test_folder_is_not_found_by_a_machine_that_places_none(shared_registry: Harness) -> None:
    team = shared_registry.create_team()
    machine = add_machine(shared_registry, team)
    folder = register(team, make_folder())

    assert machine.key.get(f"/models/{folder}/files").status_code == 404
    assert machine.key.get(f"/models/{folder}/download").status_code == 404


def test_assign_folder_to_a_machine_that_places_none_is_refused(shared_registry: Harness) -> None:
    team = shared_registry.create_team()
    machine = add_machine(shared_registry, team)
    folder = register(team, make_folder())

    answer = team.put(f"/agents/{machine.agent_id}/models/{folder}")

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/model-is-folder")


def test_collection_with_a_folder_is_refused(shared_registry: Harness) -> None:
    team = shared_registry.create_team()
    folder = register(team, make_folder())

    answer = team.post("/collections", name="Ink", model_list=[{"model_id": folder}])

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "model_list.0.model_id")


def test_hugging_face_endpoint_does_not_serve_the_manifest_as_a_file(shared_registry: Harness) -> None:
    team = shared_registry.create_team()
    folder = register(team, make_folder())
    headers = team.headers

    answer = team.client.get(f"/hf/api/models/team/{folder}", headers=headers)

    assert answer.status_code == 404
