"""Deleting and restoring."""

from datetime import datetime, timedelta
from uuid import uuid4

from tests.server.world import Someone, World, a_model_file

CONTENT = a_model_file()


def test_a_deleted_model_is_gone_at_once_from_everything_but_the_trash(team: Someone) -> None:
    model_id = team.register(CONTENT)
    answer = team.delete(f"/models/{model_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert team.get("/models").json()["model_list"] == []
    for gone in (
        team.get(f"/models/{model_id}"),
        team.put(f"/models/{model_id}"),
        team.get(f"/models/{model_id}/download"),
        team.delete(f"/models/{model_id}"),
    ):
        assert (gone.status_code, gone.json()["error_code"]) == (404, "model_not_found")
    [trashed] = team.get("/models", deleted="true").json()["model_list"]
    assert trashed["id"] == model_id
    assert trashed["deleted_at"] is not None


def test_the_trash_says_until_when_a_model_can_come_back(team: Someone) -> None:
    model_id = team.register(CONTENT)
    assert team.get(f"/models/{model_id}").json()["restorable_until"] is None
    team.delete(f"/models/{model_id}")
    [trashed] = team.get("/models", deleted="true").json()["model_list"]
    kept = datetime.fromisoformat(trashed["restorable_until"]) - datetime.fromisoformat(trashed["deleted_at"])
    assert kept == timedelta(days=7)


def test_a_restored_model_is_what_it_was_and_downloads(shared_world: World, team: Someone) -> None:
    model_id = team.register(CONTENT, tags=["ink"])
    before = team.get(f"/models/{model_id}").json()
    team.delete(f"/models/{model_id}")
    restored = team.post(f"/models/{model_id}/restore")
    assert (restored.status_code, restored.json()) == (200, {"is_success": True})
    after = team.get(f"/models/{model_id}").json()
    assert after | {"updated_at": ""} == before | {"updated_at": ""}
    url = team.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    assert shared_world.client.get(url).content == CONTENT
    assert len(team.get("/models", tag="ink").json()["model_list"]) == 1


def test_a_model_whose_path_was_taken_meanwhile_stays_in_the_trash(team: Someone) -> None:
    model_id = team.register(CONTENT)
    team.delete(f"/models/{model_id}")
    new = team.register(a_model_file("new"), "loras/INK.safetensors")
    refused = team.post(f"/models/{model_id}/restore")
    problem = refused.json()
    assert (refused.status_code, problem["error_code"], problem["model_id"]) == (409, "model_path_taken", new)
    assert problem["free_path"] == "loras/ink_2.safetensors"
    team.delete(f"/models/{new}")
    assert team.post(f"/models/{model_id}/restore").status_code == 200


def test_the_trash_may_hold_many_of_one_path(team: Someone) -> None:
    for word in ("one", "two", "three"):
        team.delete(f"/models/{team.register(a_model_file(word))}")
    assert len(team.get("/models", deleted="true").json()["model_list"]) == 3


def test_only_what_is_in_the_teams_own_trash_can_be_restored(shared_world: World, team: Someone) -> None:
    living = team.register(CONTENT)
    other = shared_world.new_team()
    foreign = other.register(CONTENT)
    other.delete(f"/models/{foreign}")
    for model_id in (living, foreign, str(uuid4()), "%20"):
        refused = team.post(f"/models/{model_id}/restore")
        assert (refused.status_code, refused.json()["error_code"]) == (404, "model_not_found")


def test_a_replaced_model_comes_back_once_its_path_is_free(team: Someone) -> None:
    old = team.register(CONTENT)
    new = team.register(a_model_file("new"), replaces=old)
    assert team.post(f"/models/{old}/restore").status_code == 409
    team.delete(f"/models/{new}")
    assert team.post(f"/models/{old}/restore").status_code == 200


def test_bytes_of_a_deleted_model_need_not_be_sent_again(team: Someone) -> None:
    first = team.register(CONTENT)
    team.delete(f"/models/{first}")
    assert team.presign(CONTENT).json()["hash_first"] is True
    assert team.register(CONTENT) != first
