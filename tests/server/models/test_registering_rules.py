"""Registration: what is refused, in which order, and what a repeat answers."""

from typing import Any
from uuid import uuid4

import pytest

from tests.server.places import only_on
from tests.server.world import Someone, World, a_model_file, hash_of

CONTENT = a_model_file()
WRONG_HASH = "sha256:" + "0" * 64
LATE = "a bucket tells no digest: what the bytes are is known when the worker has read them"


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error_code", "")


@only_on("folder", reason=LATE)
def test_of_many_faults_the_first_in_the_contracts_order_is_told(shared_world: World, team: Someone) -> None:
    team.register(CONTENT, "loras/taken.safetensors")
    viewer = shared_world.person("viewer", team)
    html = b"<!DOCTYPE html><html>not here</html>"
    page, model = team.upload(html), team.upload(a_model_file("other"))
    unsent = team.presign(html).json()["storage_key"]
    body = team.new_model(html, "loras/taken.safetensors", storage_key="models/none", file_hash=WRONG_HASH)

    assert code(viewer.post("/models", **body)) == (403, "role_too_low")
    assert code(team.post("/models", **body)) == (404, "upload_not_found")
    assert code(team.post("/models", **body | {"storage_key": unsent})) == (409, "upload_incomplete")
    assert code(team.post("/models", **body | {"storage_key": page})) == (422, "not_a_model_file")
    other = team.new_model(a_model_file("other"), "loras/taken.safetensors", storage_key=model)
    assert code(team.post("/models", **other | {"file_hash": WRONG_HASH})) == (422, "hash_mismatch")
    assert code(team.post("/models", **other)) == (409, "model_path_taken")
    assert team.post("/models", **other | {"model_path": "loras/free.safetensors"}).status_code == 201


@only_on("folder", reason=LATE)
def test_a_refused_registration_leaves_the_upload_as_it_was(team: Someone) -> None:
    body = team.new_model(CONTENT)
    assert team.post("/models", **body | {"file_hash": WRONG_HASH}).status_code == 422
    assert team.post("/models", **body).status_code == 201


def test_another_teams_upload_looks_like_none(shared_world: World, team: Someone) -> None:
    foreign = shared_world.other_team().upload(CONTENT)
    refusals = [
        team.post("/models", **team.new_model(CONTENT, storage_key=key))
        for key in (foreign, f"models/{team.team_id}/{uuid4()}")
    ]
    assert [code(refusal) for refusal in refusals] == [(404, "upload_not_found")] * 2
    assert len({str(refusal.json() | {"request_id": ""}) for refusal in refusals}) == 1


