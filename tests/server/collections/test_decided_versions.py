"""New collections and versions are decided before the database's writer is taken; what changes meanwhile counts."""

from collections.abc import Callable
from itertools import chain, count
from typing import Any
from uuid import UUID

import pytest

from modelyard.server.collections.operations import create_collection
from modelyard.server.collections.versions import AddedVersion, add_version
from modelyard.server.database.decided_writes import LOADS_BEFORE
from modelyard.wire import problems
from modelyard.wire.collections import NewCollection, NewCollectionVersion
from modelyard.wire.people.roles import Role
from tests.server.collections.farm import MODELS, Farm
from tests.server.collections.test_rollout_queries import build_context
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.server.watched_database import WatchedDatabase

INK, KAORI = "models/loras/ink.safetensors", "models/loras/kaori.safetensors"


def ok(answer: Any) -> None:
    assert answer.is_success, answer.text


class Winter:
    """A collection with kaori, to which each test adds a version with ink while something else happens."""

    def __init__(self, registry: Harness, team: ApiCaller) -> None:
        self.registry, self.team = registry, team
        self.ink, self.kaori = (
            team.register(make_model_file("ink"), INK),
            team.register(make_model_file("kaori"), KAORI),
        )
        self.path = f"/collections/{self.create(self.kaori)}"
        self.database, self.numbers = WatchedDatabase(registry.resources.database), count()

    def create(self, model_id: str, name: str = "Winter") -> str:
        created = self.team.post("/collections", name=name, model_list=[{"model_id": model_id}])
        ok(created)
        return str(created.json()["id"])

    def replace_ink(self) -> None:
        """Register another version of ink, which is current at once."""
        self.team.register(make_model_file("ink", 99), INK, replaces=self.ink)

    def post_version(self, model_id: str) -> None:
        ok(self.team.post(f"{self.path}/versions", model_list=[{"model_id": model_id}]))

    def rename(self) -> None:
        """Give ink a path that it did not have before."""
        ok(self.team.put(f"/models/{self.ink}", model_path=f"models/loras/ink-{next(self.numbers)}.safetensors"))

    def add(self, meanwhile: Callable[[], None], role: Role = Role.OWNER, **changed: Any) -> AddedVersion:
        """Add a version with ink; something happens once after its decision and before its writing transaction."""
        return self.add_while([meanwhile], role, **changed)

    def add_while(
        self, happens: list[Callable[[], None]], role: Role = Role.OWNER, version: int | None = None, **changed: Any
    ) -> AddedVersion:
        """Add a version with ink; of these, one happens after each reading transaction."""
        self.database.after_reading = lambda: happens.pop(0)() if happens else None
        models = [{"model_id": self.ink, "version": version}]
        new = NewCollectionVersion.model_validate({"model_list": models} | changed)
        team = build_context(self.team, role)
        return add_version(self.database.as_database(), team, UUID(self.path[-36:]), new)

    def list_rows(self, path: str, name: str) -> list[dict[str, Any]]:
        return list(self.team.get(path).json()[name])

    def list_models(self) -> list[tuple[str, int, str]]:
        """Return id, version and stored path of the models of the newest version."""
        newest = self.list_rows(f"{self.path}/versions", "version_list")[0]["version"]
        added = self.list_rows(f"{self.path}/versions/{newest}/changes", "added_list")
        return [(each["model_id"], each["version"], each["model_path"]) for each in added]

    def list_versions(self) -> list[int]:
        return [each["version"] for each in self.list_rows(f"{self.path}/versions", "version_list")]


@pytest.fixture
def winter(shared_registry: Harness, team: ApiCaller) -> Winter:
    return Winter(shared_registry, team)


def test_version_has_the_path_that_a_model_gets_meanwhile(winter: Winter) -> None:
    winter.add(winter.rename)
    assert winter.list_models() == [(winter.ink, 1, "models/loras/ink-0.safetensors")]


def test_version_has_the_version_that_becomes_current_meanwhile(winter: Winter) -> None:
    winter.add(winter.replace_ink)
    assert winter.list_models() == [(winter.ink, 2, INK)]


def test_version_with_a_model_that_is_deleted_meanwhile_is_refused(winter: Winter) -> None:
    with pytest.raises(problems.InvalidRequest) as refused:
        winter.add(lambda: ok(winter.team.delete(f"/models/{winter.ink}")))
    assert [error["field"] for error in refused.value.facts["errors"]] == ["model_list.0.model_id"]
    assert winter.list_versions() == [1]


def test_version_with_a_model_version_that_is_deleted_meanwhile_is_refused(winter: Winter) -> None:
    winter.replace_ink()
    with pytest.raises(problems.InvalidRequest) as refused:
        winter.add(lambda: ok(winter.team.delete(f"/models/{winter.ink}/versions/1")), version=1)
    assert [error["field"] for error in refused.value.facts["errors"]] == ["model_list.0.version"]
    assert winter.list_versions() == [1]


