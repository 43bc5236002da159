"""Collections: created, listed, changed and deleted, with their versions and models."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select, update

from modelyard.server.collections.tables import CollectionRow, CollectionVersionRow
from modelyard.wire.collections import MAX_COLLECTION_MODELS, MAX_COLLECTION_VERSIONS, MAX_COLLECTIONS
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file

INK, KAORI = make_model_file("ink"), make_model_file("kaori", 80)
Json = dict[str, Any]


@pytest.fixture
def ink(team: ApiCaller) -> str:
    return team.register(INK, "models/loras/ink.safetensors")


@pytest.fixture
def kaori(team: ApiCaller) -> str:
    return team.register(KAORI, "models/loras/kaori.safetensors")


def create(team: ApiCaller, *model_ids: str, name: str = "Winter", **more: Any) -> str:
    models = [{"model_id": model_id} for model_id in model_ids]
    answer = team.post("/collections", name=name, model_list=models, **more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def add_version(team: ApiCaller, collection_id: str, *model_ids: str, **more: Any) -> Any:
    models = [{"model_id": model_id} for model_id in model_ids]
    return team.post(f"/collections/{collection_id}/versions", model_list=models, **more)


def get_models(team: ApiCaller, path: str) -> list[tuple[str, int]]:
    answer = team.get(path)
    assert answer.status_code == 200, answer.text
    return [(each["model_id"], each["version"]) for each in answer.json()["model_list"]]


def get_error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_code"]


def list_actions(team: ApiCaller) -> list[str]:
    events = team.get("/audit-events", per_page=100).json()["audit_event_list"]
    return [event["action"] for event in reversed(events) if event["action"].startswith("collection.")]


def test_create_collection_takes_the_present_version_of_each_model(team: ApiCaller, ink: str, kaori: str) -> None:
    team.register(make_model_file("ink", 99), "models/loras/ink.safetensors", replaces=ink)
    created = create(team, kaori, ink, name="Winter campaign", note="All shots.")
    found = team.get(f"/collections/{created}").json()
    assert (found["name"], found["note"], found["version"], found["model_count"]) == (
        "Winter campaign",
        "All shots.",
        1,
        2,
    )
    assert (found["created_by"]["kind"], found["created_by"]["id"]) == ("user", team.user_id)
    assert [(each["model_id"], each["version"]) for each in found["model_list"]] == [(kaori, 1), (ink, 2)]
    first = found["model_list"][0]
    assert (first["file_hash"], first["file_size"]) == (hash_of(KAORI), len(KAORI))
    assert (first["model_path"], first["current_version"], first["is_available"]) == (
        "models/loras/kaori.safetensors",
        1,
        True,
    )
    assert list_actions(team) == ["collection.created"]


def test_collection_keeps_its_versions_when_a_model_moves_on(team: ApiCaller, ink: str) -> None:
    created = create(team, ink)
    team.register(make_model_file("ink", 99), "models/loras/ink.safetensors", replaces=ink)
    [entry] = team.get(f"/collections/{created}").json()["model_list"]
    assert (entry["version"], entry["current_version"], entry["file_hash"]) == (1, 2, hash_of(INK))


def test_collection_with_explicit_older_version(team: ApiCaller, ink: str) -> None:
    team.register(make_model_file("ink", 99), "models/loras/ink.safetensors", replaces=ink)
    answer = team.post("/collections", name="Old", model_list=[{"model_id": ink, "version": 1}])
    assert get_models(team, f"/collections/{answer.json()['id']}") == [(ink, 1)]


def test_collection_of_deleted_model_still_names_it(team: ApiCaller, ink: str, kaori: str) -> None:
    created = create(team, ink, kaori)
    assert team.delete(f"/models/{ink}").status_code == 204
    deleted, other = team.get(f"/collections/{created}").json()["model_list"]
    assert (deleted["model_path"], deleted["current_version"], deleted["is_available"]) == (
        "models/loras/ink.safetensors",
        None,
        False,
    )
    assert other["is_available"]


def test_collection_of_deleted_version_says_that_it_is_not_available(team: ApiCaller, ink: str) -> None:
    created = create(team, ink)
    team.register(make_model_file("ink", 99), "models/loras/ink.safetensors", replaces=ink)
    assert team.delete(f"/models/{ink}/versions/1").status_code == 204
    [entry] = team.get(f"/collections/{created}").json()["model_list"]
    assert (entry["version"], entry["current_version"], entry["is_available"]) == (1, 2, False)


def test_create_collection_with_invalid_models_names_each_item(
    shared_registry: Harness, team: ApiCaller, ink: str, kaori: str
) -> None:
    foreign = shared_registry.create_team().register(make_model_file("other"))
    team.delete(f"/models/{kaori}")
    items: list[Json] = [
        {"model_id": str(uuid4())},
        {"model_id": foreign},
        {"model_id": kaori},
        {"model_id": ink, "version": 2},
        {"model_id": ink},
    ]
    answer = team.post("/collections", name="Wrong", model_list=items)
    assert get_error(answer) == (422, "invalid_request")
    assert [error["field"] for error in answer.json()["errors"]] == [
        "model_list.0.model_id",
        "model_list.1.model_id",
        "model_list.2.model_id",
        "model_list.3.version",
        "model_list.4.model_id",
    ]
    messages = [error["message"] for error in answer.json()["errors"]]
    named = [items[0]["model_id"], foreign, kaori, "'models/loras/ink.safetensors' has no version 2", "'models/loras/"]
    assert [name in message for name, message in zip(named, messages, strict=True)] == [True] * 5
    assert team.get("/collections").json()["collection_list"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": 5},
        {"model_list": None},
        {"model_list": [{"model_id": "5"}]},
        {"model_list": [{"model_id": str(uuid4()), "version": 0}]},
        {"model_list": [{"model_id": str(uuid4())}] * (MAX_COLLECTION_MODELS + 1)},
    ],
    ids=["empty name", "long name", "number", "no list", "no id", "version 0", "too many"],
)
def test_create_collection_with_invalid_fields_returns_422(team: ApiCaller, body: Json) -> None:
    assert get_error(team.post("/collections", **({"name": "A", "model_list": []} | body))) == (422, "invalid_request")


def test_collection_name_in_another_spelling_is_taken(team: ApiCaller, shared_registry: Harness) -> None:
    first = create(team, name="Winter É")
    for name in ("WINTER e\u0301", "Winter é ", " Winter é"):
        taken = team.post("/collections", name=name, model_list=[])
        assert get_error(taken) == (409, "collection_name_taken")
        assert taken.json()["collection_id"] == first
    other = create(team, name="Other")
    assert get_error(team.put(f"/collections/{other}", name="winter é")) == (409, "collection_name_taken")
    assert team.put(f"/collections/{first}", name="winter é").status_code == 200
    create(shared_registry.create_team(), name="Winter É")


def test_update_collection_changes_what_is_sent_and_records_it_once(team: ApiCaller) -> None:
    created = create(team, note="Old")
    for _ in range(2):
        assert team.put(f"/collections/{created}", name="Summer").status_code == 200
    found = team.get(f"/collections/{created}").json()
    assert (found["name"], found["note"], found["version"]) == ("Summer", "Old", 1)
    assert team.put(f"/collections/{created}", note=None).status_code == 200
    assert team.get(f"/collections/{created}").json()["note"] is None
    assert get_error(team.put(f"/collections/{created}", name=None)) == (422, "invalid_request")
    assert list_actions(team) == ["collection.created", "collection.changed", "collection.changed"]


def test_delete_collection_keeps_its_models(team: ApiCaller, ink: str) -> None:
    created = create(team, ink)
    assert team.delete(f"/collections/{created}").status_code == 204
    for path in ("", "/versions", "/versions/1"):
        assert get_error(team.get(f"/collections/{created}{path}")) == (404, "collection_not_found")
    assert get_error(team.delete(f"/collections/{created}")) == (404, "collection_not_found")
    assert team.get(f"/models/{ink}").status_code == 200
    assert list_actions(team) == ["collection.created", "collection.deleted"]
    create(team, ink)


def test_list_collections_by_name_and_cursor(team: ApiCaller, ink: str) -> None:
    for name in ("b", "C", "a", "É"):
        create(team, ink, name=name)
    names: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = team.get("/collections", cursor=cursor, per_page=3).json()
        names += [each["name"] for each in page["collection_list"]]
        cursor = page["page_meta"]["next_cursor"]
    assert names == ["a", "b", "C", "É"]
    numbered = team.get("/collections", per_page=1).json()
    assert (numbered["page_meta"]["total_count"], numbered["collection_list"][0]["model_count"]) == (4, 1)


def test_add_version_makes_the_next_one_and_keeps_the_former(team: ApiCaller, ink: str, kaori: str) -> None:
    created = create(team, ink)
    answer = add_version(team, created, ink, kaori, note="More", expected_version=1)
    assert (answer.status_code, answer.json()) == (201, {"id": created, "version": 2})
    assert get_models(team, f"/collections/{created}") == [(ink, 1), (kaori, 1)]
    assert get_models(team, f"/collections/{created}/versions/1") == [(ink, 1)]
    listed = team.get(f"/collections/{created}/versions").json()["version_list"]
    assert [(each["version"], each["model_count"], each["note"]) for each in listed] == [(2, 2, "More"), (1, 1, None)]
    assert list_actions(team) == ["collection.created", "collection.version_created"]


def test_add_version_with_the_same_models_returns_the_newest(team: ApiCaller, ink: str, kaori: str) -> None:
    created = create(team, ink)
    first = add_version(team, created, kaori, expected_version=1)
    again = add_version(team, created, kaori, expected_version=1)
    assert (first.status_code, again.status_code, again.json()["version"]) == (201, 200, 2)


@pytest.mark.parametrize("expected", [1, 3])
def test_add_version_to_another_one_than_expected_returns_409(
    team: ApiCaller, ink: str, kaori: str, expected: int
) -> None:
    created = create(team, ink)
    add_version(team, created, kaori)
    answer = add_version(team, created, ink, kaori, expected_version=expected)
    assert get_error(answer) == (409, "version_conflict")
    assert (answer.json()["version"], answer.json()["collection_id"]) == (2, created)


def test_changes_between_versions_have_versions_sizes_and_hashes(team: ApiCaller, ink: str, kaori: str) -> None:
    created = create(team, ink)
    team.register(make_model_file("newer", 90), "models/loras/ink.safetensors", replaces=ink)
    add_version(team, created, kaori, ink)
    path = f"/collections/{created}/versions"
    changes = team.get(f"{path}/2/changes").json()
    [added], [changed] = changes["added_list"], changes["changed_list"]
    assert (changes["version"], changes["since"], changes["removed_list"]) == (2, 1, [])
    assert (added["model_id"], added["version"], added["file_hash"]) == (kaori, 1, hash_of(KAORI))
    assert (changed["model_id"], changed["previous_version"], changed["version"]) == (ink, 1, 2)
    assert (changed["previous_hash"], changed["previous_size"]) == (hash_of(INK), len(INK))
    back = team.get(f"{path}/1/changes", since=2).json()
    assert ([each["model_id"] for each in back["removed_list"]], back["added_list"]) == ([kaori], [])
    first = team.get(f"{path}/1/changes").json()
    assert (first["since"], len(first["added_list"])) == (None, 1)
    assert get_error(team.get(f"{path}/3/changes")) == (404, "collection_version_not_found")
    refused = team.get(f"{path}/2/changes", since=3)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "since")


@pytest.mark.parametrize("version", ["0", "2", "-1", "1.0", "one", "999999999999"])
def test_unknown_collection_version_returns_404(team: ApiCaller, version: str) -> None:
    created = create(team)
    answer = team.get(f"/collections/{created}/versions/{version}")
    assert get_error(answer) == (404, "collection_version_not_found")


@pytest.mark.parametrize("collection_id", ["none", "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"])
def test_unknown_collection_returns_404(team: ApiCaller, collection_id: str) -> None:
    for answer in (
        team.get(f"/collections/{collection_id}"),
        team.put(f"/collections/{collection_id}", note="x"),
        team.delete(f"/collections/{collection_id}"),
        add_version(team, collection_id),
    ):
        assert get_error(answer) == (404, "collection_not_found")


def test_member_changes_only_own_collections(shared_registry: Harness, team: ApiCaller, ink: str) -> None:
    member = shared_registry.create_member("member", team)
    theirs = create(team, ink)
    own = create(member, ink, name="Own")
    assert get_error(add_version(member, theirs)) == (403, "role_too_low")
    assert add_version(member, own).status_code == 201
    assert add_version(team, own, ink).status_code == 201


def test_create_more_collections_than_a_team_may_have_returns_409(shared_registry: Harness, team: ApiCaller) -> None:
    create(team)
    with shared_registry.resources.database.writing(UUID(team.team_id or "")) as session:
        first = session.scalars(select(CollectionRow).where(CollectionRow.team_id == UUID(team.team_id or ""))).one()
        copied = {each.name: getattr(first, each.name) for each in CollectionRow.__table__.columns}
        more = [f"C{number}" for number in range(MAX_COLLECTIONS - 1)]
        session.execute(
            insert(CollectionRow), [copied | {"id": uuid4(), "name": name, "name_key": name} for name in more]
        )
    answer = team.post("/collections", name="One more", model_list=[])
    assert get_error(answer) == (409, "collection_limit_reached")
    assert answer.json()["limit"] == MAX_COLLECTIONS
    assert get_error(team.post("/collections", name="Winter", model_list=[])) == (409, "collection_name_taken")


def test_add_more_versions_than_a_collection_may_have_returns_409(
    shared_registry: Harness, team: ApiCaller, ink: str
) -> None:
    created = create(team)
    with shared_registry.resources.database.writing(UUID(team.team_id or "")) as session:
        for kind, column in ((CollectionRow, "latest_version"), (CollectionVersionRow, "number")):
            key = "id" if kind is CollectionRow else "collection_id"
            is_created = getattr(kind, key) == UUID(created)
            session.execute(update(kind).where(is_created).values({column: MAX_COLLECTION_VERSIONS}))
    assert get_error(add_version(team, created, ink)) == (409, "collection_limit_reached")
    assert add_version(team, created).json()["version"] == MAX_COLLECTION_VERSIONS