@pytest.mark.parametrize("declared", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_another_size_than_announced_is_told_how_much_is_there(team: Someone, declared: int) -> None:
    refused = team.post("/models", **team.new_model(CONTENT, file_size=declared))
    assert (*code(refused), refused.json()["stored"]) == (409, "upload_incomplete", len(CONTENT))


def test_type_path_and_name_may_differ_from_presigns(team: Someone) -> None:
    key = team.upload(CONTENT, "loras/asked.safetensors")
    model_id = team.register(CONTENT, "vae/named.safetensors", storage_key=key, display_name="Ünïcode ✓")
    model = team.get(f"/models/{model_id}").json()
    assert (model["model_type"], model["model_path"]) == ("vae", "vae/named.safetensors")
    assert (model["display_name"], model["storage_key"]) == ("Ünïcode ✓", key)


def test_a_path_is_returned_as_sent_and_compared_without_its_models_prefix(team: Someone) -> None:
    model_id = team.register(CONTENT, "models/loras/ink.safetensors")
    assert team.get(f"/models/{model_id}").json()["model_path"] == "models/loras/ink.safetensors"
    refused = team.post("/models", **team.new_model(a_model_file("other"), "loras/INK.safetensors"))
    assert (*code(refused), refused.json()["model_path"]) == (409, "model_path_taken", "models/loras/ink.safetensors")


def test_two_names_of_one_comfyui_folder_are_one_folder(team: Someone) -> None:
    team.register(CONTENT, "unet/flux.safetensors")
    refused = team.post("/models", **team.new_model(a_model_file("other"), "diffusion_models/flux.safetensors"))
    assert code(refused) == (409, "model_path_taken")


def test_two_teams_may_have_the_same_path(shared_world: World, team: Someone) -> None:
    team.register(CONTENT)
    shared_world.new_team().register(a_model_file("other"))


def test_our_fields_of_the_record_may_be_given_at_once(team: Someone) -> None:
    given: dict[str, Any] = {
        "description": "two\nlines",
        "tags": ["a", "b"],
        "license": "CC-BY-4.0",
        "source_url": "https://models.example/42",
        "required_labels": ["gpu24"],
    }
    model = team.get(f"/models/{team.register(CONTENT, **given)}").json()
    assert {name: model[name] for name in given} == given


def test_unknown_fields_are_ignored(team: Someone) -> None:
    assert team.post("/models", **team.new_model(CONTENT), workflow={"a": [1]}).status_code == 201


def test_a_key_registers_once(team: Someone) -> None:
    model_id = team.register(CONTENT, "loras/one.safetensors")
    key = team.get(f"/models/{model_id}").json()["storage_key"]
    again = team.post("/models", **team.new_model(CONTENT, "loras/two.safetensors", storage_key=key))
    assert (*code(again), again.json()["model_id"]) == (409, "upload_used", model_id)


def test_the_same_bytes_at_the_same_path_answer_the_existing_model(team: Someone) -> None:
    model_id = team.register(CONTENT)
    again = team.post("/models", **team.new_model(CONTENT, display_name="another"))
    assert (again.status_code, again.json()) == (200, {"id": model_id})
    assert team.get(f"/models/{model_id}").json()["display_name"] == "ink.safetensors"


def test_a_lost_answer_of_a_replacement_costs_nothing(team: Someone) -> None:
    old = team.register(CONTENT)
    body = team.new_model(a_model_file("new"), replaces=old)
    first, again = team.post("/models", **body), team.post("/models", **body)
    assert (first.status_code, again.status_code, first.json()) == (201, 200, again.json())
    assert team.get("/models").json()["page_meta"]["total_count"] == 1


def test_a_replacement_may_take_another_path(team: Someone) -> None:
    old = team.register(CONTENT)
    team.register(a_model_file("new"), "loras/elsewhere.safetensors", replaces=old)
    assert [model["model_path"] for model in team.get("/models").json()["model_list"]] == [
        "loras/elsewhere.safetensors"
    ]


def test_what_is_to_be_replaced_must_be_there(shared_world: World, team: Someone) -> None:
    foreign = shared_world.new_team().register(CONTENT)
    for missing in (foreign, str(uuid4())):
        refused = team.post("/models", **team.new_model(a_model_file("new"), replaces=missing))
        assert (*code(refused), refused.json()["field"]) == (404, "model_not_found", "replaces")
    assert team.get("/models").json()["model_list"] == []


def test_a_refused_replacement_leaves_the_old_model(team: Someone) -> None:
    old = team.register(CONTENT)
    team.register(a_model_file("taken"), "loras/taken.safetensors")
    body = team.new_model(a_model_file("new"), "loras/taken.safetensors", replaces=old)
    assert code(team.post("/models", **body)) == (409, "model_path_taken")
    assert team.get(f"/models/{old}").status_code == 200
    assert team.get("/models").json()["page_meta"]["total_count"] == 2


def test_bytes_that_the_team_holds_are_checked_under_their_new_name_too(team: Someone) -> None:
    team.register(CONTENT)
    handle = team.presign(CONTENT, "loras/ink.gguf", file_hash=hash_of(CONTENT)).json()["storage_key"]
    refused = team.post("/models", **team.new_model(CONTENT, "loras/ink.gguf", storage_key=handle))
    assert code(refused) == (422, "not_a_model_file")


def test_a_second_name_of_held_bytes_has_their_metadata(team: Someone) -> None:
    first = team.register(CONTENT)
    handle = team.presign(CONTENT, "loras/two.safetensors", file_hash=hash_of(CONTENT)).json()["storage_key"]
    second = team.register(CONTENT, "loras/two.safetensors", storage_key=handle)
    metadata = [team.get(f"/models/{model_id}").json()["metadata"] for model_id in (first, second)]
    assert metadata[0]["format"] == "safetensors"
    assert metadata[0] == metadata[1]


@only_on("folder", reason=LATE)
def test_shared_bytes_are_counted_once(team: Someone) -> None:
    team.register(CONTENT, "loras/one.safetensors")
    team.register(CONTENT, "loras/two.safetensors")
    assert team.get("/teams/current").json()["stored_bytes"] == len(CONTENT)


def test_pickles_are_blocked_by_default_and_the_refusal_names_the_setting(team: Someone) -> None:
    pickle = b"\x80\x02}q\x00."
    refused = team.post("/models", **team.new_model(pickle, "checkpoints/old.ckpt"))
    assert code(refused) == (422, "not_a_model_file")
    assert "pickle_policy" in refused.json()["detail"]


def test_what_a_device_registers_was_made_by_its_user(shared_world: World) -> None:
    member = shared_world.person("member")
    path = f"loras/{uuid4()}.safetensors"
    model = member.get(f"/models/{shared_world.device(member).register(CONTENT, path)}").json()
    assert model["created_by"]["kind"] == "device"
    assert model["created_by"]["id"] == member.user_id


def test_the_record_has_what_the_contract_lists(team: Someone) -> None:
    model = team.get(f"/models/{team.register(CONTENT)}").json()
    source = "id display_name model_type storage_key file_size file_hash model_path model_status created_at updated_at"
    ours = (
        "verification verification_error blake3_hash created_by description tags license source_url "
        "required_labels agents_ready agents_wanted metadata"
    )
    assert set(model) >= set(f"{source} {ours}".split())
    assert (model["model_status"], model["file_size"], model["file_hash"]) == ("active", len(CONTENT), hash_of(CONTENT))
    assert set(model["created_by"]) == {"kind", "id", "display_name"}
    assert set(model["metadata"]) >= {"format", "parameter_count"}
