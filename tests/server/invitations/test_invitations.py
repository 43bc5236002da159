from datetime import timedelta
from typing import Any

import pytest

from modelyard.server.database.base import now
from modelyard.server.identity import keys
from modelyard.server.teams.tables import InvitationRow
from tests.server.accounts_support.answers import Answer, refusal
from tests.server.harness import PASSWORD, ApiCaller, Harness

_addresses = iter(range(10_000))


def _new_address() -> str:
    return f"invited{next(_addresses)}@studio.test"


def _invite(inviter: ApiCaller, email: str, role: str = "member") -> Answer:
    return inviter.post("/invitations", email_address=email, invitation_role=role)


def _accept(who: ApiCaller, token: str, **changed: Any) -> Answer:
    body = {"first_name": "Grace", "last_name": "Hopper", "user_password": PASSWORD}
    return who.post("/invitations/accept", invitation_token=token, **(body | changed))


def _expire(registry: Harness, token: str) -> None:
    with registry.resources.database.writing() as session:
        row = session.query(InvitationRow).filter_by(token_hash=keys.digest(token)).one()
        row.expires_at = now() - timedelta(seconds=1)


def test_accept_invitation_creates_account_and_membership(registry: Harness) -> None:
    email = _new_address()
    made = _invite(registry.owner, email, "admin")
    assert made.status_code == 201
    assert set(made.json()) == {"id", "invitation_token", "public_url"}
    assert made.json()["public_url"] == registry.resources.settings.public_url == "http://registry.test"
    assert _accept(registry.anonymous, made.json()["invitation_token"]).json() == {"is_success": True}
    someone = registry.sign_in(email, registry.team_id)
    assert someone.get("/users/me").json()["team_list"][0]["member_role"] == "admin"
    assert someone.get("/users/me").json()["display_name"] == "Grace Hopper"


def test_accept_invitation_after_seven_days_returns_404(registry: Harness) -> None:
    token = _invite(registry.owner, _new_address()).json()["invitation_token"]
    with registry.resources.database.reading() as session:
        row = session.query(InvitationRow).filter_by(token_hash=keys.digest(token)).one()
        assert timedelta(days=6, hours=23) < row.expires_at - now() <= timedelta(days=7)
    _expire(registry, token)
    assert _accept(registry.anonymous, token).status_code == 404


def test_accept_invalid_tokens_return_same_404(registry: Harness) -> None:
    used, withdrawn, expired = (_invite(registry.owner, _new_address()).json() for _ in range(3))
    _accept(registry.anonymous, used["invitation_token"])
    registry.owner.delete(f"/invitations/{withdrawn['id']}")
    _expire(registry, expired["invitation_token"])
    tokens = [made["invitation_token"] for made in (used, withdrawn, expired)]
    tokens += [keys.generate_token("in-").raw, "x", "\x00", "in-" + "é" * 49, "' OR 1=1 --"]
    answers = [refusal(_accept(registry.anonymous, token)) for token in tokens]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 404


def test_preview_invitation_returns_team_address_and_role(registry: Harness) -> None:
    email = _new_address()
    token = _invite(registry.owner, email, "viewer").json()["invitation_token"]
    shown = registry.anonymous.post("/invitations/preview", invitation_token=token).json()
    expires_at = shown.pop("expires_at")
    assert shown == {
        "team_id": registry.team_id,
        "team_name": registry.owner.get("/teams/current").json()["display_name"],
        "email_address": email,
        "invitation_role": "viewer",
        "has_account": False,
    }
    assert expires_at == registry.owner.get("/invitations").json()["invitation_list"][0]["expires_at"]


def test_preview_invitation_returns_whether_account_exists(registry: Harness) -> None:
    email = _new_address()
    _accept(registry.anonymous, _invite(registry.owner, email).json()["invitation_token"])
    token = _invite(registry.create_team(), email).json()["invitation_token"]
    assert registry.anonymous.post("/invitations/preview", invitation_token=token).json()["has_account"] is True