def test_collection_with_a_model_that_is_deleted_meanwhile_is_refused(winter: Winter) -> None:
    winter.database.after_reading = lambda: ok(winter.team.delete(f"/models/{winter.ink}"))
    new = NewCollection.model_validate({"name": "Summer", "model_list": [{"model_id": winter.ink}]})
    with pytest.raises(problems.InvalidRequest):
        create_collection(winter.database.as_database(), build_context(winter.team), new)
    assert [each["name"] for each in winter.list_rows("/collections", "collection_list")] == ["Winter"]


def test_version_follows_one_that_is_added_meanwhile(winter: Winter) -> None:
    winter.post_version(winter.ink)
    assert winter.add(lambda: winter.post_version(winter.kaori)) == AddedVersion(4, is_new=True)


def test_version_that_is_added_meanwhile_is_returned_if_it_has_the_same_models(winter: Winter) -> None:
    assert winter.add(lambda: winter.post_version(winter.ink)) == AddedVersion(2, is_new=False)
    assert winter.list_versions() == [2, 1]


def test_version_expected_to_follow_another_one_than_is_added_meanwhile_is_refused(winter: Winter) -> None:
    winter.post_version(winter.ink)
    winter.post_version(winter.kaori)
    oil = winter.team.register(make_model_file("oil"), "models/loras/oil.safetensors")
    with pytest.raises(problems.VersionConflict) as refused:
        winter.add(lambda: winter.post_version(oil), expected_version=3)
    assert (refused.value.facts["version"], winter.list_versions()) == (4, [4, 3, 2, 1])


def test_version_of_a_collection_that_is_deleted_meanwhile_is_refused(winter: Winter) -> None:
    with pytest.raises(problems.CollectionNotFound):
        winter.add(lambda: ok(winter.team.delete(winter.path)))


@pytest.fixture
def of_member(shared_registry: Harness, team: ApiCaller) -> Winter:
    """A collection of a member of the team."""
    return Winter(shared_registry, shared_registry.create_member("member", team))


def test_version_of_a_member_is_refused_if_the_collection_is_pinned_meanwhile(
    of_member: Winter, team: ApiCaller
) -> None:
    with pytest.raises(problems.RoleTooLow):
        of_member.add(lambda: ok(team.put(of_member.path, is_pinned=True)), Role.MEMBER)
    assert of_member.list_versions() == [1]


def test_version_of_a_member_who_becomes_a_viewer_meanwhile_is_refused(of_member: Winter, team: ApiCaller) -> None:
    member = f"/members/{of_member.team.user_id}"
    with pytest.raises(problems.RoleTooLow):
        of_member.add(lambda: ok(team.put(member, member_role="viewer")), Role.MEMBER)
    assert of_member.list_versions() == [1]


def test_collection_of_a_member_who_is_removed_meanwhile_is_refused(of_member: Winter, team: ApiCaller) -> None:
    of_member.database.after_reading = lambda: ok(team.delete(f"/members/{of_member.team.user_id}"))
    new = NewCollection.model_validate({"name": "Summer", "model_list": [{"model_id": of_member.ink}]})
    with pytest.raises(problems.NotAMember):
        create_collection(of_member.database.as_database(), build_context(of_member.team, Role.MEMBER), new)
    assert [each["name"] for each in team.get("/collections").json()["collection_list"]] == ["Winter"]


def test_version_is_added_though_its_model_changes_before_each_transaction(winter: Winter) -> None:
    winter.add_while([winter.rename] * LOADS_BEFORE)
    assert winter.list_models() == [(winter.ink, 1, f"models/loras/ink-{LOADS_BEFORE - 1}.safetensors")]


def test_transaction_sends_as_many_statements_for_1000_models_as_for_10_and_reads_no_entries(
    registry_without_jobs: Harness,
) -> None:
    farm, written = Farm(registry_without_jobs), list[list[str]]()
    for most in (10, MODELS):
        models = [{"model_id": model_id} for model_id in farm.model_ids[:most]]
        watched = WatchedDatabase(farm.database)
        new = NewCollection.model_validate({"name": f"Of {most}", "model_list": models})
        created = create_collection(watched.as_database(), farm.team, new)
        version = NewCollectionVersion.model_validate({"model_list": models[1:]})
        add_version(watched.as_database(), farm.team, created, version)
        written.append([*chain(*watched.written)])
    assert written[0] == written[1]
    of_models = [each.split("(")[0] for each in written[0] if "collection_entries" in each or "FROM models" in each]
    assert of_models == ["INSERT INTO collection_entries "] * 2
