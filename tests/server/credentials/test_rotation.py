"""A key gets a new secret, and the old one works for as long as was asked for."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from modelyard.server.database.base import now
from modelyard.server.database.job_run import JobRun
from modelyard.server.identity import keys
from modelyard.server.identity.operations import delete_expired_identity_rows
from modelyard.server.identity.tables import CredentialRow, RetiredSecretRow
from modelyard.server.teams.tables import MemberRow
from tests.server.agents.machine import Machine
from tests.server.harness import ApiCaller, Harness
from tests.waiting import wait_until


def get_key_id(registry: Harness, key: ApiCaller) -> str:
    with registry.resources.database.reading() as session:
        return str(session.query(CredentialRow).filter_by(key_hash=keys.digest(str(key.token))).one().id)


def rotate(registry: Harness, key: ApiCaller, by: ApiCaller | None = None, **body: Any) -> ApiCaller:
    answer = (by or registry.owner).post(f"/credentials/{get_key_id(registry, key)}/rotate", **body)
    assert answer.status_code == 200, answer.text
    return ApiCaller(registry.client, answer.json()["raw_key"])


def let_grace_pass(registry: Harness, key: ApiCaller) -> None:
    """Move the end of an old secret's grace into the past."""
    with registry.resources.database.writing() as session:
        row = session.get_one(RetiredSecretRow, keys.digest(str(key.token)))
        row.expires_at = now() - timedelta(seconds=1)


def demote_in_database(registry: Harness, someone: ApiCaller) -> None:
    """Leave a key whose creator is no admin, as an upgrade can."""
    with registry.resources.database.writing() as session:
        session.execute(update(MemberRow).where(MemberRow.role == "admin").values(role="member"))
    assert someone.get("/members").status_code == 403


@pytest.mark.parametrize("kind", ["integration", "agent"])
def test_rotate_key_returns_new_secret_once_and_both_secrets_work_during_grace(registry: Harness, kind: str) -> None:
    old = registry.create_key(kind)
    key_id = get_key_id(registry, old)
    answer = registry.owner.post(f"/credentials/{key_id}/rotate")
    body = answer.json()
    assert set(body) == {"id", "kind", "key_prefix", "raw_key", "previous_key_until"}
    assert (body["id"], body["kind"], body["key_prefix"]) == (key_id, kind, body["raw_key"][:11])
    ends = datetime.fromisoformat(body["previous_key_until"]) - now()
    assert timedelta(hours=23) < ends <= timedelta(hours=24)

    new = ApiCaller(registry.client, body["raw_key"])
    for key in (old, new):
        works = key.post("/agent/heartbeat", agent_id="rotated") if kind == "agent" else key.get("/models")
        assert works.status_code == 200
    row = registry.owner.get("/credentials").json()["credentials"][0]
    assert (row["key_prefix"], row["previous_key_until"]) == (body["key_prefix"], body["previous_key_until"])
    for page in ("/credentials", "/audit-events"):
        assert body["raw_key"] not in registry.owner.get(page).text


def test_rotate_key_without_grace_ends_the_old_secret_at_once(registry: Harness) -> None:
    old = registry.create_key("integration")
    new = rotate(registry, old, grace_hours=0)
    assert old.get("/models").status_code == 401
    assert new.get("/models").status_code == 200
    assert registry.owner.get("/credentials").json()["credentials"][0]["previous_key_until"] is None


def test_request_with_old_secret_after_its_grace_returns_401(registry: Harness) -> None:
    old = registry.create_key("integration")
    new = rotate(registry, old, grace_hours=1)
    let_grace_pass(registry, old)
    assert old.get("/models").status_code == 401
    assert new.get("/models").status_code == 200


def test_rotate_key_twice_keeps_the_grace_of_the_first_secret_and_without_grace_ends_all(registry: Harness) -> None:
    first = registry.create_key("integration")
    second = rotate(registry, first, grace_hours=24)
    third = rotate(registry, second, grace_hours=168)
    assert [key.get("/models").status_code for key in (first, second, third)] == [200, 200, 200]
    rotate(registry, third, grace_hours=0)
    assert [key.get("/models").status_code for key in (first, second, third)] == [401, 401, 401]


