"""Rules of registration: refusals and their order, repeated requests, replacements, and the fields of the model."""

from typing import Any
from uuid import uuid4

import pytest

from tests.server.environments import only_on
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file

CONTENT = make_model_file()
WRONG_HASH = "sha256:" + "0" * 64
LATE = "a bucket has no digest at registration: the worker verifies the content later"


def get_error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error_code", "")


@only_on("folder", reason=LATE)
def test_register_request_with_several_errors_returns_the_first_in_documented_order(
    shared_registry: Harness, team: ApiCaller
) -> None:
    team.register(CONTENT, "loras/taken.safetensors")
    viewer = shared_registry.create_member("viewer", team)
    html = b"<!DOCTYPE html><html>not here</html>"
    page, model = team.upload(html), team.upload(make_model_file("other"))
    not_uploaded = team.presign(html).json()["storage_key"]
    body = team.new_model(html, "loras/taken.safetensors", storage_key="models/none", file_hash=WRONG_HASH)
    other_size = {"storage_key": not_uploaded, "file_size": len(html) + 1}

    assert get_error(viewer.post("/models", **body)) == (403, "role_too_low")
    assert get_error(team.post("/models", **body)) == (404, "upload_not_found")
    assert get_error(team.post("/models", **body | other_size)) == (422, "size_mismatch")
    assert get_error(team.post("/models", **body | {"storage_key": not_uploaded})) == (409, "upload_incomplete")
    assert get_error(team.post("/models", **body | {"storage_key": page})) == (422, "not_a_model_file")
    other = team.new_model(make_model_file("other"), "loras/taken.safetensors", storage_key=model)
    assert get_error(team.post("/models", **other | {"file_hash": WRONG_HASH})) == (422, "hash_mismatch")
    assert get_error(team.post("/models", **other)) == (409, "model_path_taken")
    assert team.post("/models", **other | {"model_path": "loras/free.safetensors"}).status_code == 201


@only_on("folder", reason=LATE)
def test_register_after_refused_registration_of_the_same_upload_succeeds(team: ApiCaller) -> None:
    body = team.new_model(CONTENT)
    assert team.post("/models", **body | {"file_hash": WRONG_HASH}).status_code == 422
    assert team.post("/models", **body).status_code == 201


def test_register_upload_of_another_team_returns_the_same_404_as_unknown_upload(
    shared_registry: Harness, team: ApiCaller
) -> None:
    foreign = shared_registry.create_other_team().upload(CONTENT)
    refusals = [
        team.post("/models", **team.new_model(CONTENT, storage_key=key))
        for key in (foreign, f"models/{team.team_id}/{uuid4()}")
    ]
    assert [get_error(refusal) for refusal in refusals] == [(404, "upload_not_found")] * 2
    assert len({str(refusal.json() | {"request_id": ""}) for refusal in refusals}) == 1
    assert "POST /api/v1/models/presign" in refusals[0].json()["detail"]


