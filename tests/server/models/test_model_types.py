"""Model types: a near miss of a known one is refused, a new one is accepted, and old rows still work."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from modelyard.server.models.tables import ModelRow
from modelyard.wire.paths import parse_model_path
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file

CONTENT = make_model_file()
NEAR_MISSES = pytest.mark.parametrize(
    ("model_type", "suggestion"),
    [
        ("lora", "loras"),
        ("vea", "vae"),
        ("loars", "loras"),
        ("Checkpoints", "checkpoints"),
        ("checkpoint", "checkpoints"),
        ("controlnets", "controlnet"),
    ],
)
NEW_TYPE = "our_masks"


@pytest.fixture
def register_odd(shared_registry: Harness, team: ApiCaller) -> Callable[[], str]:
    """Register a model and give it the type ``lora``, as a registry before this rule accepted it."""

    def register() -> str:
        model_id = team.register(CONTENT, "loras/ink.safetensors")
        with shared_registry.resources.database.writing(UUID(team.team_id)) as session:
            row = session.get(ModelRow, UUID(model_id))
            assert row is not None
            path = parse_model_path("lora", "lora/ink.safetensors")
            row.model_type, row.model_path = "lora", path.relative
            row.canonical_type, row.path_key = path.canonical_type, path.key
        return model_id

    return register


def check_refused(answer: Any, suggestion: str) -> None:
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert (problem["error_code"], problem["suggestion"]) == ("model_type_unknown", suggestion)
    assert [error["field"] for error in problem["errors"]] == ["model_type"]
    assert suggestion in problem["detail"]


@NEAR_MISSES
def test_presign_near_miss_of_known_type_returns_422_with_suggestion(
    team: ApiCaller, model_type: str, suggestion: str
) -> None:
    check_refused(team.presign(CONTENT, f"{model_type}/ink.safetensors"), suggestion)


@NEAR_MISSES
def test_register_near_miss_of_known_type_returns_422_with_suggestion(
    team: ApiCaller, model_type: str, suggestion: str
) -> None:
    key = team.upload(CONTENT)
    path = f"{model_type}/ink.safetensors"
    check_refused(team.post("/models", **team.new_model(CONTENT, path, storage_key=key)), suggestion)
    assert team.post("/models", **team.new_model(CONTENT, storage_key=key)).status_code == 201


@NEAR_MISSES
def test_update_to_near_miss_of_known_type_returns_422_with_suggestion(
    team: ApiCaller, model_type: str, suggestion: str
) -> None:
    model_id = team.register(CONTENT)
    change = {"model_type": model_type, "model_path": f"{model_type}/ink.safetensors"}
    check_refused(team.put(f"/models/{model_id}", **change), suggestion)
    assert team.get(f"/models/{model_id}").json()["model_type"] == "loras"


@pytest.mark.parametrize("model_type", [NEW_TYPE, "LLM", "llm", "sam3", "unet", "clip"])
def test_new_and_known_types_are_accepted_in_registration_and_change(team: ApiCaller, model_type: str) -> None:
    team.register(CONTENT, f"{model_type}/ink.safetensors")
    other = team.register(make_model_file("other"), "vae/other.safetensors")
    change = {"model_type": model_type, "model_path": f"{model_type}/other.safetensors"}
    assert team.put(f"/models/{other}", **change).status_code == 200


def test_model_with_odd_type_is_listed_changed_deleted_and_restored(
    team: ApiCaller, register_odd: Callable[[], str]
) -> None:
    model_id = register_odd()
    assert [model["model_type"] for model in team.get("/models", model_type="lora").json()["model_list"]] == ["lora"]
    assert team.put(f"/models/{model_id}", display_name="Ink", model_type="lora").status_code == 200
    assert team.put(f"/models/{model_id}", model_path="lora/sub/ink.safetensors").status_code == 200
    assert team.delete(f"/models/{model_id}").status_code == 204
    assert team.post(f"/models/{model_id}/restore").status_code == 200


def test_register_again_at_model_with_odd_type_returns_its_id(team: ApiCaller, register_odd: Callable[[], str]) -> None:
    model_id, path = register_odd(), "lora/ink.safetensors"
    key = team.presign(CONTENT, path, file_hash=hash_of(CONTENT)).json()["storage_key"]
    again = team.post("/models", **team.new_model(CONTENT, path, storage_key=key))
    assert (again.status_code, again.json()["id"]) == (200, model_id)


def test_register_replacement_of_model_with_odd_type_keeps_its_type(
    team: ApiCaller, register_odd: Callable[[], str]
) -> None:
    old, path, content = register_odd(), "lora/ink.safetensors", make_model_file("new")
    key = team.upload(content, path, replaces=old)
    body = team.new_model(content, path, storage_key=key, replaces=old)
    answer = team.post("/models", **body)
    assert (answer.status_code, answer.json()["id"]) == (200, old), answer.text


def test_register_other_path_with_odd_type_that_the_team_uses_succeeds(
    team: ApiCaller, register_odd: Callable[[], str]
) -> None:
    model_id = register_odd()
    team.register(make_model_file("new"), "lora/new.safetensors")
    team.delete(f"/models/{model_id}")
    team.register(make_model_file("newer"), "lora/newer.safetensors")


def test_presign_odd_type_that_only_another_team_uses_returns_422(
    shared_registry: Harness, register_odd: Callable[[], str]
) -> None:
    register_odd()
    check_refused(shared_registry.create_team().presign(CONTENT, "lora/new.safetensors"), "loras")
