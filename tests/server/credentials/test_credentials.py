from datetime import timedelta
from uuid import UUID

import pytest

from modelyard.server.database.base import now
from modelyard.server.identity import keys
from modelyard.server.identity.bearer import Caller
from modelyard.server.identity.operations import bind_agent
from modelyard.server.identity.tables import CredentialRow
from modelyard.wire.problems import KeyNotAllowed
from tests.server.people.answers import refusal
from tests.server.world import Someone, World

ABSENT = "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10"


def _id_of(world: World, key: Someone) -> str:
    with world.parts.database.reading() as session:
        return str(session.query(CredentialRow).filter_by(key_hash=keys.digest(str(key.token))).one().id)


@pytest.mark.parametrize(("kind", "prefix"), [("integration", "sk-"), ("agent", "ak-")])
def test_a_new_key_is_shown_once(world: World, kind: str, prefix: str) -> None:
    made = world.owner.post("/credentials", kind=kind, display_name="nightly training")
    assert made.status_code == 201
    assert set(made.json()) == {"id", "kind", "key_prefix", "raw_key"}
    raw_key = made.json()["raw_key"]
    assert keys.is_well_formed(raw_key, prefix)
    assert made.json()["key_prefix"] == raw_key[:11]
    assert raw_key not in world.owner.get("/credentials").text
    assert raw_key not in world.owner.get("/audit-events").text


def test_a_listed_key_has_the_source_apis_fields(world: World) -> None:
    world.key("integration", access="read", expires_in_days=90)
    row = world.owner.get("/credentials").json()["credentials"][0]
    assert set(row) == {
        *("id", "kind", "display_name", "key_prefix", "user_id", "access", "key_status"),
        *("created_at", "last_used_at", "expires_at"),
    }
    assert (row["kind"], row["access"], row["key_status"]) == ("integration", "read", "active")
    assert row["user_id"] == world.owner.user_id


def test_keys_are_listed_newest_first_by_kind_and_by_page(world: World) -> None:
    owner = world.other_team()
    made = [_id_of(world, world.key(kind, owner)) for kind in ("integration", "agent", "integration")]
    listed = owner.get("/credentials").json()
    assert [row["id"] for row in listed["credentials"]] == made[::-1]
    assert listed["page_meta"]["total_count"] == 3
    agents = owner.get("/credentials", kind="agent").json()["credentials"]
    assert [row["id"] for row in agents] == [made[1]]
    second = owner.get("/credentials", per_page=1, current_page=2).json()["credentials"]
    assert [row["id"] for row in second] == [made[1]]
    assert owner.get("/credentials", kind="user").status_code == 422


def test_a_key_that_ends_stops_and_says_expired(world: World) -> None:
    key = world.key("integration", expires_in_days=1)
    with world.parts.database.writing() as session:
        row = session.get_one(CredentialRow, UUID(_id_of(world, key)))
        assert row.expires_at is not None
        assert timedelta(hours=23) < row.expires_at - now() <= timedelta(days=1)
        row.expires_at = now() - timedelta(seconds=1)
    assert key.get("/models").status_code == 401
    assert world.owner.get("/credentials").json()["credentials"][0]["key_status"] == "expired"


def test_a_revoked_key_stops_at_once_and_stays_listed(world: World) -> None:
    key = world.key("integration")
    key_id = _id_of(world, key)
    assert key.get("/models").status_code == 200
    assert world.owner.delete(f"/credentials/{key_id}").status_code == 204
    assert key.get("/models").status_code == 401
    assert world.owner.delete(f"/credentials/{key_id}").status_code == 204
    assert world.owner.get("/credentials").json()["credentials"][0]["key_status"] == "revoked"


def test_a_key_to_read_cannot_write(world: World) -> None:
    reader, writer = world.key("integration", access="read"), world.key("integration")
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
def test_a_bad_field_is_named_and_makes_no_key(world: World, field: str, body: dict[str, object]) -> None:
    before = world.owner.get("/credentials").json()["page_meta"]
    answer = world.owner.post("/credentials", **body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert world.owner.get("/credentials").json()["page_meta"] == before


def test_below_admin_one_sees_and_revokes_ones_own_devices_only(world: World) -> None:
    one, other = world.person("viewer"), world.person("member")
    own, foreign, integration = world.device(one), world.device(other), world.key("integration")
    assert [row["id"] for row in one.get("/credentials").json()["credentials"]] == [_id_of(world, own)]
    refused = [one.delete(f"/credentials/{key_id}") for key_id in (_id_of(world, foreign), _id_of(world, integration))]
    absent = one.delete(f"/credentials/{ABSENT}")
    assert all(refusal(answer) == refusal(absent) for answer in refused)
    assert absent.status_code == 404
    assert one.delete(f"/credentials/{_id_of(world, own)}").status_code == 204
    assert own.get("/users/me").status_code == 401
    assert foreign.get("/users/me").status_code == 200


def test_a_key_of_another_team_and_an_absent_one_look_the_same(world: World) -> None:
    foreign = _id_of(world, world.key("integration", world.other_team()))
    assert refusal(world.owner.delete(f"/credentials/{foreign}")) == refusal(
        world.owner.delete(f"/credentials/{ABSENT}")
    )


def test_a_key_in_the_path_is_refused_and_never_repeated(world: World) -> None:
    raw_key = str(world.key("integration").token)
    for path in (raw_key, raw_key[:11], "x", "0199a1de7c1e7a529d3b5f0c2f6f7a10"):
        answer = world.owner.delete(f"/credentials/{path}")
        assert answer.status_code == 400
        assert answer.json()["error_code"] == "credential_id_malformed"
        assert len(path) == 1 or path not in answer.text


def _agent_key(world: World, *, paired: bool) -> Caller:
    if paired:
        world.device(world.owner)
    else:
        world.key("agent")
    with world.parts.database.reading() as session:
        row = session.query(CredentialRow).filter_by(kind="agent").order_by(CredentialRow.id.desc()).first()
        assert row is not None
        return Caller("agent", None, row.id, None, row.team_id, "read", "Agent", row.agent_id)


def test_a_paired_agents_key_belongs_to_the_first_machine_that_uses_it(world: World) -> None:
    caller = _agent_key(world, paired=True)
    for agent_id in ("render-01", "render-01"):
        with world.parts.database.writing() as session:
            bind_agent(session, caller, agent_id)
    with world.parts.database.writing() as session, pytest.raises(KeyNotAllowed):
        bind_agent(session, caller, "render-02")


def test_an_agents_key_from_the_list_serves_many_machines(world: World) -> None:
    caller = _agent_key(world, paired=False)
    for agent_id in ("render-01", "render-02"):
        with world.parts.database.writing() as session:
            bind_agent(session, caller, agent_id)
