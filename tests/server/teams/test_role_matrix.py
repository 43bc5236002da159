"""Section 2 of the API contract for teams, accounts and keys, written by hand from its table and not from the code.

Each row: method, path, and the status for viewer, member, admin, owner, integration, a viewer's device, an admin's
device, agent. 404 and 422 mean that the caller is allowed: the object does not exist, or the body is empty.
"""

from typing import Any

import pytest

from tests.server.harness import ApiCaller, Harness

ABSENT = "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"
CALLERS = ("viewer", "member", "admin", "owner", "integration", "viewer's device", "admin's device", "agent")

MATRIX: list[tuple[str, str, tuple[int, ...]]] = [
    # Credentials: below admin one's own device keys only; keys never.
    ("POST", "/credentials", (403, 403, 422, 422, 403, 403, 403, 403)),
    ("GET", "/credentials", (200, 200, 200, 200, 403, 403, 403, 403)),
    ("DELETE", f"/credentials/{ABSENT}", (404, 404, 404, 404, 403, 403, 403, 403)),
    # Pairing: every user; keys never.
    ("POST", "/desktop/pair/confirm", (422, 422, 422, 422, 403, 403, 403, 403)),
    # Members, invitations, audit, team settings: admins, and their devices.
    ("GET", "/members", (403, 403, 200, 200, 403, 403, 200, 403)),
    ("PUT", f"/members/{ABSENT}", (403, 403, 422, 422, 403, 403, 422, 403)),
    ("DELETE", f"/members/{ABSENT}", (403, 403, 404, 404, 403, 403, 404, 403)),
    ("POST", "/invitations", (403, 403, 422, 422, 403, 403, 422, 403)),
    ("GET", "/invitations", (403, 403, 200, 200, 403, 403, 200, 403)),
    ("DELETE", f"/invitations/{ABSENT}", (403, 403, 404, 404, 403, 403, 404, 403)),
    ("GET", "/audit-events", (403, 403, 200, 200, 403, 403, 200, 403)),
    ("PUT", "/teams/current", (403, 403, 200, 200, 403, 403, 200, 403)),
    # Not in the table: every user of a team may read its settings; integrations and agents do not need them.
    ("GET", "/teams/current", (200, 200, 200, 200, 403, 200, 200, 403)),
    # Transfer and delete: the signed-in owner only.
    ("POST", "/teams/current/transfer", (403, 403, 403, 422, 403, 403, 403, 403)),
    # Without a team: users only.
    ("POST", "/teams", (422, 422, 422, 422, 422, 422, 422, 422)),
    ("GET", "/users/me", (200, 200, 200, 200, 403, 200, 200, 403)),
    ("POST", "/invitations/accept", (422, 422, 422, 422, 422, 422, 422, 422)),
]


@pytest.fixture(scope="module")
def callers(registry: Harness) -> list[ApiCaller]:
    viewer, admin = registry.create_member("viewer"), registry.create_member("admin")
    return [
        viewer,
        registry.create_member("member"),
        admin,
        registry.owner,
        registry.create_key("integration"),
        registry.create_device(viewer),
        registry.create_device(admin),
        registry.create_key("agent"),
    ]


@pytest.fixture(scope="module")
def other_owner(registry: Harness) -> ApiCaller:
    """The owner of another team, whose requests name this team."""
    return ApiCaller(registry.client, registry.create_other_team().token, registry.team_id)


def _call(caller: ApiCaller, method: str, path: str) -> Any:
    return caller.call(method, path, **({"json": {}} if method in ("POST", "PUT") else {}))


@pytest.mark.parametrize(("method", "path", "expected"), MATRIX, ids=[f"{row[0]} {row[1]}" for row in MATRIX])
def test_route_returns_the_status_of_the_contract_for_each_caller(
    callers: list[ApiCaller], method: str, path: str, expected: tuple[int, ...]
) -> None:
    found = {name: _call(caller, method, path).status_code for name, caller in zip(CALLERS, callers, strict=True)}
    assert found == dict(zip(CALLERS, expected, strict=True))


@pytest.mark.parametrize("role", ["viewer", "member", "admin"])
def test_delete_team_by_anyone_but_the_signed_in_owner_returns_403(registry: Harness, role: str) -> None:
    owner = registry.create_other_team()
    for caller in (
        registry.create_member(role, owner),
        registry.create_device(owner),
        registry.create_key("integration", owner),
    ):
        assert caller.delete("/teams/current").status_code == 403
    assert owner.delete("/teams/current").status_code == 204


# An invitation is accepted with its token, without a sign-in.
SIGNED_IN = [(method, path) for method, path, _ in MATRIX if path != "/invitations/accept"]
IN_A_TEAM = [(method, path) for method, path in SIGNED_IN if path not in ("/teams", "/users/me")]


@pytest.mark.parametrize(("method", "path"), SIGNED_IN)
def test_team_routes_without_token_return_401(registry: Harness, method: str, path: str) -> None:
    assert _call(registry.anonymous, method, path).status_code == 401


@pytest.mark.parametrize(("method", "path"), IN_A_TEAM)
def test_team_routes_by_owner_of_other_team_return_403(other_owner: ApiCaller, method: str, path: str) -> None:
    answer = _call(other_owner, method, path)
    assert answer.status_code == 403
    assert answer.json()["error_code"] == "not_a_member"
