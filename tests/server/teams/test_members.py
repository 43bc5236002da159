from uuid import UUID

import pytest

from tests.server.world import World

SOMEONE = str(UUID(int=7))


def test_members_are_listed_oldest_first(world: World) -> None:
    owner = world.other_team()
    people = [owner, *(world.person(role, owner) for role in ("viewer", "member", "admin"))]
    answer = owner.get("/members").json()
    assert [row["user_id"] for row in answer["member_list"]] == [person.user_id for person in people]
    assert [row["member_role"] for row in answer["member_list"]] == ["owner", "viewer", "member", "admin"]
    assert answer["page_meta"] == {"current_page": 1, "per_page": 20, "total_count": 4, "next_cursor": None}
    assert set(answer["member_list"][0]) == {"user_id", "display_name", "email_address", "member_role", "joined_at"}


def test_members_can_be_read_by_pages_and_by_cursor(world: World) -> None:
    owner = world.other_team()
    people = [owner.user_id, *(world.person("viewer", owner).user_id for _ in range(4))]
    pages = [owner.get("/members", per_page=2, current_page=page).json()["member_list"] for page in (1, 2, 3, 4)]
    assert [row["user_id"] for page in pages for row in page] == people
    assert pages[3] == []

    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = owner.get("/members", per_page=2, cursor=cursor).json()
        seen += [row["user_id"] for row in page["member_list"]]
        cursor = page["page_meta"]["next_cursor"]
        assert page["page_meta"]["total_count"] is None
    assert seen == people


@pytest.mark.parametrize("cursor", ["x", "WyJ4Il0", "W10", "bnVsbA", "WyJ4IiwieSJd", "WzEsMl0", "e30", "%00"])
def test_a_cursor_that_is_none_of_ours_is_refused(world: World, cursor: str) -> None:
    answer = world.owner.get("/members", cursor=cursor)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "cursor"


@pytest.mark.parametrize("query", [{"per_page": 0}, {"per_page": 101}, {"current_page": 0}, {"per_page": "x"}])
def test_a_page_out_of_range_is_refused(world: World, query: dict[str, int]) -> None:
    assert world.owner.get("/members", **query).status_code == 422


def test_a_new_role_counts_from_the_next_request(world: World) -> None:
    someone = world.person("viewer")
    device = world.device(someone)
    assert someone.get("/members").status_code == 403
    assert world.owner.put(f"/members/{someone.user_id}", member_role="admin").json() == {"is_success": True}
    assert someone.get("/members").status_code == 200
    assert device.get("/members").status_code == 200
    world.owner.put(f"/members/{someone.user_id}", member_role="viewer")
    assert someone.get("/members").status_code == 403
    assert device.get("/members").status_code == 403


def test_nobody_changes_their_own_role(world: World) -> None:
    admin = world.person("admin")
    for person in (admin, world.owner, world.device(admin)):
        answer = person.put(f"/members/{person.user_id or admin.user_id}", member_role="viewer")
        assert answer.status_code == 403
        assert answer.json()["error_code"] == "own_role"


def test_the_owner_is_neither_demoted_nor_removed(world: World) -> None:
    admin = world.person("admin")
    for answer in (
        admin.put(f"/members/{world.owner.user_id}", member_role="viewer"),
        admin.delete(f"/members/{world.owner.user_id}"),
        world.owner.delete(f"/members/{world.owner.user_id}"),
    ):
        assert answer.status_code == 403
        assert answer.json()["error_code"] == "owner_stays"


@pytest.mark.parametrize("role", ["owner", "Admin", "", None, 1])
def test_a_role_outside_the_list_is_refused(world: World, role: object) -> None:
    someone = world.person("viewer")
    assert world.owner.put(f"/members/{someone.user_id}", member_role=role).status_code == 422


def test_a_removed_member_has_no_access_and_neither_have_their_devices(world: World) -> None:
    owner = world.other_team()
    someone = world.person("admin", owner)
    device = world.device(someone)
    integration = world.key("integration", someone)
    assert owner.delete(f"/members/{someone.user_id}").status_code == 204
    assert someone.get("/models").json()["error_code"] == "not_a_member"
    assert device.get("/users/me").status_code == 401
    assert device.get("/models").status_code == 401
    # The team's own key stays: it acts for the team and not for who made it.
    assert integration.get("/models").status_code == 200
    statuses = {row["kind"]: row["key_status"] for row in owner.get("/credentials").json()["credentials"]}
    assert statuses == {"device": "revoked", "agent": "revoked", "integration": "active"}


def test_devices_in_other_teams_outlive_a_removal(world: World) -> None:
    someone = world.person("member")
    team_id = someone.post("/teams", display_name="Own").json()["id"]
    there = type(someone)(world.client, someone.token, team_id, someone.user_id)
    device = world.device(there)
    world.owner.delete(f"/members/{someone.user_id}")
    assert device.get("/models").status_code == 200


def test_everybody_but_the_owner_may_leave(world: World) -> None:
    for role in ("viewer", "member", "admin"):
        someone = world.person(role)
        assert someone.delete(f"/members/{someone.user_id}").status_code == 204
        assert someone.get("/models").status_code == 403


def test_only_admins_remove_others(world: World) -> None:
    target = world.person("viewer")
    for role in ("viewer", "member"):
        answer = world.person(role).delete(f"/members/{target.user_id}")
        assert answer.status_code == 403
        assert answer.json()["error_code"] == "role_too_low"
    assert world.person("admin").delete(f"/members/{target.user_id}").status_code == 204


def test_a_member_of_another_team_and_one_that_does_not_exist_look_the_same(world: World) -> None:
    stranger = world.other_team()
    for method, body in (("PUT", {"member_role": "viewer"}), ("DELETE", None)):
        bodies = []
        for user_id in (stranger.user_id, SOMEONE, "nonsense", "%00", "x" * 300):
            answer = world.owner.call(method, f"/members/{user_id}", json=body)
            bodies.append({key: value for key, value in answer.json().items() if key != "request_id"})
            assert answer.status_code == 404
        assert all(body == bodies[0] for body in bodies)
