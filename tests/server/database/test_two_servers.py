"""Two servers race each other over people, on one database, again and again: the rules hold as if there were one."""

from functools import partial
from uuid import uuid4

import pytest
from sqlalchemy import delete, func, select

from modelyard.server.database.base import Row
from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from modelyard.server.identity.tables import UserRow
from modelyard.server.teams.first_start import first_start
from modelyard.server.teams.tables import TeamRow
from tests.server.conftest import CHEAP
from tests.server.database.two_servers import ROUNDS, TwoServers, at_once, codes
from tests.server.environments import PATIENT
from tests.server.harness import PASSWORD, ApiCaller

pytestmark = [pytest.mark.slow, pytest.mark.race]

NEW_ACCOUNT = {"first_name": "New", "last_name": "Face", "user_password": PASSWORD}


def an_address() -> str:
    return f"{uuid4()}@studio.test"


def invited(inviter: ApiCaller, address: str, role: str = "viewer") -> dict[str, str]:
    answer = inviter.post("/invitations", email_address=address, invitation_role=role)
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


def test_first_start_of_two_servers_creates_one_owner(database_url: str) -> None:
    servers = [Database(database_url, PATIENT) for _ in range(2)]
    migrate(servers[0].engine)
    for _ in range(ROUNDS):
        starts = [
            partial(first_start, server, CHEAP, email=an_address(), password=PASSWORD, team_name="Studio")
            for server in servers * 2
        ]
        assert [login is None for login in at_once(*starts)].count(False) == 1
        with servers[0].writing() as session:
            for table in (UserRow, TeamRow):
                assert session.scalar(select(func.count()).select_from(table)) == 1
            for rows in reversed(Row.metadata.sorted_tables):
                session.execute(delete(rows))
    for server in servers:
        server.close()


def test_invite_same_address_on_two_servers_creates_one_invitation(servers: TwoServers, team: ApiCaller) -> None:
    for _ in range(ROUNDS):
        asked = {"email_address": an_address(), "invitation_role": "viewer"}
        made = at_once(*(partial(owner.post, "/invitations", **asked) for owner in servers.both(team)))
        assert codes(made) == [(201, ""), (409, "already_invited")]


def test_accept_invitation_on_two_servers_creates_one_member(servers: TwoServers, team: ApiCaller) -> None:
    for _ in range(ROUNDS):
        body = NEW_ACCOUNT | {"invitation_token": invited(team, an_address())["invitation_token"]}
        nobodies = servers.both(servers.registry.anonymous)
        made = at_once(*(partial(nobody.post, "/invitations/accept", **body) for nobody in nobodies))
        assert codes(made) in ([(200, ""), (404, "invitation_not_found")], [(200, ""), (409, "account_exists")])


def test_accept_invitations_of_two_teams_at_once_creates_one_account(servers: TwoServers, team: ApiCaller) -> None:
    for _ in range(ROUNDS):
        address = an_address()
        tokens = [invited(inviter, address)["invitation_token"] for inviter in (team, servers.registry.owner)]
        nobodies = zip(servers.both(servers.registry.anonymous), tokens, strict=True)
        made = at_once(
            *(
                partial(one.post, "/invitations/accept", **NEW_ACCOUNT, invitation_token=token)
                for one, token in nobodies
            )
        )
        assert codes(made) == [(200, ""), (409, "account_exists")]


def test_accept_and_withdraw_invitation_at_once_one_succeeds(servers: TwoServers, team: ApiCaller) -> None:
    for _ in range(ROUNDS):
        made = invited(team, an_address())
        body = NEW_ACCOUNT | {"invitation_token": made["invitation_token"]}
        withdrawn, accepted = at_once(
            partial(servers.on(0, team).delete, f"/invitations/{made['id']}"),
            partial(servers.on(1, servers.registry.anonymous).post, "/invitations/accept", **body),
        )
        assert (withdrawn.status_code, accepted.status_code) in ((204, 404), (404, 200))


def test_refresh_session_on_two_servers_token_works_once(servers: TwoServers) -> None:
    nobodies = servers.both(servers.registry.anonymous)
    login = {"email_address": "owner@studio.test", "user_password": PASSWORD}
    token = nobodies[0].post("/auth/login", **login).json()["refresh_token"]
    for _ in range(ROUNDS):
        answers = at_once(*(partial(nobody.post, "/auth/refresh", refresh_token=token) for nobody in nobodies))
        assert codes(answers) == [(200, ""), (401, "session_ended")]
        token = next(answer for answer in answers if answer.status_code == 200).json()["refresh_token"]


def test_change_password_on_two_servers_one_succeeds(servers: TwoServers) -> None:
    for _ in range(ROUNDS):
        person = servers.registry.create_member("viewer")
        changes = zip(servers.both(person), ("the first new sentence", "the second new sentence"), strict=True)
        answers = at_once(
            *(
                partial(one.put, "/users/me/password", current_password=PASSWORD, new_password=new)
                for one, new in changes
            )
        )
        assert [answer.status_code for answer in answers].count(200) == 1
        assert {answer.json().get("error_code") for answer in answers} == {None, "password_refused"}


def test_transfer_team_and_leave_at_once_keeps_one_owner(servers: TwoServers, team: ApiCaller) -> None:
    heirs = [servers.registry.create_member("admin", team) for _ in range(2)]
    for _ in range(ROUNDS):
        both = at_once(
            *(
                partial(owner.post, "/teams/current/transfer", new_owner_id=heir.user_id)
                for owner, heir in zip(servers.both(team), heirs, strict=True)
            )
        )
        assert codes(both) == [(200, ""), (403, "role_too_low")]
        servers.check_sums()
        members = {member["user_id"]: member["member_role"] for member in team.get("/members").json()["member_list"]}
        heir = next(heir for heir in heirs if members[heir.user_id] == "owner")
        back, left = at_once(
            partial(servers.on(0, heir).post, "/teams/current/transfer", new_owner_id=team.user_id),
            partial(servers.on(1, heir).delete, f"/members/{heir.user_id}"),
        )
        assert (back.status_code, left.status_code) in ((200, 204), (200, 403))
        if left.status_code == 204:
            heirs[heirs.index(heir)] = servers.registry.create_member("admin", team)


def test_transfer_team_to_leaving_member_keeps_one_owner(servers: TwoServers) -> None:
    for _ in range(ROUNDS):
        team = servers.registry.create_team()
        heir = servers.registry.create_member("admin", team)
        transferred, left = at_once(
            partial(servers.on(0, team).post, "/teams/current/transfer", new_owner_id=heir.user_id),
            partial(servers.on(1, heir).delete, f"/members/{heir.user_id}"),
        )
        assert (transferred.status_code, left.status_code) in ((200, 403), (404, 204))
    servers.check_sums()


def test_pair_device_on_two_servers_issues_keys_once_and_answers_both(servers: TwoServers, team: ApiCaller) -> None:
    stranger = servers.registry.create_other_team()
    nobodies = servers.both(servers.registry.anonymous)
    for _ in range(ROUNDS):
        started = nobodies[0].post("/desktop/pair/start").json()
        people = (servers.on(0, team), servers.on(1, stranger))
        confirmed = at_once(
            *(partial(one.post, "/desktop/pair/confirm", user_code=started["user_code"]) for one in people)
        )
        assert codes(confirmed) == [(200, ""), (404, "pairing_not_found")]
        polled = at_once(
            *(
                partial(one.post, "/desktop/pair/poll", device_code=started["device_code"], repeat=True)
                for one in nobodies
            )
        )
        assert codes(polled) == [(200, ""), (200, "")]
        assert polled[0].json() == polled[1].json()