def test_preview_ended_invitation_returns_404(registry: Harness) -> None:
    used, withdrawn, expired = (_invite(registry.owner, _new_address()).json() for _ in range(3))
    _accept(registry.anonymous, used["invitation_token"])
    registry.owner.delete(f"/invitations/{withdrawn['id']}")
    _expire(registry, expired["invitation_token"])
    tokens = [made["invitation_token"] for made in (used, withdrawn, expired)]
    for token in [*tokens, keys.generate_token("in-").raw, "x", "\x00"]:
        answer = registry.anonymous.post("/invitations/preview", invitation_token=token)
        assert (answer.status_code, answer.json()["error_code"]) == (404, "invitation_not_found")


def test_invite_address_with_open_invitation_returns_409(registry: Harness) -> None:
    email = _new_address()
    first = _invite(registry.owner, email).json()
    again = _invite(registry.owner, email.upper())
    assert again.status_code == 409
    assert again.json()["error_code"] == "already_invited"
    registry.owner.delete(f"/invitations/{first['id']}")
    second = _invite(registry.owner, email)
    assert second.status_code == 201
    _expire(registry, second.json()["invitation_token"])
    assert _invite(registry.owner, email).status_code == 201


def test_invite_same_address_to_two_teams_succeeds(registry: Harness) -> None:
    email = _new_address()
    assert _invite(registry.owner, email).status_code == 201
    assert _invite(registry.create_other_team(), email).status_code == 201


def test_invite_member_returns_409(registry: Harness) -> None:
    email = registry.create_member("viewer").get("/users/me").json()["email_address"]
    answer = _invite(registry.owner, email.upper())
    assert answer.status_code == 409
    assert answer.json()["error_code"] == "already_member"


def test_accept_invitation_with_existing_account_requires_sign_in(registry: Harness) -> None:
    stranger = registry.create_other_team()
    email = stranger.get("/users/me").json()["email_address"]
    token = _invite(registry.owner, email).json()["invitation_token"]
    refused = _accept(registry.anonymous, token)
    assert refused.status_code == 409
    assert refused.json()["error_code"] == "account_exists"
    accepted = stranger.post("/invitations/accept", invitation_token=token)
    assert accepted.json() == {"is_success": True}
    assert ApiCaller(registry.client, stranger.token, registry.team_id).get("/teams/current").status_code == 200


def test_accept_invitation_again_by_same_user_succeeds(registry: Harness) -> None:
    stranger = registry.create_other_team()
    email = stranger.get("/users/me").json()["email_address"]
    token = _invite(registry.owner, email).json()["invitation_token"]
    for _ in range(2):
        assert stranger.post("/invitations/accept", invitation_token=token).status_code == 200
    assert registry.create_member("viewer").post("/invitations/accept", invitation_token=token).status_code == 404


def test_accept_used_invitation_after_removal_returns_404(registry: Harness) -> None:
    email = _new_address()
    token = _invite(registry.owner, email).json()["invitation_token"]
    _accept(registry.anonymous, token)
    someone = registry.sign_in(email, registry.team_id)
    registry.owner.delete(f"/members/{someone.user_id}")
    assert someone.post("/invitations/accept", invitation_token=token).status_code == 404
    assert someone.get("/teams/current").status_code == 403


def test_accept_invitation_as_other_user_returns_404(registry: Harness) -> None:
    token = _invite(registry.owner, _new_address()).json()["invitation_token"]
    stranger = registry.create_other_team()
    assert stranger.post("/invitations/accept", invitation_token=token).status_code == 404
    assert _accept(registry.anonymous, token).status_code == 200


@pytest.mark.parametrize("kind", ["integration", "agent", "device"])
def test_accept_invitation_with_key_returns_403(registry: Harness, kind: str) -> None:
    key = registry.create_device(registry.owner) if kind == "device" else registry.create_key(kind)
    token = _invite(registry.owner, _new_address()).json()["invitation_token"]
    assert _accept(key, token).status_code == 403


def test_accept_invitation_with_invalid_bearer_token_returns_401(registry: Harness) -> None:
    token = _invite(registry.owner, _new_address()).json()["invitation_token"]
    assert _accept(ApiCaller(registry.client, "sk-x"), token).status_code == 401


def test_accept_invitation_without_names_or_password_returns_422(registry: Harness) -> None:
    email = _new_address()
    token = _invite(registry.owner, email).json()["invitation_token"]
    answer = registry.anonymous.post("/invitations/accept", invitation_token=token, first_name="Grace")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["last_name", "user_password"]
    assert _accept(registry.anonymous, token, user_password="short").status_code == 422
    assert _accept(registry.anonymous, token, first_name="a\x00b").status_code == 422
    assert _accept(registry.anonymous, token).status_code == 200