def test_revoke_rotated_key_ends_old_and_new_secret(registry: Harness) -> None:
    old = registry.create_key("integration")
    new = rotate(registry, old)
    assert registry.owner.delete(f"/credentials/{get_key_id(registry, new)}").status_code == 204
    assert [key.get("/models").status_code for key in (old, new)] == [401, 401]


def test_rotate_key_records_audit_event_with_prefixes_only(registry: Harness) -> None:
    old = registry.create_key("integration")
    new = rotate(registry, old, grace_hours=3)
    event = registry.owner.get("/audit-events", action="credential.rotated").json()["audit_event_list"][0]
    assert event["facts"] == {
        "kind": "integration",
        "display_name": "integration",
        "previous_prefix": str(old.token)[:11],
        "key_prefix": str(new.token)[:11],
        "grace_hours": "3",
    }


@pytest.mark.parametrize("grace", [-1, 169, "5", 1.5, True, None])
def test_rotate_key_with_invalid_grace_returns_422(registry: Harness, grace: object) -> None:
    key = registry.create_key("integration")
    answer = registry.owner.post(f"/credentials/{get_key_id(registry, key)}/rotate", grace_hours=grace)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "grace_hours"


def test_rotate_revoked_or_paired_key_returns_409(registry: Harness) -> None:
    revoked, device = registry.create_key("integration"), registry.create_device(registry.owner)
    revoked_id = get_key_id(registry, revoked)
    registry.owner.delete(f"/credentials/{revoked_id}")
    machine = ApiCaller(registry.client, registry.pair(registry.owner, is_for_agent=True)["agent_key"])
    alone, paired = registry.owner.get("/credentials", kind="agent").json()["credentials"][:2]
    assert (alone["id"], alone["paired_with"]) == (get_key_id(registry, machine), None)
    assert paired["paired_with"] == get_key_id(registry, device)
    assert (alone["is_paired"], paired["is_paired"]) == (True, True)
    for key_id in (revoked_id, get_key_id(registry, device), paired["id"], alone["id"]):
        refused = registry.owner.post(f"/credentials/{key_id}/rotate")
        assert refused.status_code == 409
        assert refused.json()["error_code"] == "key_not_rotatable"
    assert device.get("/models").status_code == 200


def test_rotate_key_stopped_because_its_creator_is_no_admin_makes_it_active_again(
    registry: Harness,
) -> None:
    creator = registry.create_member("admin")
    old = registry.create_key("integration", creator)
    demote_in_database(registry, creator)
    assert old.get("/models").status_code == 401
    assert registry.owner.get("/credentials").json()["credentials"][0]["key_status"] == "stopped"
    new = rotate(registry, old)
    assert [key.get("/models").status_code for key in (old, new)] == [200, 200]
    row = registry.owner.get("/credentials").json()["credentials"][0]
    assert (row["key_status"], row["user_id"]) == ("active", registry.owner.user_id)


def test_waiting_manifest_request_returns_401_when_secret_expires(registry: Harness) -> None:
    """A waiting request that began with a valid secret is refused as soon as the secret expires."""
    machine = Machine(registry.create_key("agent"), agent_id="rotated-while-waiting")
    machine.begin()
    etag = machine.manifest().headers["etag"]
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(machine.manifest(etag, wait=60).status_code))
    waiting.start()
    wait_until(lambda: len(registry.app.state.fleet.waiters) == 1)
    rotate(registry, machine.key, grace_hours=0)
    # Less than the time for which the request would wait.
    waiting.join(40)
    assert answers == [401]


def test_delete_expired_identity_rows_keeps_secrets_in_grace(registry: Harness) -> None:
    ended, kept = registry.create_key("integration"), registry.create_key("integration")
    rotate(registry, ended)
    rotate(registry, kept)
    let_grace_pass(registry, ended)
    delete_expired_identity_rows(JobRun(registry.resources.database, "clean-up"))
    with registry.resources.database.reading() as session:
        assert session.get(RetiredSecretRow, keys.digest(str(ended.token))) is None
        assert session.get(RetiredSecretRow, keys.digest(str(kept.token))) is not None
