"""From bytes to a model."""

import pytest

from modelyard.server.settings import Settings
from tests.server.places import only_on
from tests.server.world import World, a_model_file, hash_of


def test_a_registered_model_is_listed_verified_and_downloads_as_the_same_bytes(world: World) -> None:
    content = a_model_file()
    model_id = world.owner.register(content)

    [listed] = world.owner.get("/models").json()["model_list"]
    assert (listed["id"], listed["verification"], listed["file_hash"]) == (model_id, "verified", hash_of(content))
    ticket = world.owner.get(f"/models/{model_id}/download", redirect="false").json()
    assert world.client.get(ticket["download_url"]).content == content


def test_half_an_upload_has_no_name(world: World) -> None:
    content = a_model_file()
    ticket = world.owner.presign(content).json()
    refused = world.owner.post("/models", **world.owner.new_model(content, storage_key=ticket["storage_key"]))
    assert (refused.status_code, refused.json()["error_code"], refused.json()["stored"]) == (
        409,
        "upload_incomplete",
        0,
    )


def test_the_same_request_again_answers_the_same_id(world: World) -> None:
    body = world.owner.new_model(a_model_file())
    first, again = world.owner.post("/models", **body), world.owner.post("/models", **body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert world.owner.get("/models").json()["page_meta"]["total_count"] == 1


def test_other_bytes_at_a_taken_path_are_told_both_hashes_and_a_free_path(world: World) -> None:
    held = a_model_file("held")
    world.owner.register(held, "loras/Ink.safetensors")
    sent = a_model_file("sent")
    refused = world.owner.post("/models", **world.owner.new_model(sent, "loras/ink.safetensors"))
    assert refused.status_code == 409
    problem = refused.json()
    assert (problem["held_hash"], problem["sent_hash"]) == (hash_of(held), hash_of(sent))
    assert problem["free_path"] == "loras/ink_2.safetensors"


@only_on("folder", reason="a bucket tells no digest: the worker finds out, as test_verification shows")
def test_a_wrong_hash_is_refused_with_the_right_one(world: World) -> None:
    content = a_model_file()
    refused = world.owner.post("/models", **world.owner.new_model(content, file_hash="sha256:" + "0" * 64))
    assert (refused.status_code, refused.json()["error_code"]) == (422, "hash_mismatch")
    assert refused.json()["stored_hash"] == hash_of(content)


def test_bytes_that_the_team_holds_are_not_sent_again(world: World) -> None:
    content = a_model_file()
    world.owner.register(content, "loras/one.safetensors")
    assert world.owner.presign(content, "loras/two.safetensors").json()["hash_first"] is True
    ticket = world.owner.presign(content, "loras/two.safetensors", file_hash=hash_of(content)).json()
    assert ticket["already_stored"] is True
    body = world.owner.new_model(content, "loras/two.safetensors", storage_key=ticket["storage_key"])
    assert world.owner.post("/models", **body).status_code == 201


def test_another_teams_bytes_are_never_already_stored(world: World) -> None:
    content = a_model_file()
    world.owner.register(content)
    ticket = world.other_team().presign(content, file_hash=hash_of(content)).json()
    assert (ticket["already_stored"], ticket["hash_first"]) == (False, False)


def test_replacing_swaps_the_bytes_and_keeps_the_old_record_in_the_trash(world: World) -> None:
    old = world.owner.register(a_model_file("old"))
    new = world.owner.register(a_model_file("new"), replaces=old)
    assert [model["id"] for model in world.owner.get("/models").json()["model_list"]] == [new]
    assert [model["id"] for model in world.owner.get("/models", deleted="true").json()["model_list"]] == [old]


def test_a_replacement_keeps_what_people_said_and_it_does_not_say(world: World) -> None:
    old = world.owner.register(a_model_file("old"), tags=["ink"], license="MIT", description="Ours.")
    new = world.owner.register(a_model_file("new"), replaces=old, license="CC0")
    said = world.owner.get(f"/models/{new}").json()
    assert (said["tags"], said["license"], said["description"]) == (["ink"], "CC0", "Ours.")


def test_a_page_of_html_is_named_as_what_it_is(world: World) -> None:
    refused = world.owner.post("/models", **world.owner.new_model(b"<!DOCTYPE html><html>not here</html>"))
    assert (refused.status_code, refused.json()["error_code"]) == (422, "not_a_model_file")
    assert "HTML" in refused.json()["detail"]


class TestASmallQuota:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"quota_bytes": 400})

    def test_refuses_before_the_first_byte(self, world: World) -> None:
        world.owner.register(a_model_file("one", 100), "loras/one.safetensors")
        refused = world.owner.presign(a_model_file("two", 300), "loras/two.safetensors")
        assert (refused.status_code, refused.json()["error_code"]) == (403, "quota_exceeded")
