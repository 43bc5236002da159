"""``POST /workflows/check`` on real models and machines."""

import json
from typing import Any
from uuid import UUID

import httpx2
import pytest

from modelyard.comfyui.workflows.references import ExpansionTooLarge
from modelyard.server.models.tables import ModelRow
from modelyard.server.workflows.reading import MAX_REFERENCES, read_references
from modelyard.server.workflows.request_reading import MAX_BYTES_WITHOUT_SANDBOX, MAX_EXPANDED_WITHOUT_SANDBOX
from modelyard.wire.hashes.lookups import MAX_MATCHES_PER_HASH
from tests.server.agents.machine import Machine, add_machine, build_states
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file
from tests.server.models.model_factory import ModelSpec, TeamModels

Node = dict[str, Any]
LORA = "portraits/ink.safetensors"


def check(caller: ApiCaller, body: bytes | dict[str, Node]) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return caller.call("POST", "/workflows/check", content=content)


def lora_node(name: str) -> Node:
    return {"class_type": "LoraLoader", "inputs": {"lora_name": name, "strength_model": 1.0}}


def checkpoint_node(name: str) -> Node:
    return {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}}


def build_declaring_workflow(content: bytes | None) -> bytes:
    """Build a workflow that names the LoRA, and declares the hash of its content unless that is None."""
    models = [{"name": LORA, "directory": "loras"}]
    if content is not None:
        models[0] |= {"hash": hash_of(content).removeprefix("sha256:"), "hash_type": "SHA256"}
    return build_workflow(models)


def build_workflow(models: list[dict[str, str]]) -> bytes:
    """Build a workflow that names the LoRA, and declares these models."""
    node = {"id": 1, "type": "LoraLoader", "widgets_values": [LORA, 1, 1], "properties": {"models": models}}
    return json.dumps({"nodes": [node]}).encode()


@pytest.fixture(scope="module")
def team(module_registry: Harness) -> ApiCaller:
    """The owner of a team with a checkpoint, and a LoRA that needs a label."""
    owner = module_registry.create_team()
    owner.register(make_model_file("base"), "checkpoints/sd xl/base.safetensors")
    owner.register(make_model_file("ink"), f"models/loras/{LORA}", required_labels=["gpu24"])
    return owner


@pytest.fixture(scope="module")
def model_ids(team: ApiCaller) -> dict[str, str]:
    """The ids of the models by their type."""
    return {model["model_type"]: model["id"] for model in team.get("/models").json()["model_list"]}


@pytest.fixture(scope="module")
def machine(module_registry: Harness, team: ApiCaller, model_ids: dict[str, str]) -> Machine:
    """A machine without labels that has the checkpoint."""
    machine = add_machine(module_registry, team)
    machine.begin(build_states(model_ids["checkpoints"]))
    return machine


def states(answer: httpx2.Response) -> dict[str, str]:
    """Return the state of each name."""
    assert answer.status_code == 200, answer.text
    return {each["name"]: each["state"] for each in answer.json()["reference_list"]}


def test_check_returns_the_state_model_and_node_of_each_reference(team: ApiCaller, model_ids: dict[str, str]) -> None:
    answer = check(team, {"3": checkpoint_node("sd xl\\base.safetensors"), "4": lora_node("ink.safetensors")})
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["reference_list"]
    assert (first["node_id"], first["node_type"], first["input"]) == ("3", "CheckpointLoaderSimple", "ckpt_name")
    assert (first["folder"], first["state"], first["version"]) == ("checkpoints", "present", 1)
    assert first["model_id"] == model_ids["checkpoints"]
    assert (second["state"], second["suggestion"], second["model_id"]) == ("similar", LORA, model_ids["loras"])


def test_check_of_names_that_the_team_lacks_are_unknown(team: ApiCaller) -> None:
    names = ["../../etc/passwd", "other.safetensors", "zz.safetensors", "a\u0000b.safetensors", "\ud800.safetensors"]
    found = states(check(team, {str(number): lora_node(name) for number, name in enumerate(names)}))
    assert set(found.values()) == {"unknown"}
    assert len(found) == len(names)


@pytest.mark.parametrize("name", ["../../etc/passwd", "../other.safetensors", "/other.safetensors", "x" * 2_000])
def test_check_name_that_no_model_can_have_is_unknown_with_the_reason(team: ApiCaller, name: str) -> None:
    [found] = check(team, {"1": checkpoint_node(name)}).json()["reference_list"]
    assert (found["state"], found["name"], found["is_required"]) == ("unknown", name[:1_000], True)
    assert found["reason"] is not None


def test_check_name_that_a_model_can_have_has_no_reason(team: ApiCaller) -> None:
    [found] = check(team, {"1": checkpoint_node("other.safetensors")}).json()["reference_list"]
    assert (found["state"], found["reason"]) == ("unknown", None)


