from datetime import timedelta
from uuid import UUID

import pytest

from modelyard.server.database.base import now
from modelyard.server.identity.state import Identity
from modelyard.server.resources import open_resources
from modelyard.server.settings import Settings
from modelyard.server.teams.operations import restore_team
from modelyard.server.teams.tables import TeamRow
from modelyard.wire.problems import TeamNotFound
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT
from tests.server.harness import PASSWORD, ApiCaller, Harness


def _new_team(registry: Harness) -> ApiCaller:
    """The owner of a team that a test may break."""
    return registry.create_other_team()


def test_create_team_makes_the_caller_its_owner(registry: Harness) -> None:
    someone = registry.create_member("viewer")
    made = someone.post("/teams", display_name="Side project")
    assert made.status_code == 201
    assert set(made.json()) == {"id"}
    teams = {team["id"]: team["member_role"] for team in someone.get("/users/me").json()["team_list"]}
    assert teams[made.json()["id"]] == "owner"
    assert teams[registry.team_id] == "viewer"


@pytest.mark.parametrize("kind", ["device", "integration", "agent"])
def test_create_team_with_key_returns_403(registry: Harness, kind: str) -> None:
    key = registry.create_device(registry.owner) if kind == "device" else registry.create_key(kind)
    assert key.post("/teams", display_name="x").status_code == 403


def test_create_fourth_own_team_returns_403_until_one_is_deleted(settings: Settings) -> None:
    few = settings.model_copy(update={"max_teams": 3})
    with open_resources(few, Identity(CHEAP), PATIENT) as resources, Harness.without_jobs(resources) as registry:
        someone, other = registry.create_member("viewer"), registry.create_member("viewer")
        teams = [someone.post("/teams", display_name=f"Project {number}") for number in range(4)]
        assert [answer.status_code for answer in teams] == [201, 201, 201, 403]
        refused = teams[3].json()
        assert (refused["error_code"], refused["teams"], refused["max_teams"]) == ("too_many_teams", 3, 3)
        assert other.post("/teams", display_name="Project").status_code == 201
        one = ApiCaller(registry.client, someone.token, teams[0].json()["id"])
        assert one.delete("/teams/current").status_code == 204
        assert someone.post("/teams", display_name="Project 4").status_code == 201


def test_get_team_returns_settings_and_stored_bytes(registry: Harness) -> None:
    team = registry.create_member("viewer").get("/teams/current").json()
    assert team["id"] == registry.team_id
    assert team["display_name"] == "Studio"
    assert team["pickle_policy"] == "block"
    assert team["quota_bytes"] is None
    assert team["stored_bytes"] == 0


def test_change_team_keeps_omitted_fields(registry: Harness) -> None:
    owner = _new_team(registry)
    assert owner.put("/teams/current", quota_bytes=1000, pickle_policy="scan").json() == {"id": owner.team_id}
    assert owner.put("/teams/current", display_name="Renamed").status_code == 200
    team = owner.get("/teams/current").json()
    assert (team["display_name"], team["quota_bytes"], team["pickle_policy"]) == ("Renamed", 1000, "scan")


def test_change_team_null_resets_settings_but_not_the_name(registry: Harness) -> None:
    owner = _new_team(registry)
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
def test_change_team_invalid_setting_returns_422_and_changes_nothing(
    registry: Harness, body: dict[str, object]
) -> None:
    before = registry.owner.get("/teams/current").json()
    answer = registry.owner.put("/teams/current", **body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == next(iter(body))
    assert registry.owner.get("/teams/current").json() == before


def test_delete_team_ends_all_access_at_once(registry: Harness) -> None:
    owner = _new_team(registry)
    member = registry.create_member("admin", owner)
    keys = [
        registry.create_key("integration", owner),
        registry.create_key("agent", owner),
        registry.create_device(member),
    ]
    invited = owner.post("/invitations", email_address="late@studio.test", invitation_role="member").json()
    assert owner.delete("/teams/current").status_code == 204
    for person in (owner, member):
        assert person.get("/teams/current").json()["error_code"] == "not_a_member"
        assert str(owner.team_id) not in person.get("/users/me").text
    for key in keys:
        assert key.get("/models").status_code == 401
        assert key.get("/users/me").status_code == 401
    accepted = registry.anonymous.post(
        "/invitations/accept",
        invitation_token=invited["invitation_token"],
        first_name="Late",
        last_name="Comer",
        user_password=PASSWORD,
    )
    assert accepted.status_code == 404


def test_restore_team_resumes_all_keys_but_revoked_ones(registry: Harness) -> None:
    owner = _new_team(registry)
    kept, revoked = registry.create_key("integration", owner), registry.create_key("integration", owner)
    newest = owner.get("/credentials").json()["credentials"][0]["id"]
    owner.delete(f"/credentials/{newest}")
    owner.delete("/teams/current")
    with registry.resources.database.writing() as session:
        restore_team(session, UUID(owner.team_id))
    assert owner.get("/teams/current").status_code == 200
    assert kept.get("/models").status_code == 200
    assert revoked.get("/models").status_code == 401


def test_restore_team_after_seven_days_is_refused(registry: Harness) -> None:
    owner = _new_team(registry)
    team_id = UUID(owner.team_id)
    owner.delete("/teams/current")
    with registry.resources.database.writing() as session:
        session.get_one(TeamRow, team_id).deleted_at = now() - timedelta(days=7, seconds=1)
    with registry.resources.database.writing() as session, pytest.raises(TeamNotFound):
        restore_team(session, team_id)


def test_restore_team_that_is_not_deleted_is_refused(registry: Harness) -> None:
    for team_id in (UUID(registry.team_id), UUID(int=7)):
        with registry.resources.database.writing() as session, pytest.raises(TeamNotFound):
            restore_team(session, team_id)


def test_transfer_team_makes_the_old_owner_an_admin(registry: Harness) -> None:
    owner = _new_team(registry)
    heir = registry.create_member("viewer", owner)
    answer = owner.post("/teams/current/transfer", new_owner_id=heir.user_id)
    assert answer.json() == {"is_success": True}
    roles = {row["user_id"]: row["member_role"] for row in heir.get("/members").json()["member_list"]}
    assert roles == {heir.user_id: "owner", owner.user_id: "admin"}
    assert owner.post("/teams/current/transfer", new_owner_id=owner.user_id).status_code == 403


def test_transfer_team_to_non_member_returns_404(registry: Harness) -> None:
    owner = _new_team(registry)
    for user_id in (registry.owner.user_id, "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"):
        answer = owner.post("/teams/current/transfer", new_owner_id=user_id)
        assert answer.status_code == 404
        assert answer.json()["error_code"] == "member_not_found"
    assert owner.post("/teams/current/transfer", new_owner_id="x").status_code == 422


def test_transfer_team_to_oneself_changes_nothing(registry: Harness) -> None:
    owner = _new_team(registry)
    assert owner.post("/teams/current/transfer", new_owner_id=owner.user_id).status_code == 200
    assert owner.get("/members").json()["member_list"][0]["member_role"] == "owner"
