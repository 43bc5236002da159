from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from modelyard.server.database.base import Row, now
from modelyard.server.identity import keys
from modelyard.server.identity.tables import CredentialRow
from tests.server.accounts_support.answers import refusal
from tests.server.harness import ApiCaller, Harness


def test_missing_unknown_revoked_and_expired_tokens_return_same_401(registry: Harness) -> None:
    revoked, expired = registry.create_key("integration"), registry.create_key("integration")
    with registry.resources.database.writing() as session:
        rows = {row.key_prefix: row for row in session.query(CredentialRow)}
        rows[str(revoked.token)[:11]].revoked_at = now()
        rows[str(expired.token)[:11]].expires_at = now() - timedelta(seconds=1)
    callers = [
        registry.anonymous,
        revoked,
        expired,
        *(
            ApiCaller(registry.client, keys.generate_token(prefix).raw)
            for prefix in ("sk-", "dk-", "ak-", "xk-", "mr-", "in-")
        ),
        *(ApiCaller(registry.client, text) for text in ("x", "sk-", "eyJ", "null", "sk-" + "A" * 49, "Bearer", "'--")),
    ]
    answers = [refusal(caller.get("/models")) for caller in callers]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 401
    assert answers[0][1] is not None


def test_unauthenticated_request_with_malformed_body_and_team_returns_401(registry: Harness) -> None:
    broken = registry.anonymous.call("POST", "/credentials", content=b"{", headers={"X-Team-ID": "nonsense"})
    assert broken.status_code == 401


@pytest.mark.parametrize("scheme", ["Basic", "Token", "", "Digest"])
def test_authorization_scheme_other_than_bearer_returns_401(registry: Harness, scheme: str) -> None:
    answer = registry.client.get("/api/v1/users/me", headers={"Authorization": f"{scheme} {registry.owner.token}"})
    assert answer.status_code == 401


def test_bearer_scheme_ignores_case(registry: Harness) -> None:
    answer = registry.client.get("/api/v1/users/me", headers={"Authorization": f"bEARER {registry.owner.token}"})
    assert answer.status_code == 200


def test_two_valid_authorization_headers_are_refused(registry: Harness) -> None:
    sent = ("Authorization", f"Bearer {registry.owner.token}")
    answer = registry.client.get("/api/v1/users/me", headers=[sent, sent])
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "two_credentials"


def test_two_tokens_in_one_authorization_header_return_401(registry: Harness) -> None:
    token = registry.owner.token
    for joined in (f"Bearer {token}, Bearer {token}", f"Bearer {token} {token}", f"Bearer {token},{token}"):
        assert registry.client.get("/api/v1/users/me", headers={"Authorization": joined}).status_code == 401


def test_token_in_url_query_is_ignored(registry: Harness) -> None:
    for name in ("access_token", "token", "authorization"):
        assert registry.client.get(f"/api/v1/users/me?{name}={registry.owner.token}").status_code == 401


def test_key_with_prefix_of_other_kind_returns_401(registry: Harness) -> None:
    raw = str(registry.create_key("agent").token)
    body = "sk-" + raw[3:-6]
    disguised = body + keys._checksum(body)
    assert keys.is_well_formed(disguised, "sk-")
    assert ApiCaller(registry.client, disguised).get("/models").status_code == 401


def test_key_row_of_other_kind_is_not_used(registry: Harness) -> None:
    """A hash that collided, or a row that was tampered with, must not turn an agent into an integration."""
    agent = registry.create_key("agent")
    token = keys.generate_token("sk-")
    with registry.resources.database.writing() as session:
        row = session.query(CredentialRow).filter_by(key_hash=keys.digest(str(agent.token))).one()
        row.key_hash = token.digest
    assert ApiCaller(registry.client, token.raw).get("/models").status_code == 401


def test_database_contains_no_raw_keys_or_tokens(registry: Harness) -> None:
    device, integration, agent = (
        registry.create_device(registry.owner),
        registry.create_key("integration"),
        registry.create_key("agent"),
    )
    login = registry.client.post(
        "/api/v1/auth/login", json={"email_address": "owner@studio.test", "user_password": "a long sentence is best"}
    )
    invited = registry.owner.post("/invitations", email_address="new@studio.test", invitation_role="viewer")
    secrets = [
        *(str(caller.token) for caller in (device, integration, agent)),
        login.json()["refresh_token"],
        login.json()["access_token"],
        invited.json()["invitation_token"],
        "a long sentence is best",
    ]
    with registry.resources.database.reading() as session:
        dump = "\n".join(str(row) for table in Row.metadata.sorted_tables for row in session.execute(select(table)))
    assert "owner@studio.test" in dump
    assert not [secret for secret in secrets if secret in dump]


def test_last_used_at_is_written_by_flush_only(registry: Harness) -> None:
    key = registry.create_key("integration")
    registry.resources.identity.flush_last_used(registry.resources.database)
    assert key.get("/models").status_code == 200
    assert registry.owner.get("/credentials").json()["credentials"][0]["last_used_at"] is None
    registry.resources.identity.flush_last_used(registry.resources.database)
    assert registry.owner.get("/credentials").json()["credentials"][0]["last_used_at"] is not None


def test_flush_last_used_keeps_later_use_of_other_server(registry: Harness) -> None:
    key, later = registry.create_key("integration"), now() + timedelta(minutes=1)
    assert key.get("/models").status_code == 200
    with registry.resources.database.writing() as session:
        session.query(CredentialRow).filter_by(key_hash=keys.digest(str(key.token))).one().last_used_at = later
    registry.resources.identity.flush_last_used(registry.resources.database)
    with registry.resources.database.reading() as session:
        row = session.query(CredentialRow).filter_by(key_hash=keys.digest(str(key.token))).one()
    assert row.last_used_at == later


def test_authentication_takes_no_write_lock(registry: Harness) -> None:
    """Another writer holds the database: reading goes on."""
    key, device = registry.create_key("integration"), registry.create_device(registry.owner)
    with registry.resources.database.writing() as session:
        session.get(CredentialRow, UUID(int=1))
        assert key.get("/models").status_code == 200
        assert device.get("/users/me").status_code == 200
        assert registry.owner.get("/users/me").status_code == 200
