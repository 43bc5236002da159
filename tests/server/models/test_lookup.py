"""``POST /models/lookup`` and ``GET /models/{id}/hashes``: which models hashes and paths mean, for each caller."""

import hashlib
import json
import struct
from typing import Any
from uuid import uuid4

import jsonschema_rs
import pytest
from blake3 import blake3

from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.verification.hash_completion import HashCompleter
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file

CONTENT = make_model_file("quartz", 0x110000)
SHA256, BLAKE3 = hashlib.sha256(CONTENT).hexdigest(), blake3(CONTENT).hexdigest()
CLAIMED = "c1a1" * 16


def complete_hashes(registry: Harness) -> None:
    """Compute the hashes that the background job would compute later."""
    completer = HashCompleter(registry.resources.database, registry.resources.store, Metrics(), 100_000)
    while completer.complete_next():
        pass


@pytest.fixture(scope="module")
def team(module_registry: Harness) -> ApiCaller:
    """The owner of a team with one model, whose hashes are all known."""
    owner = module_registry.create_team()
    owner.register(CONTENT, "models/loras/quartz.safetensors")
    complete_hashes(module_registry)
    return owner


@pytest.fixture(scope="module")
def hashes(team: ApiCaller) -> dict[str, Any]:
    [model] = team.get("/models").json()["model_list"]
    hashes: dict[str, Any] = team.get(f"/models/{model['id']}/hashes").json()
    return hashes


