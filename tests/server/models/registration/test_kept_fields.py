"""What a registration leaves as it is on a model that exists already."""

import pytest

from tests.server.harness import ApiCaller, Harness, make_model_file

CONTENT = make_model_file()


@pytest.mark.parametrize("keeps_name", [True, False])
def test_register_new_version_after_a_rename_keeps_or_sets_the_name(team: ApiCaller, keeps_name: bool) -> None:
    model_id = team.register(CONTENT, display_name="read before the upload")
    body = team.new_model(make_model_file("new"), display_name="read before the upload", keeps_name=keeps_name)
    team.put(f"/models/{model_id}", display_name="renamed meanwhile")
    assert team.post("/models", **body, replaces=model_id).status_code == 200
    kept = "renamed meanwhile" if keeps_name else "read before the upload"
    assert team.get(f"/models/{model_id}").json()["display_name"] == kept


def test_register_same_content_and_repeated_keeps_the_name_and_sets_other_fields(team: ApiCaller) -> None:
    model_id = team.register(CONTENT, display_name="renamed")
    body = team.new_model(CONTENT, display_name="ink", keeps_name=True, license="MIT")
    for _ in ("same content", "repeated"):
        assert team.post("/models", **body).json()["id"] == model_id
    model = team.get(f"/models/{model_id}").json()
    assert (model["display_name"], model["license"]) == ("renamed", "MIT")


def test_register_same_content_as_member_keeping_the_name_is_allowed(shared_registry: Harness, team: ApiCaller) -> None:
    model_id = team.register(CONTENT, display_name="renamed")
    member = shared_registry.create_member("member", team)
    answer = member.post("/models", **member.new_model(CONTENT, display_name="ink", keeps_name=True))
    assert (answer.status_code, answer.json()["id"]) == (200, model_id)


def test_register_new_model_that_keeps_its_name_gets_the_sent_one(team: ApiCaller) -> None:
    model_id = team.register(CONTENT, display_name="ink", keeps_name=True)
    assert team.get(f"/models/{model_id}").json()["display_name"] == "ink"


def test_register_same_content_with_other_spelling_of_path_and_type_says_what_is_kept(team: ApiCaller) -> None:
    model_id = team.register(CONTENT, "models/unet/Ink.safetensors")
    answer = team.post("/models", **team.new_model(CONTENT, "diffusion_models/ink.safetensors"))
    assert (answer.status_code, answer.json()["id"]) == (200, model_id)
    assert answer.json()["ignored_list"] == [
        {
            "field": "model_path",
            "sent": "diffusion_models/ink.safetensors",
            "kept": "models/unet/Ink.safetensors",
        },
        {"field": "model_type", "sent": "diffusion_models", "kept": "unet"},
    ]
    model = team.get(f"/models/{model_id}").json()
    assert (model["model_path"], model["model_type"]) == ("models/unet/Ink.safetensors", "unet")


def test_register_new_version_and_repeated_with_other_spelling_of_path_says_what_is_kept(team: ApiCaller) -> None:
    model_id = team.register(CONTENT, "loras/Ink.safetensors")
    body = team.new_model(make_model_file("new"), replaces=model_id)
    for _ in ("new version", "repeated"):
        [ignored] = team.post("/models", **body).json()["ignored_list"]
        assert (ignored["field"], ignored["kept"]) == ("model_path", "loras/Ink.safetensors")


def test_register_batch_with_other_spelling_of_path_says_what_is_kept(team: ApiCaller) -> None:
    team.register(CONTENT, "loras/Ink.safetensors")
    answer = team.post("/models/register-batch", model_list=[team.new_model(CONTENT)])
    [result] = answer.json()["result_list"]
    assert (result["status"], [ignored["field"] for ignored in result["ignored_list"]]) == (200, ["model_path"])


def test_register_same_content_with_or_without_models_prefix_ignores_nothing(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    again = team.post("/models", **team.new_model(CONTENT, "models/loras/ink.safetensors", model_type="loras"))
    assert again.json() == {"id": model_id}


@pytest.mark.parametrize("changed", [-1, 1])
def test_repeat_registration_with_other_size_returns_422(team: ApiCaller, changed: int) -> None:
    body = team.new_model(CONTENT)
    assert team.post("/models", **body).status_code == 201
    refused = team.post("/models", **body | {"file_size": len(CONTENT) + changed})
    assert (refused.status_code, refused.json()["error_code"]) == (422, "size_mismatch")
    assert [error["field"] for error in refused.json()["errors"]] == ["file_size"]


def test_register_new_version_after_one_that_never_was_returns_409_with_the_newest(team: ApiCaller) -> None:
    model_id = team.register(CONTENT)
    body = team.new_model(make_model_file("new"), replaces=model_id, expected_version=7)
    refused = team.post("/models", **body)
    assert (refused.status_code, refused.json()["error_code"], refused.json()["version"]) == (
        409,
        "version_conflict",
        1,
    )
    assert refused.json()["detail"].startswith("The model has no version 7: its newest is 1, by ")
