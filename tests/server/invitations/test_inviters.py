"""Invitations are valid only while their inviter may invite."""

from typing import Any
from uuid import UUID

import pytest

from modelyard.server.teams.tables import MemberRow
from tests.server.accounts_support.answers import Answer
from tests.server.harness import PASSWORD, ApiCaller, Harness

ROLE_CHANGES = ["demotion", "removal", "departure"]


@pytest.fixture
def owner(registry: Harness) -> ApiCaller:
    return registry.create_other_team()


@pytest.fixture
def admin(registry: Harness, owner: ApiCaller) -> ApiCaller:
    return registry.create_member("admin", owner)


def _invite(inviter: ApiCaller, email: str, role: str = "admin") -> str:
    created = inviter.post("/invitations", email_address=email, invitation_role=role)
    assert created.status_code == 201, created.text
    return str(created.json()["invitation_token"])


def _accept(caller: ApiCaller, token: str) -> Answer:
    account = {"first_name": "Second", "last_name": "Address", "user_password": PASSWORD}
    return caller.post("/invitations/accept", invitation_token=token, **account)


def _end_admin_role(change: str, owner: ApiCaller, admin: ApiCaller) -> None:
    path = f"/members/{admin.user_id}"
    if change == "demotion":
        answer = owner.put(path, member_role="member")
    else:
        answer = (owner if change == "removal" else admin).delete(path)
    assert answer.status_code < 300, answer.text


def _list_withdrawals(owner: ApiCaller) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = owner.get("/audit-events", action="invitation.withdrawn").json()["audit_event_list"]
    return events


@pytest.mark.parametrize("change", ROLE_CHANGES)
def test_accept_invitation_after_inviter_was_demoted_or_removed_returns_404(
    registry: Harness, owner: ApiCaller, admin: ApiCaller, change: str
) -> None:
    token = _invite(admin, f"second.{change}@studio.test")
    _end_admin_role(change, owner, admin)
    assert registry.anonymous.post("/invitations/preview", invitation_token=token).status_code == 404
    assert _accept(registry.anonymous, token).status_code == 404
    assert owner.get("/invitations").json()["invitation_list"] == []


def test_accept_signed_in_after_the_inviter_was_removed_returns_404(
    registry: Harness, owner: ApiCaller, admin: ApiCaller
) -> None:
    user = registry.create_member("viewer")
    token = _invite(admin, user.get("/users/me").json()["email_address"])
    _end_admin_role("removal", owner, admin)
    assert user.post("/invitations/accept", invitation_token=token).status_code == 404


@pytest.mark.parametrize("change", ROLE_CHANGES)
def test_demote_or_remove_inviter_withdraws_and_audits_each_open_invitation(
    registry: Harness, owner: ApiCaller, admin: ApiCaller, change: str
) -> None:
    emails = {f"{number}.{change}@events.test" for number in range(2)}
    for email in emails:
        _invite(admin, email)
    other_token = _invite(owner, f"other_token.{change}@events.test", "viewer")
    name = admin.get("/users/me").json()["display_name"]
    _end_admin_role(change, owner, admin)
    events = _list_withdrawals(owner)
    assert {event["facts"]["email_address"] for event in events} == emails
    assert {event["facts"]["invited_by"] for event in events} == {name}
    assert {event["actor_id"] for event in events} == {admin.user_id if change == "departure" else owner.user_id}
    assert _accept(registry.anonymous, other_token).status_code == 200


def test_promote_demoted_inviter_keeps_withdrawn_invitations_withdrawn(
    registry: Harness, owner: ApiCaller, admin: ApiCaller
) -> None:
    token = _invite(admin, "again@studio.test")
    _end_admin_role("demotion", owner, admin)
    assert owner.put(f"/members/{admin.user_id}", member_role="admin").status_code == 200
    assert _accept(registry.anonymous, token).status_code == 404
    assert _accept(registry.anonymous, _invite(owner, "again@studio.test", "viewer")).status_code == 200


def test_transfer_team_keeps_invitations_of_both_owners(registry: Harness, owner: ApiCaller, admin: ApiCaller) -> None:
    tokens = [_invite(owner, "before@transfer.test"), _invite(admin, "after@transfer.test")]
    assert owner.post("/teams/current/transfer", new_owner_id=admin.user_id).status_code == 200
    assert [_accept(registry.anonymous, token).status_code for token in tokens] == [200, 200]


def test_accept_invitation_of_inviter_demoted_in_database_returns_404(
    registry: Harness, owner: ApiCaller, admin: ApiCaller
) -> None:
    """The role is checked on acceptance, even if the invitation was not withdrawn with the demotion."""
    token = _invite(admin, "silent@studio.test")
    with registry.resources.database.writing() as session:
        member = session.get_one(MemberRow, (UUID(str(owner.team_id)), UUID(str(admin.user_id))))
        member.role = "member"
    assert _accept(registry.anonymous, token).status_code == 404
    assert owner.get("/invitations").json()["invitation_list"] == []
    # The address is free for another invitation.
    assert _accept(registry.anonymous, _invite(owner, "silent@studio.test")).status_code == 200


def test_invite_as_admin_with_a_device_key_returns_403(registry: Harness, owner: ApiCaller) -> None:
    device = registry.create_device(owner)
    refused = device.post("/invitations", email_address="helper@device.test", invitation_role="admin")
    assert (refused.status_code, refused.json()["error_code"]) == (403, "key_not_allowed")
    assert owner.get("/invitations").json()["invitation_list"] == []
    assert _accept(registry.anonymous, _invite(device, "helper@device.test", "member")).status_code == 200


def test_promote_to_admin_with_a_device_key_returns_403(registry: Harness, owner: ApiCaller) -> None:
    device, member = registry.create_device(owner), registry.create_member("viewer", owner)
    refused = device.put(f"/members/{member.user_id}", member_role="admin")
    assert (refused.status_code, refused.json()["error_code"]) == (403, "key_not_allowed")
    assert device.put(f"/members/{member.user_id}", member_role="member").status_code == 200
    assert member.get("/members").status_code == 403
