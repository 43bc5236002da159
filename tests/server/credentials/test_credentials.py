from datetime import timedelta
from uuid import UUID

import pytest

from modelyard.server.database.base import now
from modelyard.server.identity import keys
from modelyard.server.identity.authentication import Caller
from modelyard.server.identity.operations import bind_key_to_agent
from modelyard.server.identity.tables import CredentialRow
from modelyard.wire.problems import KeyNotAllowed
from tests.server.accounts_support.answers import refusal
from tests.server.harness import ApiCaller, Harness

ABSENT = "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"


def _id_of(registry: Harness, key: ApiCaller) -> str:
    with registry.resources.database.reading() as session:
        return str(session.query(CredentialRow).filter_by(key_hash=keys.digest(str(key.token))).one().id)


@pytest.mark.parametrize(("kind", "prefix"), [("integration", "sk-"), ("agent", "ak-")])
def test_create_credential_returns_raw_key_once(registry: Harness, kind: str, prefix: str) -> None:
    made = registry.owner.post("/credentials", kind=kind, display_name="nightly training")
    assert made.status_code == 201
    assert set(made.json()) == {"id", "kind", "key_prefix", "raw_key"}
    raw_key = made.json()["raw_key"]
    assert keys.is_well_formed(raw_key, prefix)
    assert made.json()["key_prefix"] == raw_key[:11]
    assert raw_key not in registry.owner.get("/credentials").text
    assert raw_key not in registry.owner.get("/audit-events").text


def test_list_credentials_returns_fields_of_source_api(registry: Harness) -> None:
    registry.create_key("integration", access="read", expires_in_days=90)
    row = registry.owner.get("/credentials").json()["credentials"][0]
    assert set(row) == {
        *("id", "kind", "display_name", "key_prefix", "user_id", "access", "key_status"),
        *("created_at", "last_used_at", "expires_at", "is_paired", "paired_with", "previous_key_until"),
    }
    assert (row["kind"], row["access"], row["key_status"]) == ("integration", "read", "active")
    assert row["user_id"] == registry.owner.user_id


def test_list_credentials_newest_first_filters_by_kind_and_pages(registry: Harness) -> None:
    owner = registry.create_other_team()
    made = [_id_of(registry, registry.create_key(kind, owner)) for kind in ("integration", "agent", "integration")]
    listed = owner.get("/credentials").json()
    assert [row["id"] for row in listed["credentials"]] == made[::-1]
    assert listed["page_meta"]["total_count"] == 3
    agents = owner.get("/credentials", kind="agent").json()["credentials"]
    assert [row["id"] for row in agents] == [made[1]]
    second = owner.get("/credentials", per_page=1, current_page=2).json()["credentials"]
    assert [row["id"] for row in second] == [made[1]]
    assert owner.get("/credentials", kind="user").status_code == 422


def test_expired_key_is_refused_and_listed_as_expired(registry: Harness) -> None:
    key = registry.create_key("integration", expires_in_days=1)
    with registry.resources.database.writing() as session:
        row = session.get_one(CredentialRow, UUID(_id_of(registry, key)))
        assert row.expires_at is not None
        assert timedelta(hours=23) < row.expires_at - now() <= timedelta(days=1)
        row.expires_at = now() - timedelta(seconds=1)
    assert key.get("/models").status_code == 401
    assert registry.owner.get("/credentials").json()["credentials"][0]["key_status"] == "expired"


def test_revoked_key_is_refused_at_once_and_still_listed(registry: Harness) -> None:
    key = registry.create_key("integration")
    key_id = _id_of(registry, key)
    assert key.get("/models").status_code == 200
    assert registry.owner.delete(f"/credentials/{key_id}").status_code == 204
    assert key.get("/models").status_code == 401
    assert registry.owner.delete(f"/credentials/{key_id}").status_code == 204
    assert registry.owner.get("/credentials").json()["credentials"][0]["key_status"] == "revoked"