def look_up(caller: ApiCaller, **body: list[str]) -> list[tuple[str, str, str]]:
    """Return what was asked, what it matched and the path of each match."""
    answer = caller.post("/models/lookup", **body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["capped_list"] == []
    return [(match["asked"], match["matched_by"], match["model_path"]) for match in answer.json()["match_list"]]


def test_get_hashes_returns_every_known_hash(hashes: dict[str, Any]) -> None:
    tensors = CONTENT[8 + struct.unpack_from("<Q", CONTENT)[0] :]
    assert hashes["sha256"] == SHA256
    assert hashes["blake3"] == BLAKE3
    assert hashes["autov2"] == SHA256[:10]
    assert hashes["autov3"] == hashlib.sha256(tensors).hexdigest()
    assert len(hashes["autov1"]) == len(hashes["crc32"]) == 8
    assert hashes["claim_list"] == []


@pytest.mark.parametrize("change", [str.upper, str.lower])
@pytest.mark.parametrize("name", ["sha256", "blake3", "autov1", "autov2", "autov3", "crc32"])
def test_lookup_by_each_kind_of_hash_with_and_without_prefix(
    team: ApiCaller, hashes: dict[str, Any], name: str, change: Any
) -> None:
    plain, prefixed = change(hashes[name]), change(f"{name}:{hashes[name]}")
    path = "models/loras/quartz.safetensors"
    assert look_up(team, hashes=[plain, prefixed]) == [(plain, name, path), (prefixed, name, path)]


def test_lookup_by_first_digits_and_duplicates_returns_each_match_once(team: ApiCaller, hashes: dict[str, Any]) -> None:
    asked = [SHA256[:8], "0" * 64, SHA256[:8], hashes["autov3"][:12]]
    path = "models/loras/quartz.safetensors"
    assert look_up(team, hashes=asked) == [(asked[0], "sha256", path), (asked[3], "autov3", path)]


def test_lookup_by_path_ignores_case_and_the_models_folder(team: ApiCaller) -> None:
    asked = ["loras/quartz.safetensors", "models/loras/Quartz.safetensors", "loras/other.safetensors", "loras"]
    matches = look_up(team, paths=asked)
    assert matches == [(path, "path", "models/loras/quartz.safetensors") for path in asked[:2]]


def test_lookup_of_invalid_model_paths_fits_the_schema_and_finds_the_other_path(team: ApiCaller) -> None:
    asked = {"paths": ["../ink.sft", "/etc/ink.sft", r"loras\ink.sft", "loras/ink?.sft", "loras/quartz.safetensors"]}
    assert look_up(team, **asked) == [("loras/quartz.safetensors", "path", "models/loras/quartz.safetensors")]
    schema = team.get("/openapi.json").json()["components"]["schemas"]["ModelLookup"]
    assert [error.message for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(asked)] == []


def test_lookup_returns_id_and_version(team: ApiCaller) -> None:
    [model] = team.get("/models").json()["model_list"]
    [match] = team.post("/models/lookup", hashes=[SHA256]).json()["match_list"]
    assert (match["id"], match["version"]) == (model["id"], 1)


def test_lookup_content_of_several_models_returns_all_by_path(module_registry: Harness) -> None:
    owner = module_registry.create_team()
    paths = [f"loras/{name}.safetensors" for name in ("b", "a", "c")]
    ids = [owner.register(CONTENT, path) for path in paths]
    assert [match[2] for match in look_up(owner, hashes=[SHA256])] == sorted(paths)
    owner.delete(f"/models/{ids[0]}")
    assert [match[2] for match in look_up(owner, hashes=[SHA256])] == sorted(paths[1:])
    assert owner.post(f"/models/{ids[0]}/restore").status_code == 200
    assert [match[2] for match in look_up(owner, hashes=[SHA256])] == sorted(paths)


def test_lookup_matches_every_version_and_a_path_the_current_one(module_registry: Harness) -> None:
    owner = module_registry.create_team()
    contents = [make_model_file(name) for name in ("first", "second")]
    model_id = owner.register(contents[0], "loras/ink.safetensors")
    assert owner.register(contents[1], "loras/ink.safetensors", replaces=model_id) == model_id
    asked = [*map(hash_of, contents), "loras/ink.safetensors"]
    found = owner.post("/models/lookup", hashes=asked[:2], paths=asked[2:]).json()["match_list"]
    assert [(match["asked"], match["id"], match["version"]) for match in found] == [
        (asked[0], model_id, 1),
        (asked[1], model_id, 2),
        (asked[2], model_id, 2),
    ]
    for query in ({"file_hash": asked[0]}, {"q": asked[0]}, {"file_hash": asked[1], "q": asked[0]}):
        assert [model["id"] for model in owner.get("/models", **query).json()["model_list"]] == [model_id]
    assert owner.get(f"/models/{model_id}/hashes").json()["sha256"] == asked[1][7:]
    assert owner.get(f"/models/{model_id}/hashes", version=1).json()["sha256"] == asked[0][7:]
    assert owner.get(f"/models/{model_id}/hashes", version=3).status_code == 404

    key = module_registry.create_key("agent", owner)
    assert look_up(key, hashes=asked[:2]) == [(asked[1], "sha256", "loras/ink.safetensors")]
    assert owner.delete(f"/models/{model_id}/versions/1").status_code == 204
    assert look_up(owner, hashes=asked[:1]) == []
    assert owner.get("/models", file_hash=asked[0]).json()["model_list"] == []


def test_lookup_in_another_team_finds_nothing(module_registry: Harness, team: ApiCaller) -> None:
    stranger = module_registry.create_other_team()
    assert look_up(stranger, hashes=[SHA256], paths=["loras/quartz.safetensors"]) == []
    assert look_up(team, hashes=[SHA256]) != []


def make_claiming_file() -> bytes:
    """Return a safetensors file that claims hashes which are not its own."""
    metadata = {"modelspec.hash_sha256": f"0x{CLAIMED}", "sshs_model_hash": CLAIMED}
    tensor = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}
    header = json.dumps({"__metadata__": metadata, "a": tensor}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4)


def test_claimed_hashes_are_shown_as_claims_and_never_match(module_registry: Harness) -> None:
    owner = module_registry.create_team()
    model_id = owner.register(make_claiming_file(), "loras/claims.safetensors")
    complete_hashes(module_registry)
    hashes = owner.get(f"/models/{model_id}/hashes").json()
    assert hashes["claim_list"] == [
        {"name": "modelspec.hash_sha256", "digest": f"0x{CLAIMED}"},
        {"name": "sshs_model_hash", "digest": CLAIMED},
    ]
    assert look_up(owner, hashes=[CLAIMED, CLAIMED[:12], f"0x{CLAIMED}"]) == []
    for query in ({"file_hash": CLAIMED}, {"q": CLAIMED}):
        assert owner.get("/models", **query).json()["model_list"] == []


