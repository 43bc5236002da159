from datetime import timedelta
from typing import Any

import pytest

from modelyard.server.database.base import now
from modelyard.server.identity import keys
from modelyard.server.invitations.tables import InvitationRow
from tests.server.people.answers import Answer, refusal
from tests.server.world import PASSWORD, Someone, World

_addresses = iter(range(10_000))


def _new_address() -> str:
    return f"invited{next(_addresses)}@studio.test"


def _invite(inviter: Someone, email: str, role: str = "member") -> Answer:
    return inviter.post("/invitations", email_address=email, invitation_role=role)


def _accept(who: Someone, token: str, **changed: Any) -> Answer:
    body = {"first_name": "Grace", "last_name": "Hopper", "user_password": PASSWORD}
    return who.post("/invitations/accept", invitation_token=token, **(body | changed))


def _expire(world: World, token: str) -> None:
    with world.parts.database.writing() as session:
        row = session.query(InvitationRow).filter_by(token_hash=keys.digest(token)).one()
        row.expires_at = now() - timedelta(seconds=1)


def test_an_invitation_makes_an_account_and_a_member(world: World) -> None:
    email = _new_address()
    made = _invite(world.owner, email, "admin")
    assert made.status_code == 201
    assert set(made.json()) == {"id", "invitation_token"}
    assert _accept(world.nobody, made.json()["invitation_token"]).json() == {"is_success": True}
    someone = world.sign_in(email, world.team_id)
    assert someone.get("/users/me").json()["team_list"][0]["member_role"] == "admin"
    assert someone.get("/users/me").json()["display_name"] == "Grace Hopper"


def test_an_invitation_lives_for_seven_days(world: World) -> None:
    token = _invite(world.owner, _new_address()).json()["invitation_token"]
    with world.parts.database.reading() as session:
        row = session.query(InvitationRow).filter_by(token_hash=keys.digest(token)).one()
        assert timedelta(days=6, hours=23) < row.expires_at - now() <= timedelta(days=7)
    _expire(world, token)
    assert _accept(world.nobody, token).status_code == 404


def test_every_refused_token_is_one_answer(world: World) -> None:
    used, withdrawn, expired = (_invite(world.owner, _new_address()).json() for _ in range(3))
    _accept(world.nobody, used["invitation_token"])
    world.owner.delete(f"/invitations/{withdrawn['id']}")
    _expire(world, expired["invitation_token"])
    tokens = [made["invitation_token"] for made in (used, withdrawn, expired)]
    tokens += [keys.new_token("in-").raw, "x", "\x00", "in-" + "é" * 49, "' OR 1=1 --"]
    answers = [refusal(_accept(world.nobody, token)) for token in tokens]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 404


def test_who_holds_an_invitation_reads_what_it_says(world: World) -> None:
    email = _new_address()
    token = _invite(world.owner, email, "viewer").json()["invitation_token"]
    shown = world.nobody.post("/invitations/preview", invitation_token=token).json()
    expires_at = shown.pop("expires_at")
    assert shown == {
        "team_id": world.team_id,
        "team_name": world.owner.get("/teams/current").json()["display_name"],
        "email_address": email,
        "invitation_role": "viewer",
        "has_account": False,
    }
    assert expires_at == world.owner.get("/invitations").json()["invitation_list"][0]["expires_at"]


def test_an_invitation_says_whether_its_address_has_an_account(world: World) -> None:
    email = _new_address()
    _accept(world.nobody, _invite(world.owner, email).json()["invitation_token"])
    token = _invite(world.new_team(), email).json()["invitation_token"]
    assert world.nobody.post("/invitations/preview", invitation_token=token).json()["has_account"] is True


def test_an_invitation_that_is_over_says_nothing(world: World) -> None:
    used, withdrawn, expired = (_invite(world.owner, _new_address()).json() for _ in range(3))
    _accept(world.nobody, used["invitation_token"])
    world.owner.delete(f"/invitations/{withdrawn['id']}")
    _expire(world, expired["invitation_token"])
    tokens = [made["invitation_token"] for made in (used, withdrawn, expired)]
    for token in [*tokens, keys.new_token("in-").raw, "x", "\x00"]:
        answer = world.nobody.post("/invitations/preview", invitation_token=token)
        assert (answer.status_code, answer.json()["error_code"]) == (404, "invitation_not_found")


def test_one_open_invitation_an_address(world: World) -> None:
    email = _new_address()
    first = _invite(world.owner, email).json()
    again = _invite(world.owner, email.upper())
    assert again.status_code == 409
    assert again.json()["error_code"] == "already_invited"
    world.owner.delete(f"/invitations/{first['id']}")
    second = _invite(world.owner, email)
    assert second.status_code == 201
    _expire(world, second.json()["invitation_token"])
    assert _invite(world.owner, email).status_code == 201


def test_another_team_may_invite_the_same_address(world: World) -> None:
    email = _new_address()
    assert _invite(world.owner, email).status_code == 201
    assert _invite(world.other_team(), email).status_code == 201


