"""What ``POST /models/lookup`` leaves out, and that it says so."""

from itertools import islice, product
from typing import Any
from uuid import UUID

import pytest

from modelyard.server.database.base import new_id
from modelyard.server.models.responses.record_parts import MAX_RECORD_BYTES, RECORDS_AT_ONCE, RECORDS_PER_ARRAY
from modelyard.wire.hashes.lookups import MAX_LOOKUPS, MAX_MATCHES_OF_ALL_HASHES, MAX_MATCHES_PER_HASH, MAX_RECORDS
from tests.server.harness import ApiCaller, Harness
from tests.server.models.model_factory import BEGAN, ModelSpec, TeamModels

SHA256 = "5a" * 32
MORE = MAX_MATCHES_PER_HASH + 20


@pytest.fixture
def owner(module_registry: Harness) -> ApiCaller:
    """The owner of a new team."""
    return module_registry.create_team()


@pytest.fixture
def models(module_registry: Harness, owner: ApiCaller) -> TeamModels:
    """The same team, to insert models into."""
    assert owner.team_id is not None
    return TeamModels(module_registry.resources.database, UUID(owner.team_id))


def insert_copies(models: TeamModels, count: int, sha256: str = SHA256, **columns: Any) -> list[str]:
    """Insert models with one content, and return their paths, oldest first; they are sorted in the other order."""
    # Ids are in the order in which models were made; within a millisecond they may not be.
    blob_id, first_id = models.insert_blob(sha256=sha256), new_id().int
    paths = [f"loras/{sha256[:8]}/{999 - number}.safetensors" for number in range(count)]
    fixed = {"blob_id": blob_id, "file_hash": f"sha256:{sha256}", "verified_at": BEGAN} | columns
    models.insert(
        ModelSpec(path, columns=fixed | {"id": UUID(int=first_id + number), "model_path": path, "path_key": path})
        for number, path in enumerate(paths)
    )
    return paths


