"""``POST /workflows/rewrite`` on real models."""

import json
from typing import Any

import httpx2
import pytest

from modelyard.server.workflows.request_reading import MAX_BYTES_WITHOUT_SANDBOX
from modelyard.server.workflows.rewriting import MAX_REWRITTEN_BYTES
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file

LORA = "portraits/ink.safetensors"


@pytest.fixture(scope="module")
def team(module_registry: Harness) -> ApiCaller:
    """The owner of a team with a LoRA."""
    owner = module_registry.create_team()
    owner.register(make_model_file("ink"), f"loras/{LORA}")
    return owner


def rewrite(caller: ApiCaller, body: bytes | dict[str, Any], query: str = "") -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return caller.call("POST", f"/workflows/rewrite{query}", content=content)


def build_workflow(*names: str, **inputs: object) -> dict[str, Any]:
    nodes = [{"class_type": "LoraLoader", "inputs": {"lora_name": name} | inputs} for name in names]
    return {str(number): node for number, node in enumerate(nodes)}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [LORA, "portraits\\ink.safetensors", "none.safetensors"]),
        ("?slashes=posix", [LORA, LORA, "none.safetensors"]),
        ("?slashes=windows", ["portraits\\ink.safetensors", "portraits\\ink.safetensors", "none.safetensors"]),
    ],
    ids=["own slashes", "posix", "windows"],
)
def test_rewrite_returns_a_copy_with_the_names_of_the_team(team: ApiCaller, query: str, expected: list[str]) -> None:
    names = ["Ink.safetensors", "old\\ink.safetensors", "none.safetensors"]
    answer = rewrite(team, build_workflow(*names, text="<lora:Ink:1>"), query)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json() == build_workflow(*expected, text="<lora:Ink:1>")


def test_rewrite_uses_the_name_of_the_file_with_the_declared_hash(team: ApiCaller) -> None:
    models = [{"name": "other.safetensors", "hash": hash_of(make_model_file("ink")), "hash_type": "SHA256"}]
    models[0]["hash"] = models[0]["hash"].removeprefix("sha256:")
    node = {"id": 1, "type": "LoraLoader", "widgets_values": ["other.safetensors", 1, 1]}
    [copy] = rewrite(team, {"nodes": [node | {"properties": {"models": models}}]}).json()["nodes"]
    assert (copy["widgets_values"][0], copy["properties"]["models"][0]["name"]) == (LORA, LORA)


def test_rewrite_large_file_is_done_in_a_sandbox(team: ApiCaller) -> None:
    note = "墨" * (MAX_BYTES_WITHOUT_SANDBOX // 2)
    answer = rewrite(team, build_workflow("Ink.safetensors", text=note))
    assert answer.json() == build_workflow(LORA, text=note)
    large = rewrite(team, build_workflow("Ink.safetensors", text="n" * MAX_REWRITTEN_BYTES))
    assert (large.status_code, large.json()["type"]) == (422, "/problems/workflow-refused")
    assert "larger than 2 MiB" in large.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [b"{", b"no workflow"],
    ids=["malformed JSON", "other file"],
)
def test_rewrite_of_what_is_no_workflow_is_422(team: ApiCaller, body: bytes) -> None:
    refused = rewrite(team, body)
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/workflow-refused")


def test_rewrite_for_an_unknown_system_is_422_and_names_the_parameter(team: ApiCaller) -> None:
    refused = rewrite(team, build_workflow(LORA), "?slashes=mac")
    assert refused.status_code == 422
    assert [each["field"] for each in refused.json()["errors"]] == ["slashes"]