@pytest.mark.parametrize(
    ("name", "state"),
    [("ink", "present"), ("portraits/ink", "present"), ("Ink", "similar"), ("ink_", "unknown"), ("in", "unknown")],
)
def test_check_lora_tag_is_present_under_the_file_name_in_any_subfolder(
    team: ApiCaller, model_ids: dict[str, str], name: str, state: str
) -> None:
    node = {"class_type": "LoRA Text Loader (LoraManager)", "inputs": {"lora_syntax": f"<lora:{name}:1>"}}
    answer = check(team, {"1": node})
    assert states(answer) == {name: state}
    [found] = answer.json()["reference_list"]
    assert found["model_id"] == (None if state == "unknown" else model_ids["loras"])


def test_check_lora_manager_row_of_a_machine_with_the_file_is_ready(
    module_registry: Harness,
) -> None:
    team = module_registry.create_team("Rows")
    kaori = team.register(make_model_file("kaori"), "loras/kaori.safetensors")
    add_machine(module_registry, team).begin(build_states(kaori))
    row = {"name": "kaori", "strength": "1.00", "active": True}
    answer = check(team, {"1": {"class_type": "Lora Loader (LoraManager)", "inputs": {"loras": [row]}}})
    assert states(answer) == {"kaori": "present"}
    assert [each["readiness"] for each in answer.json()["machine_list"]] == ["ready"]


def test_check_tells_where_the_workflow_can_run(team: ApiCaller, machine: Machine, model_ids: dict[str, str]) -> None:
    base, lora = checkpoint_node("sd xl/base.safetensors"), lora_node(LORA)
    [ready] = check(team, {"1": base}).json()["machine_list"]
    assert (ready["agent_id"], ready["readiness"], ready["seconds"]) == ("render-07", "ready", 0)
    [without_lora] = check(team, {"1": base, "2": lora}).json()["machine_list"]
    assert without_lora["readiness"] == "assignable"
    assert without_lora["missing_list"] == [model_ids["loras"]]
    [unknown] = check(team, {"1": base, "2": lora_node("none.safetensors")}).json()["machine_list"]
    assert (unknown["readiness"], unknown["reason"]) == ("cannot", 'The registry has no file for "none.safetensors".')


@pytest.mark.parametrize(
    ("declared", "readiness"),
    [("new", "cannot"), ("old", "ready"), (None, "ready")],
    ids=["current version declared", "pinned version declared", "no hash"],
)
def test_check_for_a_machine_with_a_pinned_version(
    module_registry: Harness, declared: str | None, readiness: str
) -> None:
    team = module_registry.create_team("Pins")
    machine = add_machine(module_registry, team)
    ink = team.register(make_model_file("old"), f"loras/{LORA}")
    created = team.post("/collections", name="Winter", model_list=[{"model_id": ink, "version": 1}]).json()["id"]
    assert team.put(f"/collections/{created}", is_pinned=True).status_code == 200
    assert team.post(f"/collections/{created}/subscriptions", agent_id="render-07").status_code == 201
    team.register(make_model_file("new"), f"loras/{LORA}", replaces=ink)
    machine.begin([{"model_id": ink, "version": 1, "state": "ready"}])
    content = make_model_file(declared) if declared else None
    [found] = check(team, build_declaring_workflow(content)).json()["machine_list"]
    assert found["readiness"] == readiness


def test_check_declared_content_that_very_many_newer_models_have_is_present(module_registry: Harness) -> None:
    team, content = module_registry.create_team("Copies"), make_model_file("copied")
    ink = team.register(content, f"loras/{LORA}")
    assert team.team_id is not None
    models = TeamModels(module_registry.resources.database, UUID(team.team_id))
    with models.database.reading() as session:
        blob_id = session.get_one(ModelRow, UUID(ink)).blob_id
    models.insert(ModelSpec("copy", columns={"blob_id": blob_id}) for _ in range(MAX_MATCHES_PER_HASH))
    answer = check(team, build_declaring_workflow(content))
    assert states(answer) == {LORA: "present"}
    assert answer.json()["reference_list"][0]["model_id"] == ink


def test_check_declared_hash_that_very_many_contents_have_is_present_at_its_path(module_registry: Harness) -> None:
    team = module_registry.create_team("Tensors")
    assert team.team_id is not None
    models = TeamModels(module_registry.resources.database, UUID(team.team_id))
    autov3, count = "5a" * 32, MAX_MATCHES_PER_HASH + 1
    blobs = models.insert_blobs({"sha256": f"{number:064x}", "autov3": autov3} for number in range(count))
    paths = [f"loras/{number}.safetensors" for number in range(count - 1)] + [f"loras/{LORA}"]
    models.insert(
        ModelSpec("copy", columns={"blob_id": blob_id, "path_key": path, "model_path": path})
        for blob_id, path in zip(blobs, paths, strict=True)
    )
    models_of_node = [{"name": LORA, "directory": "loras", "hash": autov3[:12], "hash_type": "AutoV3"}]
    answer = check(team, build_workflow(models_of_node))
    assert states(answer) == {LORA: "present"}