@pytest.mark.parametrize("declared", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_register_other_size_than_presigned_returns_422_with_both_sizes(team: ApiCaller, declared: int) -> None:
    refused = team.post("/models", **team.new_model(CONTENT, file_size=declared))
    assert get_error(refused) == (422, "size_mismatch")
    problem = refused.json()
    assert (problem["presigned"], problem["registered"]) == (len(CONTENT), declared)
    assert [error["field"] for error in problem["errors"]] == ["file_size"]


def test_register_other_size_than_presigned_before_upload_returns_422(team: ApiCaller) -> None:
    key = team.presign(CONTENT).json()["storage_key"]
    refused = team.post("/models", **team.new_model(CONTENT, storage_key=key, file_size=1))
    assert get_error(refused) == (422, "size_mismatch")


def test_register_other_type_path_and_name_than_presigned_uses_the_registered_ones(team: ApiCaller) -> None:
    key = team.upload(CONTENT, "loras/asked.safetensors")
    model_id = team.register(CONTENT, "vae/named.safetensors", storage_key=key, display_name="Ünïcode ✓")
    model = team.get(f"/models/{model_id}").json()
    assert (model["model_type"], model["model_path"]) == ("vae", "vae/named.safetensors")
    assert (model["display_name"], model["storage_key"]) == ("Ünïcode ✓", key)


def test_register_path_with_models_prefix_is_returned_as_sent_and_compared_without_prefix(team: ApiCaller) -> None:
    model_id = team.register(CONTENT, "models/loras/ink.safetensors")
    assert team.get(f"/models/{model_id}").json()["model_path"] == "models/loras/ink.safetensors"
    refused = team.post("/models", **team.new_model(make_model_file("other"), "loras/INK.safetensors"))
    assert (*get_error(refused), refused.json()["model_path"]) == (
        409,
        "model_path_taken",
        "models/loras/ink.safetensors",
    )


def test_register_same_path_under_alias_of_type_folder_returns_409(team: ApiCaller) -> None:
    team.register(CONTENT, "unet/flux.safetensors")
    refused = team.post("/models", **team.new_model(make_model_file("other"), "diffusion_models/flux.safetensors"))
    assert get_error(refused) == (409, "model_path_taken")


def test_register_path_that_another_team_uses_succeeds(shared_registry: Harness, team: ApiCaller) -> None:
    team.register(CONTENT)
    shared_registry.create_team().register(make_model_file("other"))


def test_register_with_optional_fields_stores_them(team: ApiCaller) -> None:
    given: dict[str, Any] = {
        "description": "two\nlines",
        "tags": ["a", "b"],
        "license": "CC-BY-4.0",
        "source_url": "https://models.example/42",
        "required_labels": ["gpu24"],
    }
    model = team.get(f"/models/{team.register(CONTENT, **given)}").json()
    assert {name: model[name] for name in given} == given


def test_register_with_unknown_field_ignores_it(team: ApiCaller) -> None:
    assert team.post("/models", **team.new_model(CONTENT), workflow={"a": [1]}).status_code == 201


def test_register_upload_again_at_another_path_returns_409_upload_used(team: ApiCaller) -> None:
    model_id = team.register(CONTENT, "loras/one.safetensors")
    key = team.get(f"/models/{model_id}").json()["storage_key"]
    again = team.post("/models", **team.new_model(CONTENT, "loras/two.safetensors", storage_key=key))
    assert (*get_error(again), again.json()["model_id"]) == (409, "upload_used", model_id)


def test_register_same_content_with_other_fields_returns_200_and_sets_them(team: ApiCaller) -> None:
    model_id = team.register(CONTENT, tags=["old"], license="MIT")
    changed: dict[str, Any] = {"display_name": "another", "tags": ["new"], "description": "Ours."}
    again = team.post("/models", **team.new_model(CONTENT, **changed))
    assert (again.status_code, again.json()) == (200, {"id": model_id})
    model = team.get(f"/models/{model_id}").json()
    assert {name: model[name] for name in changed} == changed
    assert (model["license"], model["version_count"]) == ("MIT", 1)


def test_repeat_registration_with_other_tags_sets_them(team: ApiCaller) -> None:
    body = team.new_model(CONTENT)
    model_id = team.post("/models", **body).json()["id"]
    assert team.post("/models", **body, tags=["night"]).json() == {"id": model_id}
    assert team.get(f"/models/{model_id}").json()["tags"] == ["night"]


def test_register_same_content_with_null_fields_keeps_them(team: ApiCaller) -> None:
    model_id = team.register(CONTENT, license="MIT")
    assert team.post("/models", **team.new_model(CONTENT), license=None, description=None).status_code == 200
    assert team.get(f"/models/{model_id}").json()["license"] == "MIT"


def test_register_same_content_as_member_returns_403_with_the_fields_that_differ(
    shared_registry: Harness, team: ApiCaller
) -> None:
    team.register(CONTENT, tags=["ours"])
    member = shared_registry.create_member("member", team)
    body = member.new_model(CONTENT)
    assert member.post("/models", **body).status_code == 200
    refused = member.post("/models", **body, tags=["mine"])
    assert get_error(refused) == (403, "role_too_low")
    assert [error["field"] for error in refused.json()["errors"]] == ["tags"]


def test_register_repeated_new_version_returns_200_and_adds_one(team: ApiCaller) -> None:
    old = team.register(CONTENT)
    body = team.new_model(make_model_file("new"), replaces=old, expected_version=1)
    first, again = team.post("/models", **body), team.post("/models", **body)
    assert (first.status_code, again.status_code, first.json()) == (200, 200, again.json())
    assert first.json() == {"id": old}
    assert team.get(f"/models/{old}/versions").json()["page_meta"]["total_count"] == 2


def test_register_new_version_at_another_path_returns_422_that_names_the_field(team: ApiCaller) -> None:
    old = team.register(CONTENT)
    body = team.new_model(make_model_file("new"), "loras/elsewhere.safetensors", replaces=old)
    refused = team.post("/models", **body)
    assert get_error(refused) == (422, "invalid_request")
    assert [error["field"] for error in refused.json()["errors"]] == ["model_path"]


def test_register_new_version_after_another_returns_409_with_number_creator_and_hash(team: ApiCaller) -> None:
    old = team.register(CONTENT)
    team.register(make_model_file("new"), replaces=old)
    refused = team.post("/models", **team.new_model(make_model_file("newer"), replaces=old, expected_version=1))
    assert get_error(refused) == (409, "version_conflict")
    facts = refused.json()
    creator = team.get(f"/models/{old}").json()["created_by"]["display_name"]
    assert (facts["version"], facts["created_by"]) == (2, creator)
    assert facts["file_hash"] == hash_of(make_model_file("new"))


def test_register_new_version_after_the_newest_was_deleted_is_no_conflict(team: ApiCaller) -> None:
    old = team.register(CONTENT)
    team.register(make_model_file("new"), replaces=old)
    team.post(f"/models/{old}/versions/1/activate")
    team.delete(f"/models/{old}/versions/2")
    team.register(make_model_file("newer"), replaces=old, expected_version=2)
    assert team.get(f"/models/{old}").json()["version"] == 3


def test_register_new_version_of_someone_elses_model_returns_403_also_after_another(
    shared_registry: Harness, team: ApiCaller
) -> None:
    old = team.register(CONTENT)
    team.register(make_model_file("new"), replaces=old)
    member = shared_registry.create_member("member", team)
    key = member.upload(make_model_file("newer"))
    body = member.new_model(make_model_file("newer"), storage_key=key, replaces=old, expected_version=1)
    assert get_error(member.post("/models", **body)) == (403, "role_too_low")


def test_register_with_expected_version_and_no_model_to_replace_returns_422(team: ApiCaller) -> None:
    refused = team.post("/models", **team.new_model(CONTENT), expected_version=1)
    assert get_error(refused) == (422, "invalid_request")
    assert [error["field"] for error in refused.json()["errors"]] == ["expected_version"]


def test_register_new_version_with_fields_sets_them_and_keeps_the_others(team: ApiCaller) -> None:
    old = team.register(CONTENT, tags=["ink"], license="MIT", description="Ours.")
    team.register(make_model_file("new"), replaces=old, license="CC0", note="Trained on more pictures.")
    model = team.get(f"/models/{old}").json()
    assert (model["tags"], model["license"], model["description"]) == (["ink"], "CC0", "Ours.")
    assert team.get(f"/models/{old}/versions/2").json()["note"] == "Trained on more pictures."


def test_register_new_version_of_unknown_or_foreign_model_returns_404(
    shared_registry: Harness, team: ApiCaller
) -> None:
    foreign = shared_registry.create_team().register(CONTENT)
    for missing in (foreign, str(uuid4())):
        refused = team.post("/models", **team.new_model(make_model_file("new"), replaces=missing))
        assert (*get_error(refused), refused.json()["field"]) == (404, "model_not_found", "replaces")
    assert team.get("/models").json()["model_list"] == []


def test_register_stored_content_with_extension_of_another_format_returns_422(team: ApiCaller) -> None:
    team.register(CONTENT)
    storage_key = team.presign(CONTENT, "loras/ink.gguf", file_hash=hash_of(CONTENT)).json()["storage_key"]
    refused = team.post("/models", **team.new_model(CONTENT, "loras/ink.gguf", storage_key=storage_key))
    assert get_error(refused) == (422, "not_a_model_file")


def test_register_stored_content_at_second_path_has_equal_metadata(team: ApiCaller) -> None:
    first = team.register(CONTENT)
    storage_key = team.presign(CONTENT, "loras/two.safetensors", file_hash=hash_of(CONTENT)).json()["storage_key"]
    second = team.register(CONTENT, "loras/two.safetensors", storage_key=storage_key)
    metadata = [team.get(f"/models/{model_id}").json()["metadata"] for model_id in (first, second)]
    assert metadata[0]["format"] == "safetensors"
    assert metadata[0] == metadata[1]


@only_on("folder", reason=LATE)
def test_register_same_content_at_two_paths_counts_its_size_once(team: ApiCaller) -> None:
    team.register(CONTENT, "loras/one.safetensors")
    team.register(CONTENT, "loras/two.safetensors")
    assert team.get("/teams/current").json()["stored_bytes"] == len(CONTENT)


def test_register_pickle_after_the_team_has_come_to_block_them_returns_422_with_the_policy_that_takes_them(
    team: ApiCaller,
) -> None:
    assert team.put("/teams/current", pickle_policy="scan").status_code == 200
    new = team.new_model(b"\x80\x02}q\x00.", "checkpoints/old.ckpt")
    assert team.put("/teams/current", pickle_policy="block").status_code == 200
    refused = team.post("/models", **new)
    assert get_error(refused) == (422, "not_a_model_file")
    assert refused.json()["permitted_by"] == "scan"


def test_register_by_device_key_names_the_device_and_its_user_as_creator(shared_registry: Harness) -> None:
    member = shared_registry.create_member("member")
    path = f"loras/{uuid4()}.safetensors"
    model = member.get(f"/models/{shared_registry.create_device(member).register(CONTENT, path)}").json()
    assert model["created_by"]["kind"] == "device"
    assert model["created_by"]["id"] == member.user_id


def test_get_model_has_all_documented_fields(team: ApiCaller) -> None:
    model = team.get(f"/models/{team.register(CONTENT)}").json()
    source_fields = (
        "id display_name model_type storage_key file_size file_hash model_path model_status created_at updated_at"
    )
    own_fields = (
        "verification verification_error blake3_hash created_by description tags license source_url "
        "required_labels agents_ready agents_desired metadata"
    )
    assert set(model) >= set(f"{source_fields} {own_fields}".split())
    assert (model["model_status"], model["file_size"], model["file_hash"]) == ("active", len(CONTENT), hash_of(CONTENT))
    assert set(model["created_by"]) == {"kind", "id", "display_name"}
    assert set(model["metadata"]) >= {"format", "parameter_count"}
