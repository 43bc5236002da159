"""Deletion of models to the trash, and their restoration."""

from datetime import datetime, timedelta
from uuid import uuid4

from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file

CONTENT = make_model_file()


def test_delete_model_returns_404_everywhere_and_lists_it_in_the_trash(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    answer = team.delete(f"/models/{model_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert team.get("/models").json()["model_list"] == []
    for response in (
        team.get(f"/models/{model_id}"),
        team.put(f"/models/{model_id}"),
        team.get(f"/models/{model_id}/download"),
        team.delete(f"/models/{model_id}"),
    ):
        assert (response.status_code, response.json()["error_code"]) == (404, "model_not_found")
    [trashed] = team.get("/models", deleted="true").json()["model_list"]
    assert trashed["id"] == model_id
    assert trashed["deleted_at"] is not None


def test_list_trash_restorable_until_is_seven_days_after_deletion(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    assert team.get(f"/models/{model_id}").json()["restorable_until"] is None
    team.delete(f"/models/{model_id}")
    [trashed] = team.get("/models", deleted="true").json()["model_list"]
    duration = datetime.fromisoformat(trashed["restorable_until"]) - datetime.fromisoformat(trashed["deleted_at"])
    assert duration == timedelta(days=7)


def test_restore_model_has_its_former_fields_and_downloads(shared_registry: Harness, team: ApiCaller) -> None:
    model_id = team.register(CONTENT, tags=["ink"])
    before = team.get(f"/models/{model_id}").json()
    team.delete(f"/models/{model_id}")
    restored = team.post(f"/models/{model_id}/restore")
    assert (restored.status_code, restored.json()) == (200, {"is_success": True})
    after = team.get(f"/models/{model_id}").json()
    assert after | {"updated_at": ""} == before | {"updated_at": ""}
    url = team.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    assert shared_registry.client.get(url).content == CONTENT
    assert len(team.get("/models", tag="ink").json()["model_list"]) == 1


def test_restore_model_at_taken_path_returns_409_until_the_path_is_free(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    team.delete(f"/models/{model_id}")
    new = team.register(make_model_file("new"), "loras/INK.safetensors")
    refused = team.post(f"/models/{model_id}/restore")
    problem = refused.json()
    assert (refused.status_code, problem["error_code"], problem["model_id"]) == (409, "model_path_taken", new)
    assert (problem["free_path"], problem["restored_id"]) == ("loras/ink_2.safetensors", model_id)
    assert (problem["held_hash"], problem["sent_hash"]) == (hash_of(make_model_file("new")), hash_of(CONTENT))
    team.delete(f"/models/{new}")
    assert team.post(f"/models/{model_id}/restore").status_code == 200


def test_delete_three_models_of_one_path_lists_all_in_the_trash(team: ApiCaller) -> None:
    for word in ("one", "two", "three"):
        team.delete(f"/models/{team.register(make_model_file(word))}")
    assert len(team.get("/models", deleted="true").json()["model_list"]) == 3


def test_restore_listed_foreign_or_unknown_model_returns_404(shared_registry: Harness, team: ApiCaller) -> None:
    living = team.register(CONTENT)
    other = shared_registry.create_team()
    foreign = other.register(CONTENT)
    other.delete(f"/models/{foreign}")
    for model_id in (living, foreign, str(uuid4()), "%20"):
        refused = team.post(f"/models/{model_id}/restore")
        assert (refused.status_code, refused.json()["error_code"]) == (404, "model_not_found")


def test_restore_model_with_two_versions_restores_both(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    team.register(make_model_file("new"), replaces=model_id)
    team.delete(f"/models/{model_id}")
    assert team.get(f"/models/{model_id}/versions").status_code == 404
    assert team.post(f"/models/{model_id}/restore").status_code == 200
    assert team.get(f"/models/{model_id}/versions").json()["page_meta"]["total_count"] == 2


def test_presign_file_of_the_size_of_a_trashed_model_asks_for_its_hash_first(team: ApiCaller) -> None:
    first = team.register(CONTENT)
    team.delete(f"/models/{first}")
    assert team.presign(CONTENT).json()["hash_first"] is True
    assert team.register(CONTENT) != first