def test_list_invitations_returns_open_ones_newest_first_without_tokens(registry: Harness) -> None:
    owner = registry.create_other_team()
    open_ones = [_invite(owner, _new_address()).json() for _ in range(3)]
    withdrawn, expired, used = (_invite(owner, _new_address()).json() for _ in range(3))
    owner.delete(f"/invitations/{withdrawn['id']}")
    _expire(registry, expired["invitation_token"])
    _accept(registry.anonymous, used["invitation_token"])
    answer = owner.get("/invitations")
    assert [row["id"] for row in answer.json()["invitation_list"]] == [made["id"] for made in reversed(open_ones)]
    assert answer.json()["page_meta"]["total_count"] == 3
    assert open_ones[0]["invitation_token"] not in answer.text
    page = owner.get("/invitations", per_page=2, cursor="").json()
    rest = owner.get("/invitations", per_page=2, cursor=page["page_meta"]["next_cursor"]).json()
    assert [len(page["invitation_list"]), len(rest["invitation_list"])] == [2, 1]
    assert rest["page_meta"]["next_cursor"] is None


def test_withdraw_invitation_of_other_team_or_unknown_returns_same_404(registry: Harness) -> None:
    foreign = _invite(registry.create_other_team(), _new_address()).json()["id"]
    asked = [foreign, "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10", "nonsense", "%2e%2e"]
    answers = [refusal(registry.owner.delete(f"/invitations/{invitation_id}")) for invitation_id in asked]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 404


def test_list_invitations_names_the_inviter(registry: Harness) -> None:
    owner = registry.create_other_team()
    admin = registry.create_member("admin", owner)
    _invite(admin, _new_address())
    _invite(registry.create_device(admin), _new_address())
    me = admin.get("/users/me").json()
    listed = owner.get("/invitations").json()["invitation_list"]
    assert [row["invited_by"] for row in listed] == [{"id": me["id"], "display_name": me["display_name"]}] * 2


@pytest.mark.parametrize(
    "email",
    [
        "",
        "x",
        "a@",
        "@b",
        "a@b@c",
        "a b@c",
        "a@b\n",
        "a@b\r\nBcc: c@d",
        "a\x00@b",
        "a@" + "b" * 254,
        7,
        None,
        ["a@b"],
    ],
)
def test_invite_invalid_address_returns_422_with_field(registry: Harness, email: object) -> None:
    answer = registry.owner.post("/invitations", email_address=email, invitation_role="member")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "email_address"


@pytest.mark.parametrize("role", ["owner", "root", "", None, 1])
def test_invite_as_owner_returns_422(registry: Harness, role: object) -> None:
    answer = registry.owner.post("/invitations", email_address=_new_address(), invitation_role=role)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "invitation_role"


def test_invite_with_unknown_role_returns_message_with_allowed_roles(registry: Harness) -> None:
    answer = _invite(registry.owner, _new_address(), "root")
    assert answer.json()["errors"][0]["message"] == "Input should be 'viewer', 'member' or 'admin'"


def test_invite_with_lone_surrogate_returns_422(registry: Harness) -> None:
    body = b'{"email_address": "\\ud800@b", "invitation_role": "member"}'
    answer = registry.owner.call("POST", "/invitations", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "email_address"


@pytest.mark.parametrize("address", ["grace\u200b@studio.test", "grace@studio\u2060.test", "\u202eecarg@studio.test"])
def test_invite_address_with_invisible_character_returns_422(registry: Harness, address: str) -> None:
    refused = registry.owner.post("/invitations", email_address=address, invitation_role="admin")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "email_address"
    assert address not in registry.owner.get("/invitations", per_page=100).text


def test_accept_invitation_with_invisible_character_in_name_returns_422(registry: Harness) -> None:
    invited = registry.owner.post("/invitations", email_address="mallory@studio.test", invitation_role="viewer").json()
    refused = registry.anonymous.post(
        "/invitations/accept",
        invitation_token=invited["invitation_token"],
        first_name="Registry\u200b",
        last_name="Owner\u202e",
        user_password=PASSWORD,
    )
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["first_name", "last_name"]
