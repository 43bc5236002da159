"""Section 2 of the contract for the routes of people, written by hand from its table and not from the code.

Each row: method, path, body, and the status for viewer, member, admin, owner, integration, a viewer's device, an
admin's device, agent. 404 and 422 mean that the caller was let in: the object is not there, the body is empty.
"""

from typing import Any

import pytest

from tests.server.world import Someone, World

ABSENT = "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"
CALLERS = ("viewer", "member", "admin", "owner", "integration", "viewer's device", "admin's device", "agent")

MATRIX: list[tuple[str, str, tuple[int, ...]]] = [
    # Credentials: below admin one's own device keys only; keys never.
    ("POST", "/credentials", (403, 403, 422, 422, 403, 403, 403, 403)),
    ("GET", "/credentials", (200, 200, 200, 200, 403, 403, 403, 403)),
    ("DELETE", f"/credentials/{ABSENT}", (404, 404, 404, 404, 403, 403, 403, 403)),
    # Pairing: every person; keys never.
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
    # Not in the table: everybody in a team may see its settings; integrations and agents have no use for them.
    ("GET", "/teams/current", (200, 200, 200, 200, 403, 200, 200, 403)),
    # Transfer and delete: the owner in person.
    ("POST", "/teams/current/transfer", (403, 403, 403, 422, 403, 403, 403, 403)),
    # Without a team: users only.
    ("POST", "/teams", (422, 422, 422, 422, 422, 422, 422, 422)),
    ("GET", "/users/me", (200, 200, 200, 200, 403, 200, 200, 403)),
    ("POST", "/invitations/accept", (422, 422, 422, 422, 422, 422, 422, 422)),
]


@pytest.fixture(scope="module")
def callers(world: World) -> list[Someone]:
    viewer, admin = world.person("viewer"), world.person("admin")
    return [
        viewer,
        world.person("member"),
        admin,
        world.owner,
        world.key("integration"),
        world.device(viewer),
        world.device(admin),
        world.key("agent"),
    ]


@pytest.fixture(scope="module")
def stranger(world: World) -> Someone:
    """The owner of another team, who asks for this one."""
    return Someone(world.client, world.other_team().token, world.team_id)


def _call(caller: Someone, method: str, path: str) -> Any:
    return caller.call(method, path, **({"json": {}} if method in ("POST", "PUT") else {}))


@pytest.mark.parametrize(("method", "path", "expected"), MATRIX, ids=[f"{row[0]} {row[1]}" for row in MATRIX])
def test_each_caller_may_what_the_contract_says(
    callers: list[Someone], method: str, path: str, expected: tuple[int, ...]
) -> None:
    found = {name: _call(caller, method, path).status_code for name, caller in zip(CALLERS, callers, strict=True)}
    assert found == dict(zip(CALLERS, expected, strict=True))


@pytest.mark.parametrize("role", ["viewer", "member", "admin"])
def test_only_the_owner_in_person_deletes_a_team(world: World, role: str) -> None:
    owner = world.other_team()
    for caller in (world.person(role, owner), world.device(owner), world.key("integration", owner)):
        assert caller.delete("/teams/current").status_code == 403
    assert owner.delete("/teams/current").status_code == 204


# An invitation's token is its own way in.
SIGNED_IN = [(method, path) for method, path, _ in MATRIX if path != "/invitations/accept"]
IN_A_TEAM = [(method, path) for method, path in SIGNED_IN if path not in ("/teams", "/users/me")]


@pytest.mark.parametrize(("method", "path"), SIGNED_IN)
def test_a_stranger_is_told_to_sign_in(world: World, method: str, path: str) -> None:
    assert _call(world.nobody, method, path).status_code == 401


@pytest.mark.parametrize(("method", "path"), IN_A_TEAM)
def test_another_teams_owner_is_no_member(stranger: Someone, method: str, path: str) -> None:
    answer = _call(stranger, method, path)
    assert answer.status_code == 403
    assert answer.json()["error_code"] == "not_a_member"
