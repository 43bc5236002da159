"""Retention of versions: old ones beyond the team's settings are purged, and nothing that something refers to."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update

from modelyard.server.database.base import now
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from tests.server.garbage.garbage_team import GarbageTeam
from tests.server.harness import make_model_file

pytestmark = pytest.mark.slow


def build_content(number: int) -> bytes:
    return make_model_file(f"version {number}", 100 + number)


def register_versions(team: GarbageTeam, count: int) -> str:
    """Register a model with so many verified versions, each with content of its own; return its id."""
    model_id = team.owner.register(build_content(1))
    for number in range(2, count + 1):
        team.owner.register(build_content(number), replaces=model_id)
    return model_id


def age_versions(team: GarbageTeam, days: float) -> None:
    """Let the days of retention of all versions of the team begin so many days ago."""
    old = update(ModelVersionRow).where(ModelVersionRow.team_id == UUID(team.team_id))
    with team.resources.database.writing(UUID(team.team_id)) as session:
        session.execute(old.values(kept_from=now() - timedelta(days=days)))


def list_numbers(team: GarbageTeam, model_id: str) -> list[int]:
    listed = team.owner.get(f"/models/{model_id}/versions", per_page=100).json()["version_list"]
    return [version["version"] for version in listed]


def test_collect_keeps_newest_five_versions_and_purges_older_ones_after_30_days(team: GarbageTeam) -> None:
    model_id = register_versions(team, 8)
    age_versions(team, 29)
    assert team.collect().versions == 0
    age_versions(team, 31)
    assert team.collect().versions == 3
    assert list_numbers(team, model_id) == [8, 7, 6, 5, 4]
    model = team.owner.get(f"/models/{model_id}").json()
    assert (model["version"], model["version_count"]) == (8, 5)
    assert team.owner.register(build_content(9), replaces=model_id) == model_id
    assert list_numbers(team, model_id)[0] == 9


def test_collect_keeps_as_many_versions_and_days_as_the_team_set(team: GarbageTeam) -> None:
    model_id = register_versions(team, 4)
    team.owner.put("/teams/current", kept_versions=1, kept_version_days=3)
    age_versions(team, 2)
    assert team.collect().versions == 0
    age_versions(team, 4)
    assert team.collect().versions == 3
    assert list_numbers(team, model_id) == [4]


def test_collect_keeps_current_and_newest_verified_version(team: GarbageTeam) -> None:
    model_id = register_versions(team, 4)
    team.owner.post(f"/models/{model_id}/versions/1/activate")
    team.owner.put("/teams/current", kept_versions=1, kept_version_days=0)
    age_versions(team, 1)
    team.collect()
    assert list_numbers(team, model_id) == [4, 1]


def test_collect_purged_versions_frees_their_bytes_and_dry_run_says_how_many(team: GarbageTeam) -> None:
    model_id = register_versions(team, 3)
    team.owner.put("/teams/current", kept_versions=1, kept_version_days=0)
    age_versions(team, 1)
    stored = team.owner.get("/teams/current").json()["stored_bytes"]
    expected = len(build_content(1)) + len(build_content(2))
    planned = team.collect(is_dry=True)
    assert (planned.versions, planned.bytes) == (2, expected)
    assert list_numbers(team, model_id) == [3, 2, 1]
    assert team.collect().versions == 2
    assert stored - team.owner.get("/teams/current").json()["stored_bytes"] == expected
    events = team.owner.get("/audit-events", action="version.purged").json()["audit_event_list"]
    assert [event["facts"]["version"] for event in events] == [2, 1]


def test_collect_deleted_version_is_purged_after_the_trash_days_and_until_then_restorable(team: GarbageTeam) -> None:
    model_id = register_versions(team, 2)
    team.owner.delete(f"/models/{model_id}/versions/1")
    assert list_numbers(team, model_id) == [2]
    assert team.collect().versions == 1
    assert team.owner.post(f"/models/{model_id}/versions/1/restore").status_code == 404


def test_collect_content_that_a_newer_version_has_too_is_kept(team: GarbageTeam) -> None:
    model_id = register_versions(team, 2)
    team.owner.register(build_content(1), replaces=model_id)
    team.owner.put("/teams/current", kept_versions=1, kept_version_days=0)
    age_versions(team, 1)
    assert team.collect().versions == 2
    ticket = team.owner.get(f"/models/{model_id}/download", redirect="false").json()
    assert team.registry.client.get(ticket["download_url"]).content == build_content(1)


def test_collect_deleted_model_frees_the_content_of_all_its_versions(team: GarbageTeam) -> None:
    model_id = register_versions(team, 3)
    team.owner.delete(f"/models/{model_id}")
    assert team.collect().models == 1
    assert team.owner.get("/teams/current").json()["stored_bytes"] == 0


def test_collect_version_that_was_current_until_now_is_kept_for_the_days_from_now_on(team: GarbageTeam) -> None:
    model_id = register_versions(team, 1)
    team.owner.put("/teams/current", kept_versions=1, kept_version_days=30)
    age_versions(team, 60)
    for number in (2, 3):
        team.owner.register(build_content(number), replaces=model_id)
    assert team.collect().versions == 0
    assert list_numbers(team, model_id) == [3, 2, 1]


def test_collect_restored_version_is_kept_for_the_days_from_now_on(team: GarbageTeam) -> None:
    model_id = register_versions(team, 3)
    team.owner.put("/teams/current", kept_versions=1, kept_version_days=30)
    team.owner.delete(f"/models/{model_id}/versions/1")
    age_versions(team, 60)
    team.owner.post(f"/models/{model_id}/versions/1/restore")
    assert team.collect().versions == 1
    assert list_numbers(team, model_id) == [3, 1]


def pin_first_version(team: GarbageTeam, model_id: str) -> str:
    """Create a pinned collection that has version 1 of a model; return its path."""
    body = {"name": "Winter", "model_list": [{"model_id": model_id, "version": 1}]}
    path = f"/collections/{team.owner.post('/collections', **body).json()['id']}"
    assert team.owner.put(path, is_pinned=True).status_code == 200
    return path


@pytest.mark.parametrize("is_trashed", [False, True], ids=["past its retention", "in the trash"])
def test_collect_keeps_a_pinned_version_until_it_is_unpinned(team: GarbageTeam, is_trashed: bool) -> None:
    model_id = register_versions(team, 3)
    team.owner.put("/teams/current", kept_versions=1, kept_version_days=0)
    path = pin_first_version(team, model_id)
    old = now() - timedelta(days=100)
    if is_trashed:
        assert team.owner.delete(f"/models/{model_id}/versions/1").status_code == 204
        in_trash = update(ModelVersionRow).where(ModelVersionRow.deleted_at.is_not(None))
        with team.resources.database.writing(UUID(team.team_id)) as session:
            session.execute(in_trash.where(ModelVersionRow.team_id == UUID(team.team_id)).values(deleted_at=old))
    age_versions(team, 1)
    assert team.collect().versions == 1
    with team.resources.database.reading() as session:
        assert session.get(ModelVersionRow, (UUID(model_id), 1)) is not None
    assert team.owner.put(path, is_pinned=False).status_code == 200
    assert team.collect().versions == 1


def test_collect_keeps_a_deleted_model_of_a_pinned_collection_in_the_trash(team: GarbageTeam) -> None:
    model_id = register_versions(team, 1)
    path = pin_first_version(team, model_id)
    assert team.owner.delete(f"/models/{model_id}").status_code == 204
    in_trash = update(ModelRow).where(ModelRow.id == UUID(model_id))
    with team.resources.database.writing(UUID(team.team_id)) as session:
        session.execute(in_trash.values(deleted_at=now() - timedelta(days=100)))
    assert team.collect().models == 0
    assert team.owner.delete(path).status_code == 204
    assert team.collect().models == 1