def look_up(caller: ApiCaller, **body: Any) -> dict[str, Any]:
    answer = caller.post("/models/lookup", **body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_lookup_hash_of_very_many_models_finds_the_newest_by_path(owner: ApiCaller, models: TeamModels) -> None:
    paths = insert_copies(models, MORE)
    asked = SHA256[:12].upper()
    found = look_up(owner, hashes=[asked, asked], paths=paths[:1])
    assert found["capped_list"] == [asked]
    by_hash = [match for match in found["match_list"] if match["asked"] == asked]
    assert [match["model_path"] for match in by_hash] == sorted(paths[-MAX_MATCHES_PER_HASH:])
    assert {match["file_hash"] for match in found["match_list"]} == {f"sha256:{SHA256}"}


def test_lookup_hash_of_as_many_models_as_it_may_have_is_complete(owner: ApiCaller, models: TeamModels) -> None:
    insert_copies(models, MAX_MATCHES_PER_HASH)
    found = look_up(owner, hashes=[SHA256])
    assert (len(found["match_list"]), found["capped_list"]) == (MAX_MATCHES_PER_HASH, [])


def test_lookup_hash_with_few_models_is_complete_beside_hashes_with_very_many(
    owner: ApiCaller, models: TeamModels
) -> None:
    insert_copies(models, MORE)
    insert_copies(models, 2, "6b" * 32)
    spellings = ["".join(each) for each in islice(product(*[("5a", "5A")] * 6), 60)]
    expensive = [f"{SHA256[:52]}{spelling}" for spelling in spellings]
    found = look_up(owner, hashes=[*expensive, "6b" * 32])
    assert found["capped_list"] == expensive
    counts = [sum(match["asked"] == text for match in found["match_list"]) for text in [*expensive, "6b" * 32]]
    assert counts == [(MAX_MATCHES_OF_ALL_HASHES - 2) // 60] * 60 + [2]


def test_lookup_hash_that_some_of_many_have_is_complete_beside_hashes_with_one(
    owner: ApiCaller, models: TeamModels
) -> None:
    hashes = [f"{number:08x}" * 8 for number in range(40)]
    for number, blob_id in enumerate(models.insert_blobs({"sha256": sha256} for sha256 in hashes)):
        models.insert(ModelSpec("copy", columns={"blob_id": blob_id}) for _ in range(90 if number < 10 else 1))
    found = look_up(owner, hashes=hashes)
    assert (len(found["match_list"]), found["capped_list"]) == (10 * 90 + 30, [])


def test_lookup_first_digits_of_very_many_contents_finds_the_most_reliable_kind_first(
    owner: ApiCaller, models: TeamModels
) -> None:
    exact = models.insert_blob(sha256=SHA256, crc32=SHA256[:8])
    others = models.insert_blobs({"sha256": f"{n:064x}", "autov1": SHA256[:8]} for n in range(MAX_MATCHES_PER_HASH))
    models.insert(ModelSpec("copy", columns={"blob_id": blob_id}) for blob_id in [exact, *others])
    found = look_up(owner, hashes=[SHA256[:8]])
    assert [match["matched_by"] for match in found["match_list"]] == ["sha256"] + ["autov1"] * 99
    assert found["capped_list"] == [SHA256[:8]]


def test_lookup_hash_finds_the_model_that_is_older_than_very_many_in_the_trash(
    owner: ApiCaller, models: TeamModels
) -> None:
    blob_id = models.insert_blob(sha256=SHA256)
    models.insert([ModelSpec("kept", columns={"blob_id": blob_id, "model_path": "loras/kept.safetensors"})])
    deleted = {"blob_id": blob_id, "deleted_at": BEGAN}
    models.insert(ModelSpec("deleted", columns=deleted) for _ in range(MAX_MATCHES_PER_HASH))
    found = look_up(owner, hashes=[SHA256])
    assert [match["model_path"] for match in found["match_list"]] == ["loras/kept.safetensors"]
    assert found["capped_list"] == []


def test_lookup_of_1000_hashes_finds_the_model_of_each_that_is_older_than_some_in_the_trash(
    owner: ApiCaller, models: TeamModels
) -> None:
    hashes = [f"{number:08x}" * 8 for number in range(MAX_LOOKUPS)]
    blob_ids = models.insert_blobs({"sha256": sha256} for sha256 in hashes)
    models.insert(ModelSpec("kept", columns={"blob_id": blob_id}) for blob_id in blob_ids)
    models.insert(ModelSpec("old", columns={"blob_id": each, "deleted_at": BEGAN}) for each in blob_ids for _ in "abc")
    found = look_up(owner, hashes=hashes)
    assert [match["asked"] for match in found["match_list"]] == hashes
    assert found["capped_list"] == []


def test_lookup_with_a_machines_key_says_that_hidden_models_may_hide_others(
    module_registry: Harness, owner: ApiCaller, models: TeamModels
) -> None:
    key = module_registry.create_key("agent", owner)
    insert_copies(models, MORE, label_set="gpu24", required_labels=["gpu24"])
    found = look_up(key, hashes=[SHA256])
    assert (found["match_list"], found["capped_list"]) == ([], [SHA256])
    assert key.post("/agent/heartbeat", agent_id="studio-1", agent_labels=["gpu24"]).status_code == 200
    assert len(look_up(key, hashes=[SHA256])["match_list"]) == MAX_MATCHES_PER_HASH


def test_lookup_path_of_a_model_that_is_not_verified_has_no_file_hash(owner: ApiCaller, models: TeamModels) -> None:
    paths = insert_copies(models, 1, verified_at=None, verification="pending", current_version=None, pending_version=1)
    [match] = look_up(owner, paths=paths)["match_list"]
    assert match["file_hash"] is None


def test_lookup_with_records_returns_a_limited_number_and_the_others_by_their_ids(
    owner: ApiCaller, models: TeamModels
) -> None:
    ids = [str(each) for each in models.insert(ModelSpec("ink", number) for number in range(MAX_RECORDS + 1))]
    first = look_up(owner, ids=ids, records=True)
    assert (len(first["match_list"]), len(first["model_list"]), first["has_more_records"]) == (
        MAX_RECORDS + 1,
        MAX_RECORDS,
        True,
    )
    missing = {*ids} - {model["id"] for model in first["model_list"]}
    second = look_up(owner, ids=[*missing], records=True)
    assert {model["id"] for model in second["model_list"]} == missing == {ids[-1]}
    assert not second["has_more_records"]


def test_lookup_with_records_returns_them_in_the_order_of_the_matches(owner: ApiCaller, models: TeamModels) -> None:
    ids = models.insert(ModelSpec("ink", number) for number in range(RECORDS_AT_ONCE + 10))
    asked = [str(each) for each in [*ids[::2], *reversed(ids)]]
    found = look_up(owner, ids=asked, records=True)
    assert [model["id"] for model in found["model_list"]] == list(dict.fromkeys(asked))


def test_lookup_with_large_records_returns_some_megabytes(owner: ApiCaller, models: TeamModels) -> None:
    large, of_one, of_match = {"description": "\U0001f58c" * 10_000}, 45_000, 400
    ids = models.insert(ModelSpec("ink", number, columns=large) for number in range(MAX_RECORDS))
    answer = owner.post("/models/lookup", ids=[str(each) for each in ids], records=True)
    found = answer.json()
    assert found["has_more_records"]
    assert len(found["match_list"]) == MAX_RECORDS
    assert len(found["model_list"]) < MAX_RECORDS
    of_all = len(answer.content)
    assert MAX_RECORD_BYTES < of_all < MAX_RECORD_BYTES + RECORDS_PER_ARRAY * of_one + MAX_RECORDS * of_match