def test_list_filters_accept_every_kind_of_hash(team: ApiCaller, hashes: dict[str, Any]) -> None:
    for name in ("sha256", "blake3", "autov1", "autov2", "autov3", "crc32"):
        for query in ({"file_hash": hashes[name].upper()}, {"q": f"quartz {hashes[name]}"}):
            assert len(team.get("/models", **query).json()["model_list"]) == 1, query


@pytest.fixture
def labelled_team(module_registry: Harness) -> tuple[ApiCaller, ApiCaller]:
    """A team with an active, a disabled and a labelled model, and the key of a machine without labels."""
    owner = module_registry.create_team()
    for name in ("active", "disabled", "labelled"):
        model_id = owner.register(make_model_file(name), f"loras/{name}.safetensors")
        if name == "disabled":
            owner.put(f"/models/{model_id}", model_status="disabled")
        if name == "labelled":
            owner.put(f"/models/{model_id}", required_labels=["gpu24"])
    key = module_registry.create_key("agent", owner)
    assert key.post("/agent/heartbeat", agent_id="studio-1").status_code == 200
    return owner, key


def test_lookup_with_a_machines_key_finds_only_what_its_manifest_names(
    labelled_team: tuple[ApiCaller, ApiCaller],
) -> None:
    owner, key = labelled_team
    names = ("active", "disabled", "labelled")
    asked = {
        "hashes": [hash_of(make_model_file(name)) for name in names],
        "paths": [f"loras/{name}.safetensors" for name in names],
    }
    assert len(look_up(owner, **asked)) == 6
    assert {match[2] for match in look_up(key, **asked)} == {"loras/active.safetensors"}
    assert key.post("/agent/heartbeat", agent_id="studio-1", agent_labels=["gpu24"]).status_code == 200
    expected = {"loras/active.safetensors", "loras/labelled.safetensors"}
    assert {match[2] for match in look_up(key, **asked)} == expected


def test_lookup_by_id_finds_models_of_the_own_team_outside_the_trash(team: ApiCaller, module_registry: Harness) -> None:
    [model] = team.get("/models").json()["model_list"]
    other = module_registry.create_team().register(make_model_file("foreign"), "loras/foreign.safetensors")
    deleted = team.register(make_model_file("deleted"), "loras/deleted.safetensors")
    team.delete(f"/models/{deleted}")
    ids = [str(uuid4()), model["id"], other, deleted, model["id"]]
    assert look_up(team, ids=ids) == [(model["id"], "id", model["model_path"])]


def test_lookup_with_records_returns_each_found_model_once_as_the_list_does(team: ApiCaller) -> None:
    listed = team.get("/models").json()["model_list"]
    asked = {"hashes": [SHA256], "paths": [model["model_path"] for model in listed]}
    found = team.post("/models/lookup", records=True, **asked).json()
    assert sorted(found["model_list"], key=str) == sorted(listed, key=str)
    assert team.post("/models/lookup", **asked).json()["model_list"] is None


def test_machines_key_cannot_look_up_records(module_registry: Harness) -> None:
    key = module_registry.create_key("agent")
    refused = key.post("/models/lookup", paths=["loras/quartz.safetensors"], records=True)
    assert (refused.status_code, refused.json()["error_code"]) == (403, "key_not_allowed")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"hashes": ["ink"]}, "hashes.0"),
        ({"hashes": ["0" * 64] * 600, "paths": ["loras/a.safetensors"] * 401}, "paths"),
        ({"hashes": ["0" * 64] * 600, "ids": [str(uuid4())] * 401}, "ids"),
        ({"hashes": ["0" * 64] * 1001}, "hashes"),
        ({"ids": ["no-uuid"]}, "ids.0"),
        ({"records": "true"}, "records"),
        ({"paths": [5]}, "paths.0"),
        ({"hashes": None}, "hashes"),
    ],
)
def test_lookup_invalid_body_returns_422_with_the_field(team: ApiCaller, body: dict[str, Any], field: str) -> None:
    answer = team.post("/models/lookup", **body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_lookup_of_nothing_finds_nothing(team: ApiCaller) -> None:
    assert look_up(team) == []
