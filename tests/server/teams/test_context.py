from typing import Any
from uuid import UUID, uuid4

import pytest

from modelyard.server.identity.authentication import Caller
from modelyard.server.teams.context import (
    TeamContext,
    reload_team_context,
    resolve_team_context,
    resolve_team_context_by_id,
)
from modelyard.server.teams.permissions import Operation
from modelyard.wire.people.roles import Role
from modelyard.wire.problems import KeyNotAllowed, NotAMember, RoleTooLow, Unauthenticated
from tests.server.accounts_support.answers import Answer, refusal
from tests.server.harness import ApiCaller, Harness

USER, TEAM, OTHER_TEAM = uuid4(), uuid4(), uuid4()


def _with_header(registry: Harness, token: str | None, *headers: tuple[str, str]) -> Answer:
    answer: Answer = registry.client.get("/api/v1/models", headers=[("Authorization", f"Bearer {token}"), *headers])
    return answer


def test_request_user_without_team_header_returns_400(registry: Harness) -> None:
    answer = _with_header(registry, registry.owner.token)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "team_header_missing"


@pytest.mark.parametrize("text", ["", "x", "0199a1de7c1e7a529d3b5f0c2f6f7a10", "{%s}", "urn:uuid:%s", "%s ,", "%s%s"])
def test_request_malformed_team_header_returns_400(registry: Harness, text: str) -> None:
    answer = _with_header(registry, registry.owner.token, ("X-Team-ID", text.replace("%s", registry.team_id)))
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "team_header_malformed"


def test_request_two_own_team_headers_returns_400(registry: Harness) -> None:
    sent = ("X-Team-ID", registry.team_id)
    assert _with_header(registry, registry.owner.token, sent, sent).status_code == 400


def test_request_foreign_or_unknown_team_returns_same_403(registry: Harness) -> None:
    foreign = _with_header(registry, registry.owner.token, ("X-Team-ID", str(registry.create_other_team().team_id)))
    absent = _with_header(registry, registry.owner.token, ("X-Team-ID", str(uuid4())))
    assert foreign.status_code == 403
    assert refusal(foreign) == refusal(absent)


def test_request_team_header_ignores_case(registry: Harness) -> None:
    assert _with_header(registry, registry.owner.token, ("X-Team-ID", registry.team_id.upper())).status_code == 200


@pytest.mark.parametrize("kind", ["integration", "device"])
def test_request_with_key_ignores_team_header(registry: Harness, kind: str) -> None:
    key = registry.create_device(registry.owner) if kind == "device" else registry.create_key(kind)
    stranger = registry.create_other_team()
    for header in (str(stranger.team_id), "nonsense", "", str(uuid4())):
        assert _with_header(registry, key.token, ("X-Team-ID", header)).status_code == 200
        answer = registry.client.get(
            "/api/v1/teams/current",
            headers={"Authorization": f"Bearer {registry.create_device(registry.owner).token}", "X-Team-ID": header},
        )
        assert answer.json()["id"] == registry.team_id


def test_request_checks_caller_then_team_then_body(registry: Harness) -> None:
    viewer = registry.create_member("viewer")
    broken: dict[str, Any] = {"content": b'{"kind":', "headers": {"Content-Type": "application/json"}}
    assert registry.anonymous.call("POST", "/credentials", **broken).status_code == 401
    assert ApiCaller(registry.client, viewer.token).call("POST", "/credentials", **broken).json()["status"] == 400
    no_team = ApiCaller(registry.client, viewer.token).call("POST", "/credentials", **broken)
    assert no_team.json()["error_code"] == "team_header_missing"
    assert viewer.call("POST", "/credentials", **broken).status_code == 403
    assert registry.owner.call("POST", "/credentials", **broken).json()["error_code"] == "malformed_json"


def test_request_checks_role_before_body_and_query(registry: Harness) -> None:
    assert registry.create_member("viewer").get("/audit-events", per_page=0).status_code == 403
    assert registry.anonymous.get("/audit-events", per_page=0).status_code == 401


