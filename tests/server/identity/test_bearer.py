from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from modelyard.server.database.base import Row, now
from modelyard.server.identity import keys
from modelyard.server.identity.tables import CredentialRow
from tests.server.people.answers import refusal
from tests.server.world import Someone, World


def test_missing_unknown_revoked_and_expired_are_one_answer(world: World) -> None:
    revoked, expired = world.key("integration"), world.key("integration")
    with world.parts.database.writing() as session:
        rows = {row.key_prefix: row for row in session.query(CredentialRow)}
        rows[str(revoked.token)[:11]].revoked_at = now()
        rows[str(expired.token)[:11]].expires_at = now() - timedelta(seconds=1)
    callers = [
        world.nobody,
        revoked,
        expired,
        *(Someone(world.client, keys.new_token(prefix).raw) for prefix in ("sk-", "dk-", "ak-", "xk-", "mr-", "in-")),
        *(Someone(world.client, text) for text in ("x", "sk-", "eyJ", "null", "sk-" + "A" * 49, "Bearer", "'--")),
    ]
    answers = [refusal(caller.get("/models")) for caller in callers]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 401
    assert answers[0][1] is not None


def test_a_stranger_learns_nothing_from_the_header_or_the_body(world: World) -> None:
    broken = world.nobody.call("POST", "/credentials", content=b"{", headers={"X-Team-ID": "nonsense"})
    assert broken.status_code == 401


@pytest.mark.parametrize("scheme", ["Basic", "Token", "", "Digest"])
def test_only_bearer_is_read(world: World, scheme: str) -> None:
    answer = world.client.get("/api/v1/users/me", headers={"Authorization": f"{scheme} {world.owner.token}"})
    assert answer.status_code == 401


def test_the_scheme_is_read_without_case(world: World) -> None:
    answer = world.client.get("/api/v1/users/me", headers={"Authorization": f"bEARER {world.owner.token}"})
    assert answer.status_code == 200


def test_two_credentials_are_refused_though_both_are_good(world: World) -> None:
    sent = ("Authorization", f"Bearer {world.owner.token}")
    answer = world.client.get("/api/v1/users/me", headers=[sent, sent])
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "two_credentials"


def test_two_tokens_in_one_header_are_none(world: World) -> None:
    token = world.owner.token
    for joined in (f"Bearer {token}, Bearer {token}", f"Bearer {token} {token}", f"Bearer {token},{token}"):
        assert world.client.get("/api/v1/users/me", headers={"Authorization": joined}).status_code == 401


def test_a_token_in_the_address_is_not_read(world: World) -> None:
    for name in ("access_token", "token", "authorization"):
        assert world.client.get(f"/api/v1/users/me?{name}={world.owner.token}").status_code == 401


def test_a_key_under_another_kinds_prefix_is_unknown(world: World) -> None:
    raw = str(world.key("agent").token)
    body = "sk-" + raw[3:-6]
    disguised = body + keys._checksum(body)
    assert keys.is_well_formed(disguised, "sk-")
    assert Someone(world.client, disguised).get("/models").status_code == 401


def test_a_row_never_serves_a_key_of_another_kind(world: World) -> None:
    """A hash that collided, or a row that was tampered with, must not turn an agent into an integration."""
    agent = world.key("agent")
    token = keys.new_token("sk-")
    with world.parts.database.writing() as session:
        row = session.query(CredentialRow).filter_by(key_hash=keys.digest(str(agent.token))).one()
        row.key_hash = token.digest
    assert Someone(world.client, token.raw).get("/models").status_code == 401


def test_the_database_holds_no_key_and_no_token(world: World) -> None:
    device, integration, agent = world.device(world.owner), world.key("integration"), world.key("agent")
    login = world.client.post(
        "/api/v1/auth/login", json={"email_address": "owner@studio.test", "user_password": "a long sentence is best"}
    )
    invited = world.owner.post("/invitations", email_address="new@studio.test", invitation_role="viewer")
    secrets = [
        *(str(caller.token) for caller in (device, integration, agent)),
        login.json()["refresh_token"],
        login.json()["access_token"],
        invited.json()["invitation_token"],
        "a long sentence is best",
    ]
    with world.parts.database.reading() as session:
        dump = "\n".join(str(row) for table in Row.metadata.sorted_tables for row in session.execute(select(table)))
    assert "owner@studio.test" in dump
    assert not [secret for secret in secrets if secret in dump]


def test_last_use_is_written_when_flushed_and_not_before(world: World) -> None:
    key = world.key("integration")
    world.parts.identity.flush_last_used(world.parts.database)
    assert key.get("/models").status_code == 200
    assert world.owner.get("/credentials").json()["credentials"][0]["last_used_at"] is None
    world.parts.identity.flush_last_used(world.parts.database)
    assert world.owner.get("/credentials").json()["credentials"][0]["last_used_at"] is not None


def test_a_use_that_another_server_saw_later_stays(world: World) -> None:
    key, later = world.key("integration"), now() + timedelta(minutes=1)
    assert key.get("/models").status_code == 200
    with world.parts.database.writing() as session:
        session.query(CredentialRow).filter_by(key_hash=keys.digest(str(key.token))).one().last_used_at = later
    world.parts.identity.flush_last_used(world.parts.database)
    with world.parts.database.reading() as session:
        row = session.query(CredentialRow).filter_by(key_hash=keys.digest(str(key.token))).one()
    assert row.last_used_at == later


def test_asking_who_calls_takes_no_write_lock(world: World) -> None:
    """Another writer holds the database: reading goes on."""
    key, device = world.key("integration"), world.device(world.owner)
    with world.parts.database.writing() as session:
        session.get(CredentialRow, UUID(int=1))
        assert key.get("/models").status_code == 200
        assert device.get("/users/me").status_code == 200
        assert world.owner.get("/users/me").status_code == 200
