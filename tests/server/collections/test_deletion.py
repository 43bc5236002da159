"""Deletion of collections with many entries: old versions first, in transactions of some rows."""

from collections.abc import Callable
from uuid import UUID

import pytest

from modelyard.server.collections.deletion import delete_collection
from modelyard.wire.problems import RoleTooLow
from tests.server.collections.studio import INK, Studio
from tests.server.collections.test_rollout_queries import build_context
from tests.server.harness import ApiCaller, Harness
from tests.server.watched_database import WatchedDatabase


@pytest.fixture
def studio(shared_registry: Harness, team: ApiCaller) -> Studio:
    """A studio with versions 1 (on machines) to 6, of which the odd ones have ink and the even ones have kaori."""
    studio = Studio(shared_registry, team)
    for number in range(3, 7):
        studio.add_version(studio.ink if number % 2 else studio.kaori)
    return studio


def delete(studio: Studio, after_writing: Callable[[], None], admin: ApiCaller | None = None) -> None:
    """Delete the collection, of which a transaction deletes about two entries."""
    database = WatchedDatabase(studio.registry.resources.database, after_writing=after_writing).as_database()
    delete_collection(database, build_context(admin or studio.team), UUID(studio.path[-36:]), most_rows=2)


def list_deletions(studio: Studio) -> list[tuple[str, str, list[int] | int]]:
    """Return actor, action and versions of the events of the deletion, newest last."""
    listed = studio.team.get("/audit-events", per_page=100).json()["audit_event_list"]
    return [
        (each["actor_id"], each["action"], each["facts"].get("versions", each["facts"].get("version")))
        for each in reversed(listed)
        if each["action"] in ("collection.versions_deleted", "collection.deleted")
    ]


def list_versions(studio: Studio) -> list[int]:
    listed = studio.team.get(f"{studio.path}/versions").json().get("version_list", [])
    return [each["version"] for each in reversed(listed)]


def test_delete_collection_of_many_entries_deletes_old_versions_in_transactions_before(studio: Studio) -> None:
    steps = list[list[int]]()
    delete(studio, lambda: steps.append(list_versions(studio)))
    assert steps == [[1, 4, 5, 6], [1, 6], []]
    assert studio.list_desired() == ([], [])
    assert list_deletions(studio) == [
        (studio.team.user_id, "collection.versions_deleted", [2, 3]),
        (studio.team.user_id, "collection.versions_deleted", [4, 5]),
        (studio.team.user_id, "collection.deleted", 6),
    ]


def test_delete_collection_checks_the_role_again_in_each_transaction(studio: Studio) -> None:
    admin = studio.registry.create_member("admin", studio.team)

    def demote() -> None:
        assert studio.team.put(f"/members/{admin.user_id}", member_role="member").status_code == 200

    with pytest.raises(RoleTooLow):
        delete(studio, demote, admin)
    assert list_versions(studio) == [1, 4, 5, 6]
    assert studio.list_desired() == ([INK], [INK])
    assert list_deletions(studio) == [(admin.user_id, "collection.versions_deleted", [2, 3])]


def test_delete_collection_that_breaks_off_keeps_what_machines_get_and_would_get_by_a_rollback(studio: Studio) -> None:
    assert studio.team.put(studio.path, is_held=False).status_code == 200
    rollout = studio.start(4)
    left = ["first"]

    def break_off() -> None:
        if left:
            left.pop()
        else:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        delete(studio, break_off)
    assert list_versions(studio) == [1, 4, 6]
    studio.act(rollout, "roll-back")
    assert studio.list_desired() == ([INK], [INK])
    assert studio.team.delete(studio.path).status_code == 204
    assert studio.list_desired() == ([], [])
