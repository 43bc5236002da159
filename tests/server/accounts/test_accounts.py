from datetime import timedelta

import pytest

from modelyard.server.accounts.operations import issue_reset_token
from modelyard.server.database.base import now
from modelyard.server.identity import keys
from modelyard.server.identity.tables import PasswordResetRow
from modelyard.wire.problems import AccountNotFound
from tests.server.world import PASSWORD, Someone, World

NEWER = "an even longer sentence"


def _email(someone: Someone) -> str:
    return str(someone.get("/users/me").json()["email_address"])


def _can_sign_in(world: World, email: str, password: str) -> bool:
    answer = world.nobody.post("/auth/login", email_address=email, user_password=password)
    return answer.status_code == 200


def _reset_token(world: World, email: str) -> str:
    with world.parts.database.writing() as session:
        return issue_reset_token(session, email)


def test_a_user_sees_themselves_and_their_teams(world: World) -> None:
    someone = world.person("member")
    me = someone.get("/users/me").json()
    assert me["id"] == someone.user_id
    assert me["display_name"] == f"{me['first_name']} {me['last_name']}"
    assert me["team_list"] == [{"id": world.team_id, "display_name": "Studio", "member_role": "member"}]
    assert me["feature_flags"] == {}
    assert "password" not in str(me)


def test_a_device_sees_its_user_and_its_own_team_only(world: World) -> None:
    someone = world.person("member")
    someone.post("/teams", display_name="Second")
    assert len(someone.get("/users/me").json()["team_list"]) == 2
    me = world.device(someone).get("/users/me").json()
    assert me["id"] == someone.user_id
    assert [team["id"] for team in me["team_list"]] == [world.team_id]


@pytest.mark.parametrize("kind", ["integration", "agent"])
def test_a_key_without_a_user_is_no_user(world: World, kind: str) -> None:
    answer = world.key(kind).get("/users/me")
    assert answer.status_code == 403
    assert answer.json()["error_code"] == "key_not_allowed"


def test_a_new_password_ends_the_other_sessions_and_not_this_one(world: World) -> None:
    someone = world.person("member")
    other = world.sign_in(_email(someone))
    changed = someone.put("/users/me/password", current_password=PASSWORD, new_password=NEWER)
    assert changed.json() == {"is_success": True}
    assert someone.get("/users/me").status_code == 200
    assert other.get("/users/me").status_code == 401
    assert _can_sign_in(world, _email(someone), NEWER)
    assert not _can_sign_in(world, _email(someone), PASSWORD)


def test_a_wrong_current_password_changes_nothing(world: World) -> None:
    someone = world.person("member")
    other = world.sign_in(_email(someone))
    answer = someone.put("/users/me/password", current_password="wrong", new_password=NEWER)
    assert answer.status_code == 422
    assert answer.json()["error_code"] == "password_refused"
    assert other.get("/users/me").status_code == 200
    assert _can_sign_in(world, _email(someone), PASSWORD)


def test_a_stolen_access_token_does_not_guess_the_password(world: World) -> None:
    someone = world.person("member")
    answers = [
        someone.put("/users/me/password", current_password="wrong", new_password=NEWER).status_code for _ in range(11)
    ]
    assert answers == [422] * 10 + [429]


@pytest.mark.parametrize("kind", ["device", "integration", "agent"])
def test_a_key_changes_no_password(world: World, kind: str) -> None:
    key = world.device(world.owner) if kind == "device" else world.key(kind)
    answer = key.put("/users/me/password", current_password=PASSWORD, new_password=NEWER)
    assert answer.status_code == 403


@pytest.mark.parametrize("password", ["short", "x" * 129, 12345678, None])
def test_a_password_has_8_to_128_characters(world: World, password: object) -> None:
    answer = world.owner.put("/users/me/password", current_password=PASSWORD, new_password=password)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "new_password"


def test_the_operators_link_sets_a_password_once_and_ends_every_session(world: World) -> None:
    someone = world.person("member")
    email = _email(someone)
    token = _reset_token(world, email.upper())
    answer = world.nobody.post("/auth/password-reset", reset_token=token, new_password=NEWER)
    assert answer.json() == {"is_success": True}
    assert someone.get("/users/me").status_code == 401
    assert _can_sign_in(world, email, NEWER)
    assert world.nobody.post("/auth/password-reset", reset_token=token, new_password=PASSWORD).status_code == 404


def test_a_newer_link_ends_the_older_one(world: World) -> None:
    email = _email(world.person("member"))
    older, newer = _reset_token(world, email), _reset_token(world, email)
    assert world.nobody.post("/auth/password-reset", reset_token=older, new_password=NEWER).status_code == 404
    assert world.nobody.post("/auth/password-reset", reset_token=newer, new_password=NEWER).status_code == 200


def test_changing_the_password_ends_an_open_link(world: World) -> None:
    someone = world.person("member")
    token = _reset_token(world, _email(someone))
    someone.put("/users/me/password", current_password=PASSWORD, new_password=NEWER)
    assert world.nobody.post("/auth/password-reset", reset_token=token, new_password=PASSWORD).status_code == 404


def test_a_link_lives_for_an_hour(world: World) -> None:
    token = _reset_token(world, _email(world.person("member")))
    with world.parts.database.writing() as session:
        row = session.get_one(PasswordResetRow, keys.digest(token))
        assert timedelta(minutes=59) < row.expires_at - now() <= timedelta(hours=1)
        row.expires_at = now() - timedelta(seconds=1)
    assert world.nobody.post("/auth/password-reset", reset_token=token, new_password=NEWER).status_code == 404


def test_the_operator_is_told_that_an_address_has_no_account(world: World) -> None:
    for email in ("nobody@studio.test", "no address", "x\x00@y"):
        with pytest.raises(AccountNotFound):
            _reset_token(world, email)
