"""Retention of versions: old ones beyond the team's settings are purged, and nothing that something refers to."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update

from modelyard.server.database.base import now
from modelyard.server.garbage.run_state import CollectionResult
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.teams.tables import TeamRow
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


def age_trash(team: GarbageTeam) -> None:
    """Let what is deleted of the team, and the team if it is, have been deleted for longer than the trash keeps it."""
    team_id, old = UUID(team.team_id), now() - timedelta(days=100)
    is_deleted = (TeamRow.id == team_id) & TeamRow.deleted_at.is_not(None)
    with team.resources.database.writing(team_id) as session:
        session.execute(update(TeamRow).where(is_deleted).values(deleted_at=old))
        for table in (ModelRow, ModelVersionRow):
            is_trashed = (table.team_id == team_id) & table.deleted_at.is_not(None)
            session.execute(update(table).where(is_trashed).values(deleted_at=old))


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
    if is_trashed:
        assert team.owner.delete(f"/models/{model_id}/versions/1").status_code == 204
        age_trash(team)
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
    age_trash(team)
    assert team.collect().models == 0
    assert team.owner.delete(path).status_code == 204
    assert team.collect().models == 1


def test_dry_run_counts_a_deleted_model_and_not_its_versions_too(team: GarbageTeam) -> None:
    model_id = register_versions(team, 4)
    team.owner.put("/teams/current", kept_versions=1, kept_version_days=0)
    assert team.owner.delete(f"/models/{model_id}/versions/1").status_code == 204
    age_versions(team, 1)
    assert team.owner.delete(f"/models/{model_id}").status_code == 204
    age_trash(team)
    planned = team.collect(is_dry=True)
    assert (planned.models, planned.versions, planned.files) == (1, 0, 4)
    assert team.collect() == planned


def test_dry_run_counts_no_files_of_a_deleted_model_of_a_pinned_collection(team: GarbageTeam) -> None:
    model_id = register_versions(team, 1)
    pin_first_version(team, model_id)
    assert team.owner.delete(f"/models/{model_id}").status_code == 204
    age_trash(team)
    assert team.collect(is_dry=True) == CollectionResult()


def test_collect_deletes_all_models_of_a_deleted_team_whatever_was_pinned(team: GarbageTeam) -> None:
    pinned, trashed, _ = (team.owner.register(build_content(n), f"loras/{n}.safetensors") for n in range(3))
    pin_first_version(team, pinned)
    for model_id in (pinned, trashed):
        assert team.owner.delete(f"/models/{model_id}").status_code == 204
    assert team.owner.delete("/teams/current").status_code == 204
    age_trash(team)
    planned = team.collect(is_dry=True)
    assert (planned.models, planned.versions, planned.files) == (3, 0, 3)
    assert team.collect() == planned