def test_a_member_is_not_invited_again(world: World) -> None:
    email = world.person("viewer").get("/users/me").json()["email_address"]
    answer = _invite(world.owner, email.upper())
    assert answer.status_code == 409
    assert answer.json()["error_code"] == "already_member"


def test_who_has_an_account_accepts_signed_in(world: World) -> None:
    stranger = world.other_team()
    email = stranger.get("/users/me").json()["email_address"]
    token = _invite(world.owner, email).json()["invitation_token"]
    refused = _accept(world.nobody, token)
    assert refused.status_code == 409
    assert refused.json()["error_code"] == "account_exists"
    accepted = stranger.post("/invitations/accept", invitation_token=token)
    assert accepted.json() == {"is_success": True}
    assert Someone(world.client, stranger.token, world.team_id).get("/teams/current").status_code == 200


def test_accepting_may_be_repeated_by_the_same_user(world: World) -> None:
    stranger = world.other_team()
    email = stranger.get("/users/me").json()["email_address"]
    token = _invite(world.owner, email).json()["invitation_token"]
    for _ in range(2):
        assert stranger.post("/invitations/accept", invitation_token=token).status_code == 200
    assert world.person("viewer").post("/invitations/accept", invitation_token=token).status_code == 404


def test_a_used_invitation_does_not_bring_a_removed_member_back(world: World) -> None:
    email = _new_address()
    token = _invite(world.owner, email).json()["invitation_token"]
    _accept(world.nobody, token)
    someone = world.sign_in(email, world.team_id)
    world.owner.delete(f"/members/{someone.user_id}")
    assert someone.post("/invitations/accept", invitation_token=token).status_code == 404
    assert someone.get("/teams/current").status_code == 403


def test_an_invitation_is_for_its_address_only(world: World) -> None:
    token = _invite(world.owner, _new_address()).json()["invitation_token"]
    stranger = world.other_team()
    assert stranger.post("/invitations/accept", invitation_token=token).status_code == 404
    assert _accept(world.nobody, token).status_code == 200


@pytest.mark.parametrize("kind", ["integration", "agent", "device"])
def test_a_key_accepts_nothing(world: World, kind: str) -> None:
    key = world.device(world.owner) if kind == "device" else world.key(kind)
    token = _invite(world.owner, _new_address()).json()["invitation_token"]
    assert _accept(key, token).status_code == 403


def test_a_bad_token_is_no_new_account(world: World) -> None:
    token = _invite(world.owner, _new_address()).json()["invitation_token"]
    assert _accept(Someone(world.client, "sk-x"), token).status_code == 401


def test_a_new_account_needs_names_and_a_password(world: World) -> None:
    email = _new_address()
    token = _invite(world.owner, email).json()["invitation_token"]
    answer = world.nobody.post("/invitations/accept", invitation_token=token, first_name="Grace")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["last_name", "user_password"]
    assert _accept(world.nobody, token, user_password="short").status_code == 422
    assert _accept(world.nobody, token, first_name="a\x00b").status_code == 422
    assert _accept(world.nobody, token).status_code == 200


def test_open_invitations_are_listed_newest_first_and_without_their_tokens(world: World) -> None:
    owner = world.other_team()
    open_ones = [_invite(owner, _new_address()).json() for _ in range(3)]
    withdrawn, expired, used = (_invite(owner, _new_address()).json() for _ in range(3))
    owner.delete(f"/invitations/{withdrawn['id']}")
    _expire(world, expired["invitation_token"])
    _accept(world.nobody, used["invitation_token"])
    answer = owner.get("/invitations")
    assert [row["id"] for row in answer.json()["invitation_list"]] == [made["id"] for made in reversed(open_ones)]
    assert answer.json()["page_meta"]["total_count"] == 3
    assert open_ones[0]["invitation_token"] not in answer.text
    page = owner.get("/invitations", per_page=2, cursor="").json()
    rest = owner.get("/invitations", per_page=2, cursor=page["page_meta"]["next_cursor"]).json()
    assert [len(page["invitation_list"]), len(rest["invitation_list"])] == [2, 1]
    assert rest["page_meta"]["next_cursor"] is None


def test_another_teams_invitation_and_an_absent_one_look_the_same(world: World) -> None:
    foreign = _invite(world.other_team(), _new_address()).json()["id"]
    asked = [foreign, "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10", "nonsense", "%2e%2e"]
    answers = [refusal(world.owner.delete(f"/invitations/{invitation_id}")) for invitation_id in asked]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 404


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
def test_a_bad_address_is_named(world: World, email: object) -> None:
    answer = world.owner.post("/invitations", email_address=email, invitation_role="member")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "email_address"


@pytest.mark.parametrize("role", ["owner", "root", "", None, 1])
def test_nobody_is_invited_as_an_owner(world: World, role: object) -> None:
    answer = world.owner.post("/invitations", email_address=_new_address(), invitation_role=role)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "invitation_role"


def test_a_lone_surrogate_is_no_text(world: World) -> None:
    body = b'{"email_address": "\\ud800@b", "invitation_role": "member"}'
    answer = world.owner.call("POST", "/invitations", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "email_address"
