from uuid import UUID

import pytest

from tests.server.harness import Harness

SOMEONE = str(UUID(int=7))


def test_list_members_returns_oldest_first(registry: Harness) -> None:
    owner = registry.create_other_team()
    people = [owner, *(registry.create_member(role, owner) for role in ("viewer", "member", "admin"))]
    answer = owner.get("/members").json()
    assert [row["user_id"] for row in answer["member_list"]] == [person.user_id for person in people]
    assert [row["member_role"] for row in answer["member_list"]] == ["owner", "viewer", "member", "admin"]
    assert answer["page_meta"] == {"current_page": 1, "per_page": 20, "total_count": 4, "next_cursor": None}
    assert set(answer["member_list"][0]) == {"user_id", "display_name", "email_address", "member_role", "joined_at"}


def test_list_members_by_page_and_by_cursor_returns_same_members(registry: Harness) -> None:
    owner = registry.create_other_team()
    people = [owner.user_id, *(registry.create_member("viewer", owner).user_id for _ in range(4))]
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
def test_list_members_unknown_cursor_returns_422(registry: Harness, cursor: str) -> None:
    answer = registry.owner.get("/members", cursor=cursor)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "cursor"


@pytest.mark.parametrize("query", [{"per_page": 0}, {"per_page": 101}, {"current_page": 0}, {"per_page": "x"}])
def test_list_members_page_out_of_range_returns_422(registry: Harness, query: dict[str, int]) -> None:
    assert registry.owner.get("/members", **query).status_code == 422


def test_change_role_applies_from_next_request(registry: Harness) -> None:
    someone = registry.create_member("viewer")
    device = registry.create_device(someone)
    assert someone.get("/members").status_code == 403
    assert registry.owner.put(f"/members/{someone.user_id}", member_role="admin").json() == {"is_success": True}
    assert someone.get("/members").status_code == 200
    assert device.get("/members").status_code == 200
    registry.owner.put(f"/members/{someone.user_id}", member_role="viewer")
    assert someone.get("/members").status_code == 403
    assert device.get("/members").status_code == 403


def test_change_role_of_oneself_is_refused(registry: Harness) -> None:
    admin = registry.create_member("admin")
    for person in (admin, registry.owner, registry.create_device(admin)):
        answer = person.put(f"/members/{person.user_id or admin.user_id}", member_role="viewer")
        assert answer.status_code == 403
        assert answer.json()["error_code"] == "own_role"


def test_demote_or_remove_owner_is_refused(registry: Harness) -> None:
    admin = registry.create_member("admin")
    for answer in (
        admin.put(f"/members/{registry.owner.user_id}", member_role="viewer"),
        admin.delete(f"/members/{registry.owner.user_id}"),
        registry.owner.delete(f"/members/{registry.owner.user_id}"),
    ):
        assert answer.status_code == 403
        assert answer.json()["error_code"] == "owner_stays"


@pytest.mark.parametrize("role", ["owner", "Admin", "", None, 1])
def test_change_role_to_unknown_role_returns_422(registry: Harness, role: object) -> None:
    someone = registry.create_member("viewer")
    assert registry.owner.put(f"/members/{someone.user_id}", member_role=role).status_code == 422


def test_remove_member_ends_access_of_user_and_devices(registry: Harness) -> None:
    owner = registry.create_other_team()
    someone = registry.create_member("admin", owner)
    device = registry.create_device(someone)
    assert owner.delete(f"/members/{someone.user_id}").status_code == 204
    assert someone.get("/models").json()["error_code"] == "not_a_member"
    assert device.get("/users/me").status_code == 401
    assert device.get("/models").status_code == 401
    statuses = {row["kind"]: row["key_status"] for row in owner.get("/credentials").json()["credentials"]}
    assert statuses == {"device": "revoked", "agent": "revoked"}


def test_remove_member_keeps_their_devices_in_other_teams(registry: Harness) -> None:
    someone = registry.create_member("member")
    team_id = someone.post("/teams", display_name="Own").json()["id"]
    there = type(someone)(registry.client, someone.token, team_id, someone.user_id)
    device = registry.create_device(there)
    registry.owner.delete(f"/members/{someone.user_id}")
    assert device.get("/models").status_code == 200


def test_leave_team_is_allowed_for_all_but_the_owner(registry: Harness) -> None:
    for role in ("viewer", "member", "admin"):
        someone = registry.create_member(role)
        assert someone.delete(f"/members/{someone.user_id}").status_code == 204
        assert someone.get("/models").status_code == 403


def test_remove_other_member_below_admin_returns_403(registry: Harness) -> None:
    target = registry.create_member("viewer")
    for role in ("viewer", "member"):
        answer = registry.create_member(role).delete(f"/members/{target.user_id}")
        assert answer.status_code == 403
        assert answer.json()["error_code"] == "role_too_low"
    assert registry.create_member("admin").delete(f"/members/{target.user_id}").status_code == 204


def test_change_member_of_other_team_or_unknown_returns_same_404(registry: Harness) -> None:
    stranger = registry.create_other_team()
    for method, body in (("PUT", {"member_role": "viewer"}), ("DELETE", None)):
        bodies = []
        for user_id in (stranger.user_id, SOMEONE, "nonsense", "%00", "x" * 300):
            answer = registry.owner.call(method, f"/members/{user_id}", json=body)
            bodies.append({key: value for key, value in answer.json().items() if key != "request_id"})
            assert answer.status_code == 404
        assert all(body == bodies[0] for body in bodies)