def test_check_with_a_machine_key_shows_only_its_own_machines(
    module_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    other = add_machine(module_registry, team, "render-08")
    answer = check(other.key, {"1": lora_node(LORA)})
    assert states(answer) == {LORA: "present"}
    assert [each["agent_id"] for each in answer.json()["machine_list"]] == ["render-08"]


def test_check_finds_content_of_another_team_nowhere(module_registry: Harness, team: ApiCaller) -> None:
    stranger = module_registry.create_team("Elsewhere")
    answer = check(stranger, {"1": lora_node(LORA)})
    assert states(answer) == {LORA: "unknown"}
    assert answer.json()["machine_list"] == []


def test_check_large_workflow_is_read_in_the_sandbox(team: ApiCaller) -> None:
    text = "a portrait " * MAX_BYTES_WITHOUT_SANDBOX
    prompt = {"class_type": "CLIPTextEncode", "inputs": {"text": text}}
    assert states(check(team, {"1": prompt, "2": lora_node(LORA)})) == {LORA: "present"}


@pytest.mark.usefixtures("broken_sandbox")
def test_check_whose_sandbox_fails_returns_503(team: ApiCaller) -> None:
    prompt = {"class_type": "CLIPTextEncode", "inputs": {"text": "a portrait " * MAX_BYTES_WITHOUT_SANDBOX}}
    refused = check(team, {"1": prompt})
    assert (refused.status_code, refused.json()["error_code"]) == (503, "unavailable")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_check_in_the_sandbox_reads_addresses_and_encodings(team: ApiCaller, encoding: str) -> None:
    models = [{"name": "new.pt", "url": "https://models.example/new.pt", "directory": "loras"}]
    node = {"id": 1, "type": "LoraLoader", "widgets_values": ["new.pt", 1, 1], "properties": {"models": models}}
    answer = check(team, json.dumps({"nodes": [node]}).encode(encoding))
    assert states(answer) == {"new.pt": "unknown"}
    assert answer.json()["reference_list"][0]["url"] == "https://models.example/new.pt"


def test_check_ten_thousand_nodes(team: ApiCaller) -> None:
    prompts = {str(number): {"class_type": "CLIPTextEncode", "inputs": {"text": "ink"}} for number in range(10_000)}
    assert states(check(team, prompts | {"10000": lora_node(LORA)})) == {LORA: "present"}


@pytest.mark.usefixtures("broken_sandbox")
def test_check_small_file_of_many_lists_is_read_in_the_sandbox(team: ApiCaller) -> None:
    refused = check(team, b'{"a": [' + b"[]," * 20_000 + b"0]}")
    assert (refused.status_code, refused.json()["error_code"]) == (503, "unavailable")


def build_subgraph_workflow(inner_nodes: int, instances: int) -> bytes:
    """Build a small document whose subgraph has LoRA loaders of one name at its first node, and many instances."""
    loader = {"id": 0, "type": "LoraLoaderModelOnly", "widgets_values": [LORA, 1]}
    inner = [loader, *({"id": number, "type": "Note"} for number in range(1, inner_nodes))]
    subgraphs = [{"id": "group", "nodes": inner, "links": []}]
    nodes = [{"id": number, "type": "group"} for number in range(instances)]
    return json.dumps({"nodes": nodes, "definitions": {"subgraphs": subgraphs}}).encode()


def test_check_small_file_that_expands_to_much_is_read_in_the_sandbox(team: ApiCaller) -> None:
    body = build_subgraph_workflow(200, 100)
    with pytest.raises(ExpansionTooLarge):
        read_references(body, MAX_EXPANDED_WITHOUT_SANDBOX)
    answer = check(team, body)
    assert states(answer) == {LORA: "present"}
    assert len(answer.json()["reference_list"]) == 100


def test_check_small_file_that_expands_beyond_the_limit_returns_422(team: ApiCaller) -> None:
    answer = check(team, build_subgraph_workflow(1_000, 5_000))
    assert answer.status_code == 422
    assert "subgraphs are too large" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"1": ' * 10_000,
        b"\x89PNG\r\n\x1a\n" + b"\xff" * 64,
        b"<html></html>",
        json.dumps({str(number): lora_node(f"{number}.safetensors") for number in range(1_001)}).encode(),
    ],
    ids=["empty", "cut", "list", "deep", "damaged picture", "page", "too many models"],
)
def test_check_file_without_a_readable_workflow_returns_422(team: ApiCaller, body: bytes) -> None:
    answer = check(team, body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"].endswith("workflow-refused")


def test_check_text_with_more_tags_than_places_names_the_limit(team: ApiCaller) -> None:
    text = " ".join(f"<lora:ink{number}:1>" for number in range(MAX_REFERENCES + 1))
    answer = check(team, json.dumps({"1": {"class_type": "CLIPTextEncode", "inputs": {"text": text}}}).encode())
    assert answer.status_code == 422
    assert "more than 2,000 places" in answer.json()["detail"]
