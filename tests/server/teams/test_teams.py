from datetime import timedelta
from uuid import UUID

import pytest

from modelyard.server.database.base import now
from modelyard.server.teams.operations import restore_team, teams_deleted_before
from modelyard.server.teams.tables import TeamRow
from modelyard.wire.problems import TeamNotFound
from tests.server.world import PASSWORD, Someone, World


def _new_team(world: World) -> Someone:
    """The owner of a team that a test may break."""
    return world.other_team()


def test_who_makes_a_team_owns_it(world: World) -> None:
    someone = world.person("viewer")
    made = someone.post("/teams", display_name="Side project")
    assert made.status_code == 201
    assert set(made.json()) == {"id"}
    teams = {team["id"]: team["member_role"] for team in someone.get("/users/me").json()["team_list"]}
    assert teams[made.json()["id"]] == "owner"
    assert teams[world.team_id] == "viewer"


@pytest.mark.parametrize("kind", ["device", "integration", "agent"])
def test_a_key_makes_no_team(world: World, kind: str) -> None:
    key = world.device(world.owner) if kind == "device" else world.key(kind)
    assert key.post("/teams", display_name="x").status_code == 403


def test_a_team_shows_its_settings_and_what_it_stores(world: World) -> None:
    team = world.person("viewer").get("/teams/current").json()
    assert team["id"] == world.team_id
    assert team["display_name"] == "Studio"
    assert team["pickle_policy"] == "block"
    assert team["quota_bytes"] is None
    assert team["stored_bytes"] == 0


def test_a_change_touches_only_what_it_names(world: World) -> None:
    owner = _new_team(world)
    assert owner.put("/teams/current", quota_bytes=1000, pickle_policy="scan").json() == {"id": owner.team_id}
    assert owner.put("/teams/current", display_name="Renamed").status_code == 200
    team = owner.get("/teams/current").json()
    assert (team["display_name"], team["quota_bytes"], team["pickle_policy"]) == ("Renamed", 1000, "scan")


def test_null_clears_a_setting_of_ours_and_not_the_name(world: World) -> None:
    owner = _new_team(world)
    owner.put("/teams/current", quota_bytes=1000, pickle_policy="scan")
    assert owner.put("/teams/current", quota_bytes=None, pickle_policy=None).status_code == 200
    assert owner.get("/teams/current").json()["quota_bytes"] is None
    assert owner.get("/teams/current").json()["pickle_policy"] == "block"
    refused = owner.put("/teams/current", display_name=None)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "display_name"


@pytest.mark.parametrize(
    "body",
    [
        {"display_name": ""},
        {"display_name": "x" * 101},
        {"display_name": "a\nb"},
        {"display_name": "a\x00b"},
        {"display_name": 7},
        {"pickle_policy": "allow"},
        {"quota_bytes": -1},
        {"quota_bytes": 2**63},
        {"quota_bytes": "5"},
        {"quota_bytes": True},
        {"quota_bytes": 1.0},
    ],
)
def test_a_bad_setting_is_named_and_changes_nothing(world: World, body: dict[str, object]) -> None:
    before = world.owner.get("/teams/current").json()
    answer = world.owner.put("/teams/current", **body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == next(iter(body))
    assert world.owner.get("/teams/current").json() == before


def test_a_deleted_team_ends_all_access_at_once(world: World) -> None:
    owner = _new_team(world)
    member = world.person("admin", owner)
    keys = [world.key("integration", owner), world.key("agent", owner), world.device(member)]
    invited = owner.post("/invitations", email_address="late@studio.test", invitation_role="member").json()
    assert owner.delete("/teams/current").status_code == 204
    for person in (owner, member):
        assert person.get("/teams/current").json()["error_code"] == "not_a_member"
        assert str(owner.team_id) not in person.get("/users/me").text
    for key in keys:
        assert key.get("/models").status_code == 401
        assert key.get("/users/me").status_code == 401
    accepted = world.nobody.post(
        "/invitations/accept",
        invitation_token=invited["invitation_token"],
        first_name="Late",
        last_name="Comer",
        user_password=PASSWORD,
    )
    assert accepted.status_code == 404


def test_a_restored_team_is_as_it_was_but_for_what_was_revoked(world: World) -> None:
    owner = _new_team(world)
    kept, revoked = world.key("integration", owner), world.key("integration", owner)
    newest = owner.get("/credentials").json()["credentials"][0]["id"]
    owner.delete(f"/credentials/{newest}")
    owner.delete("/teams/current")
    with world.parts.database.writing() as session:
        restore_team(session, UUID(owner.team_id))
    assert owner.get("/teams/current").status_code == 200
    assert kept.get("/models").status_code == 200
    assert revoked.get("/models").status_code == 401


def test_a_team_is_restored_within_seven_days_only(world: World) -> None:
    owner = _new_team(world)
    team_id = UUID(owner.team_id)
    owner.delete("/teams/current")
    with world.parts.database.writing() as session:
        session.get_one(TeamRow, team_id).deleted_at = now() - timedelta(days=7, seconds=1)
    with world.parts.database.writing() as session, pytest.raises(TeamNotFound):
        restore_team(session, team_id)
    with world.parts.database.reading() as session:
        assert team_id in teams_deleted_before(session)


def test_there_is_nothing_to_restore_in_a_living_team(world: World) -> None:
    for team_id in (UUID(world.team_id), UUID(int=7)):
        with world.parts.database.writing() as session, pytest.raises(TeamNotFound):
            restore_team(session, team_id)


def test_a_transferred_team_has_one_owner_and_the_old_one_is_an_admin(world: World) -> None:
    owner = _new_team(world)
    heir = world.person("viewer", owner)
    answer = owner.post("/teams/current/transfer", new_owner_id=heir.user_id)
    assert answer.json() == {"is_success": True}
    roles = {row["user_id"]: row["member_role"] for row in heir.get("/members").json()["member_list"]}
    assert roles == {heir.user_id: "owner", owner.user_id: "admin"}
    assert owner.post("/teams/current/transfer", new_owner_id=owner.user_id).status_code == 403


def test_a_team_goes_to_members_only(world: World) -> None:
    owner = _new_team(world)
    for user_id in (world.owner.user_id, "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"):
        answer = owner.post("/teams/current/transfer", new_owner_id=user_id)
        assert answer.status_code == 404
        assert answer.json()["error_code"] == "member_not_found"
    assert owner.post("/teams/current/transfer", new_owner_id="x").status_code == 422


def test_a_transfer_to_oneself_changes_nothing(world: World) -> None:
    owner = _new_team(world)
    assert owner.post("/teams/current/transfer", new_owner_id=owner.user_id).status_code == 200
    assert owner.get("/members").json()["member_list"][0]["member_role"] == "owner"