def test_write_with_read_key_returns_403(registry: Harness) -> None:
    reader, writer = registry.create_key("integration", access="read"), registry.create_key("integration")
    assert reader.get("/models").status_code == 200
    refused = reader.post("/models/presign")
    assert refused.status_code == 403
    assert refused.json()["error_code"] == "key_not_allowed"
    assert writer.post("/models/presign").status_code == 422


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("kind", {"kind": "device", "display_name": "x"}),
        ("kind", {"kind": "user", "display_name": "x"}),
        ("kind", {"display_name": "x"}),
        ("display_name", {"kind": "agent", "display_name": ""}),
        ("display_name", {"kind": "agent", "display_name": "x" * 101}),
        ("display_name", {"kind": "agent", "display_name": "a\nb"}),
        ("expires_in_days", {"kind": "agent", "display_name": "x", "expires_in_days": 0}),
        ("expires_in_days", {"kind": "agent", "display_name": "x", "expires_in_days": 366}),
        ("expires_in_days", {"kind": "agent", "display_name": "x", "expires_in_days": "5"}),
        ("expires_in_days", {"kind": "agent", "display_name": "x", "expires_in_days": True}),
        ("access", {"kind": "integration", "display_name": "x", "access": "admin"}),
        ("access", {"kind": "agent", "display_name": "x", "access": "write"}),
    ],
)
def test_create_credential_invalid_field_returns_422_and_no_key(
    registry: Harness, field: str, body: dict[str, object]
) -> None:
    before = registry.owner.get("/credentials").json()["page_meta"]
    answer = registry.owner.post("/credentials", **body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert registry.owner.get("/credentials").json()["page_meta"] == before


def test_list_and_revoke_credentials_below_admin_covers_own_devices_only(registry: Harness) -> None:
    one, other = registry.create_member("viewer"), registry.create_member("member")
    own, foreign, integration = (
        registry.create_device(one),
        registry.create_device(other),
        registry.create_key("integration"),
    )
    agent, device = one.get("/credentials").json()["credentials"]
    assert (agent["paired_with"], device["id"]) == (device["id"], _id_of(registry, own))
    refused = [
        one.delete(f"/credentials/{key_id}") for key_id in (_id_of(registry, foreign), _id_of(registry, integration))
    ]
    absent = one.delete(f"/credentials/{ABSENT}")
    assert all(refusal(answer) == refusal(absent) for answer in refused)
    assert absent.status_code == 404
    assert one.delete(f"/credentials/{_id_of(registry, own)}").status_code == 204
    assert own.get("/users/me").status_code == 401
    assert foreign.get("/users/me").status_code == 200


def test_revoke_key_of_other_team_or_unknown_returns_same_404(registry: Harness) -> None:
    foreign = _id_of(registry, registry.create_key("integration", registry.create_other_team()))
    assert refusal(registry.owner.delete(f"/credentials/{foreign}")) == refusal(
        registry.owner.delete(f"/credentials/{ABSENT}")
    )


def test_revoke_raw_key_in_path_is_refused_without_echo(registry: Harness) -> None:
    raw_key = str(registry.create_key("integration").token)
    for path in (raw_key, raw_key[:11], "x", "0199a1de7c1e7a529d3b5f0c2f6f7a10"):
        answer = registry.owner.delete(f"/credentials/{path}")
        assert answer.status_code == 400
        assert answer.json()["error_code"] == "credential_id_malformed"
        assert len(path) == 1 or path not in answer.text


def _agent_key(registry: Harness, *, paired: bool) -> Caller:
    if paired:
        registry.create_device(registry.owner)
    else:
        registry.create_key("agent")
    with registry.resources.database.reading() as session:
        row = session.query(CredentialRow).filter_by(kind="agent").order_by(CredentialRow.id.desc()).first()
        assert row is not None
        return Caller("agent", None, row.id, None, row.team_id, "read", "Agent", row.agent_id)


def test_agent_key_from_pairing_is_bound_to_first_machine(registry: Harness) -> None:
    caller = _agent_key(registry, paired=True)
    for agent_id in ("render-01", "render-01"):
        with registry.resources.database.writing() as session:
            bind_key_to_agent(session, caller, agent_id)
    with registry.resources.database.writing() as session, pytest.raises(KeyNotAllowed):
        bind_key_to_agent(session, caller, "render-02")


def test_bind_agent_key_from_credentials_to_two_machines_raises_nothing(registry: Harness) -> None:
    caller = _agent_key(registry, paired=False)
    for agent_id in ("render-01", "render-02"):
        with registry.resources.database.writing() as session:
            bind_key_to_agent(session, caller, agent_id)