def _caller(kind: Any, team_id: UUID | None = None, user_id: UUID | None = None) -> Caller:
    return Caller(kind, user_id, None if kind == "user" else uuid4(), None, team_id, "write", "Caller", None)


def test_owns_object_of_user_or_their_device_is_true(registry: Harness) -> None:
    for caller in (_caller("user", user_id=USER), _caller("device", TEAM, USER)):
        team = TeamContext(caller, TEAM, Role.MEMBER)
        assert team.owns("user", USER)
        assert team.owns("device", USER)
        assert team.owns(team.creator.kind, team.creator.id)
        assert not team.owns("user", uuid4())


def test_owns_object_of_integration_is_false() -> None:
    team = TeamContext(_caller("integration", TEAM), TEAM, None)
    assert not team.owns(team.creator.kind, team.creator.id)
    assert not team.owns("integration", None)
    assert not TeamContext(_caller("user", user_id=USER), TEAM, Role.OWNER).owns("integration", USER)


def test_require_role_key_without_user_raises_key_not_allowed() -> None:
    team = TeamContext(_caller("integration", TEAM), TEAM, None)
    assert not team.is_at_least(Role.VIEWER)
    with pytest.raises(KeyNotAllowed):
        team.require_role(Role.VIEWER)
    with pytest.raises(RoleTooLow):
        TeamContext(_caller("user", user_id=USER), TEAM, Role.MEMBER).require_role(Role.ADMIN)


def test_resolve_team_context_by_id_other_team_raises_not_a_member(registry: Harness) -> None:
    stranger, member = registry.create_other_team(), registry.create_member("member")
    team_id = UUID(registry.team_id)
    with registry.resources.database.reading() as session:
        here = resolve_team_context_by_id(
            session, _caller("user", user_id=UUID(member.user_id)), team_id, Operation.MODELS_UPLOAD
        )
        assert here.role is Role.MEMBER
        for caller in (
            _caller("user", user_id=UUID(stranger.user_id)),
            _caller("integration", UUID(stranger.team_id)),
            _caller("device", UUID(stranger.team_id), UUID(member.user_id)),
        ):
            with pytest.raises(NotAMember):
                resolve_team_context_by_id(session, caller, team_id, Operation.MODELS_UPLOAD)
        with pytest.raises(KeyNotAllowed):
            resolve_team_context_by_id(session, _caller("agent", team_id), team_id, Operation.MODELS_UPLOAD)


def _resolve(registry: Harness, caller: ApiCaller) -> TeamContext:
    """Return the context of a caller, as a request gets it at its beginning."""
    with registry.resources.database.reading() as session:
        return resolve_team_context(session, registry.resources.identity, caller.token or "", [registry.team_id])


def _reload(registry: Harness, team: TeamContext) -> TeamContext:
    with registry.resources.database.writing(team.team_id) as session:
        return reload_team_context(session, team, Operation.MODELS_UPLOAD)


@pytest.mark.parametrize("with_device", [False, True], ids=["user", "device"])
def test_reload_team_context_user_with_another_role_has_that_one(registry: Harness, with_device: bool) -> None:
    person = registry.create_member("admin")
    team = _resolve(registry, registry.create_device(person) if with_device else person)
    assert _reload(registry, team) == team
    registry.owner.put(f"/members/{person.user_id}", member_role="member")
    assert _reload(registry, team).role is Role.MEMBER
    registry.owner.put(f"/members/{person.user_id}", member_role="viewer")
    with pytest.raises(RoleTooLow):
        _reload(registry, team)
    registry.owner.delete(f"/members/{person.user_id}")
    with pytest.raises(NotAMember):
        _reload(registry, team)


def test_reload_team_context_revoked_key_raises_unauthenticated(registry: Harness) -> None:
    team = _resolve(registry, registry.create_key("integration"))
    assert _reload(registry, team) == team
    registry.owner.delete(f"/credentials/{team.caller.credential_id}")
    with pytest.raises(Unauthenticated):
        _reload(registry, team)
