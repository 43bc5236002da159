from datetime import timedelta

import pytest

from modelyard.server.accounts.operations import create_reset_token
from modelyard.server.database.base import now
from modelyard.server.identity import keys
from modelyard.server.identity.tables import PasswordResetRow
from modelyard.wire.problems import AccountNotFound
from tests.server.harness import PASSWORD, ApiCaller, Harness

NEWER = "an even longer sentence"


def _email(someone: ApiCaller) -> str:
    return str(someone.get("/users/me").json()["email_address"])


def _can_sign_in(registry: Harness, email: str, password: str) -> bool:
    answer = registry.anonymous.post("/auth/login", email_address=email, user_password=password)
    return answer.status_code == 200


def _reset_token(registry: Harness, email: str) -> str:
    with registry.resources.database.writing() as session:
        return create_reset_token(session, email)


def test_get_me_returns_user_and_teams(registry: Harness) -> None:
    someone = registry.create_member("member")
    me = someone.get("/users/me").json()
    assert me["id"] == someone.user_id
    assert me["display_name"] == f"{me['first_name']} {me['last_name']}"
    assert me["team_list"] == [{"id": registry.team_id, "display_name": "Studio", "member_role": "member"}]
    assert me["feature_flags"] == {}
    assert "password" not in str(me)


def test_get_me_with_device_key_returns_its_team_only(registry: Harness) -> None:
    someone = registry.create_member("member")
    someone.post("/teams", display_name="Second")
    assert len(someone.get("/users/me").json()["team_list"]) == 2
    me = registry.create_device(someone).get("/users/me").json()
    assert me["id"] == someone.user_id
    assert [team["id"] for team in me["team_list"]] == [registry.team_id]


@pytest.mark.parametrize("kind", ["integration", "agent"])
def test_get_me_with_key_without_user_returns_403(registry: Harness, kind: str) -> None:
    answer = registry.create_key(kind).get("/users/me")
    assert answer.status_code == 403
    assert answer.json()["error_code"] == "key_not_allowed"


def test_change_password_ends_other_sessions_only(registry: Harness) -> None:
    someone = registry.create_member("member")
    other = registry.sign_in(_email(someone))
    changed = someone.put("/users/me/password", current_password=PASSWORD, new_password=NEWER)
    assert changed.json() == {"is_success": True}
    assert someone.get("/users/me").status_code == 200
    assert other.get("/users/me").status_code == 401
    assert _can_sign_in(registry, _email(someone), NEWER)
    assert not _can_sign_in(registry, _email(someone), PASSWORD)


def test_change_password_with_wrong_current_one_changes_nothing(registry: Harness) -> None:
    someone = registry.create_member("member")
    other = registry.sign_in(_email(someone))
    answer = someone.put("/users/me/password", current_password="wrong", new_password=NEWER)
    assert answer.status_code == 422
    assert answer.json()["error_code"] == "password_refused"
    assert other.get("/users/me").status_code == 200
    assert _can_sign_in(registry, _email(someone), PASSWORD)


def test_change_password_repeated_wrong_guesses_return_429(registry: Harness) -> None:
    someone = registry.create_member("member")
    answers = [
        someone.put("/users/me/password", current_password="wrong", new_password=NEWER).status_code for _ in range(11)
    ]
    assert answers == [422] * 10 + [429]


@pytest.mark.parametrize("kind", ["device", "integration", "agent"])
def test_change_password_with_key_returns_403(registry: Harness, kind: str) -> None:
    key = registry.create_device(registry.owner) if kind == "device" else registry.create_key(kind)
    answer = key.put("/users/me/password", current_password=PASSWORD, new_password=NEWER)
    assert answer.status_code == 403


@pytest.mark.parametrize("password", ["short", "x" * 129, 12345678, None])
def test_change_password_length_outside_8_to_128_returns_422(registry: Harness, password: object) -> None:
    answer = registry.owner.put("/users/me/password", current_password=PASSWORD, new_password=password)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "new_password"


def test_reset_password_works_once_and_ends_all_sessions(registry: Harness) -> None:
    someone = registry.create_member("member")
    email = _email(someone)
    token = _reset_token(registry, email.upper())
    answer = registry.anonymous.post("/auth/password-reset", reset_token=token, new_password=NEWER)
    assert answer.json() == {"is_success": True}
    assert someone.get("/users/me").status_code == 401
    assert _can_sign_in(registry, email, NEWER)
    assert registry.anonymous.post("/auth/password-reset", reset_token=token, new_password=PASSWORD).status_code == 404


def test_create_reset_token_invalidates_older_one(registry: Harness) -> None:
    email = _email(registry.create_member("member"))
    older, newer = _reset_token(registry, email), _reset_token(registry, email)
    assert registry.anonymous.post("/auth/password-reset", reset_token=older, new_password=NEWER).status_code == 404
    assert registry.anonymous.post("/auth/password-reset", reset_token=newer, new_password=NEWER).status_code == 200


def test_change_password_invalidates_reset_token(registry: Harness) -> None:
    someone = registry.create_member("member")
    token = _reset_token(registry, _email(someone))
    someone.put("/users/me/password", current_password=PASSWORD, new_password=NEWER)
    assert registry.anonymous.post("/auth/password-reset", reset_token=token, new_password=PASSWORD).status_code == 404


def test_reset_password_after_an_hour_is_refused(registry: Harness) -> None:
    token = _reset_token(registry, _email(registry.create_member("member")))
    with registry.resources.database.writing() as session:
        row = session.get_one(PasswordResetRow, keys.digest(token))
        assert timedelta(minutes=59) < row.expires_at - now() <= timedelta(hours=1)
        row.expires_at = now() - timedelta(seconds=1)
    assert registry.anonymous.post("/auth/password-reset", reset_token=token, new_password=NEWER).status_code == 404


def test_create_reset_token_unknown_address_raises_account_not_found(registry: Harness) -> None:
    for email in ("nobody@studio.test", "no address", "x\x00@y"):
        with pytest.raises(AccountNotFound):
            _reset_token(registry, email)
