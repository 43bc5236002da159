from typing import Any
from uuid import UUID, uuid4

import pytest

from modelyard.server.identity.bearer import Caller
from modelyard.server.teams.acting import Acting, acting_in
from modelyard.server.teams.permissions import Operation
from modelyard.wire.problems import KeyNotAllowed, NotAMember, RoleTooLow
from modelyard.wire.teams import Role
from tests.server.people.answers import Answer, refusal
from tests.server.world import Someone, World

USER, TEAM, OTHER_TEAM = uuid4(), uuid4(), uuid4()


def _with_header(world: World, token: str | None, *headers: tuple[str, str]) -> Answer:
    answer: Answer = world.client.get("/api/v1/models", headers=[("Authorization", f"Bearer {token}"), *headers])
    return answer


def test_a_user_must_say_which_team(world: World) -> None:
    answer = _with_header(world, world.owner.token)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "team_header_missing"


@pytest.mark.parametrize("text", ["", "x", "0199a1de7c1e7a529d3b5f0c2f6f7a10", "{%s}", "urn:uuid:%s", "%s ,", "%s%s"])
def test_a_team_that_is_no_uuid_is_refused(world: World, text: str) -> None:
    answer = _with_header(world, world.owner.token, ("X-Team-ID", text.replace("%s", world.team_id)))
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "team_header_malformed"


def test_two_teams_are_refused_though_both_are_the_users(world: World) -> None:
    sent = ("X-Team-ID", world.team_id)
    assert _with_header(world, world.owner.token, sent, sent).status_code == 400


def test_a_foreign_team_and_one_that_does_not_exist_look_the_same(world: World) -> None:
    foreign = _with_header(world, world.owner.token, ("X-Team-ID", str(world.other_team().team_id)))
    absent = _with_header(world, world.owner.token, ("X-Team-ID", str(uuid4())))
    assert foreign.status_code == 403
    assert refusal(foreign) == refusal(absent)


def test_the_team_is_read_without_case(world: World) -> None:
    assert _with_header(world, world.owner.token, ("X-Team-ID", world.team_id.upper())).status_code == 200


@pytest.mark.parametrize("kind", ["integration", "device"])
def test_a_key_has_its_team_whatever_the_header_says(world: World, kind: str) -> None:
    key = world.device(world.owner) if kind == "device" else world.key(kind)
    stranger = world.other_team()
    for header in (str(stranger.team_id), "nonsense", "", str(uuid4())):
        assert _with_header(world, key.token, ("X-Team-ID", header)).status_code == 200
        answer = world.client.get(
            "/api/v1/teams/current",
            headers={"Authorization": f"Bearer {world.device(world.owner).token}", "X-Team-ID": header},
        )
        assert answer.json()["id"] == world.team_id


def test_who_calls_comes_before_which_team_and_that_before_the_body(world: World) -> None:
    viewer = world.person("viewer")
    broken: dict[str, Any] = {"content": b'{"kind":', "headers": {"Content-Type": "application/json"}}
    assert world.nobody.call("POST", "/credentials", **broken).status_code == 401
    assert Someone(world.client, viewer.token).call("POST", "/credentials", **broken).json()["status"] == 400
    no_team = Someone(world.client, viewer.token).call("POST", "/credentials", **broken)
    assert no_team.json()["error_code"] == "team_header_missing"
    assert viewer.call("POST", "/credentials", **broken).status_code == 403
    assert world.owner.call("POST", "/credentials", **broken).json()["error_code"] == "malformed_json"


def test_a_rename_or_a_bad_query_comes_after_the_role(world: World) -> None:
    assert world.person("viewer").get("/audit-events", per_page=0).status_code == 403
    assert world.nobody.get("/audit-events", per_page=0).status_code == 401


def _caller(kind: Any, team_id: UUID | None = None, user_id: UUID | None = None) -> Caller:
    return Caller(kind, user_id, None if kind == "user" else uuid4(), None, team_id, "write", "Somebody", None)


def test_what_a_user_or_their_device_made_is_their_own(world: World) -> None:
    for caller in (_caller("user", user_id=USER), _caller("device", TEAM, USER)):
        acting = Acting(caller, TEAM, Role.MEMBER)
        assert acting.owns("user", USER)
        assert acting.owns("device", USER)
        assert acting.owns(acting.creator.kind, acting.creator.id)
        assert not acting.owns("user", uuid4())


def test_what_an_integration_made_is_nobodys_own() -> None:
    acting = Acting(_caller("integration", TEAM), TEAM, None)
    assert not acting.owns(acting.creator.kind, acting.creator.id)
    assert not acting.owns("integration", None)
    assert not Acting(_caller("user", user_id=USER), TEAM, Role.OWNER).owns("integration", USER)


def test_a_key_without_a_user_has_no_role() -> None:
    acting = Acting(_caller("integration", TEAM), TEAM, None)
    assert not acting.is_at_least(Role.VIEWER)
    with pytest.raises(KeyNotAllowed):
        acting.require(Role.VIEWER)
    with pytest.raises(RoleTooLow):
        Acting(_caller("user", user_id=USER), TEAM, Role.MEMBER).require(Role.ADMIN)


def test_an_object_of_another_team_gives_no_way_in(world: World) -> None:
    stranger, member = world.other_team(), world.person("member")
    team_id = UUID(world.team_id)
    with world.parts.database.reading() as session:
        here = acting_in(session, _caller("user", user_id=UUID(member.user_id)), team_id, Operation.MODELS_UPLOAD)
        assert here.role is Role.MEMBER
        for caller in (
            _caller("user", user_id=UUID(stranger.user_id)),
            _caller("integration", UUID(stranger.team_id)),
            _caller("device", UUID(stranger.team_id), UUID(member.user_id)),
        ):
            with pytest.raises(NotAMember):
                acting_in(session, caller, team_id, Operation.MODELS_UPLOAD)
        with pytest.raises(KeyNotAllowed):
            acting_in(session, _caller("agent", team_id), team_id, Operation.MODELS_UPLOAD)
