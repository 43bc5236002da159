import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from modelyard.server.credentials.pairing import MAX_OPEN, MAX_OPEN_PER_ADDRESS
from modelyard.server.credentials.tables import PairingRow
from modelyard.server.database.base import now
from modelyard.server.identity import keys
from modelyard.server.identity.tables import CredentialRow
from tests.server.accounts_support.answers import Answer, refusal
from tests.server.harness import ApiCaller, Harness


@pytest.fixture(autouse=True)
def no_open_pairings(registry: Harness) -> Iterator[None]:
    """Delete open pairings before and after each test: their number is limited, and the registry is shared."""
    _delete_pairings(registry)
    yield
    _delete_pairings(registry)


def _delete_pairings(registry: Harness) -> None:
    with registry.resources.database.writing() as session:
        session.query(PairingRow).delete()


def _start(registry: Harness) -> dict[str, Any]:
    answer = registry.anonymous.post("/desktop/pair/start")
    assert answer.status_code == 200
    started: dict[str, Any] = answer.json()
    return started


def _confirm(user: ApiCaller, code: str, **body: Any) -> Answer:
    return user.post("/desktop/pair/confirm", user_code=code, **body)


def _poll(registry: Harness, started: dict[str, Any]) -> Answer:
    return registry.anonymous.post("/desktop/pair/poll", device_code=started["device_code"])


def _poll_again(registry: Harness, started: dict[str, Any]) -> Answer:
    return registry.anonymous.post("/desktop/pair/poll", device_code=started["device_code"], repeat=True)


def _expire(registry: Harness) -> None:
    with registry.resources.database.writing() as session:
        session.query(PairingRow).update({"expires_at": now() - timedelta(seconds=1)})


def test_start_pairing_returns_codes_and_uri(registry: Harness) -> None:
    started = _start(registry)
    assert re.fullmatch(r"[A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4}", started["user_code"])
    assert keys.is_well_formed(started["device_code"], "pc-")
    assert started["verification_uri"] == "http://registry.test/pair"
    assert (started["expires_in"], started["interval"]) == (300, 2)


def _count_keys(registry: Harness) -> int:
    with registry.resources.database.reading() as session:
        return session.query(CredentialRow).count()


def test_poll_confirmed_pairing_returns_both_keys_once(registry: Harness) -> None:
    user = registry.create_member("member")
    started = _start(registry)
    assert _poll(registry, started).json() == {"status": "pending"}
    confirmed = _confirm(user, started["user_code"], device_name="render-03").json()
    of_device = {"agent_id": None, "is_name_in_use": False}
    assert confirmed == {"is_success": True, "address": "testclient"} | of_device
    approved = _poll(registry, started)
    assert approved.status_code == 200
    assert approved.json()["status"] == "approved"
    assert keys.is_well_formed(approved.json()["raw_key"], "dk-")
    assert keys.is_well_formed(approved.json()["agent_key"], "ak-")
    assert _poll(registry, started).status_code == 404
    rows = user.get("/credentials").json()["credentials"]
    assert [row["kind"] for row in rows] == ["agent", "device"]
    assert {(row["display_name"], row["user_id"]) for row in rows} == {("render-03", user.user_id)}


def _start_for_agent(registry: Harness) -> dict[str, Any]:
    started: dict[str, Any] = registry.anonymous.post("/desktop/pair/start?is_for_agent=true").json()
    return started


def test_poll_confirmed_pairing_of_agent_returns_its_key_and_name_and_makes_no_other_key(registry: Harness) -> None:
    user = registry.create_member("member")
    started, before = _start_for_agent(registry), _count_keys(registry)
    assert _confirm(user, started["user_code"], device_name="render-03").status_code == 200

    approved = _poll_again(registry, started).json()

    named = {"team_id": user.team_id, "device_name": "render-03"}
    assert approved == {"status": "approved", "agent_key": approved["agent_key"]} | named
    assert _poll_again(registry, started).json() == approved
    assert _count_keys(registry) == before + 1
    agent = ApiCaller(registry.client, approved["agent_key"])
    assert agent.post("/agent/heartbeat", agent_id="render-03").status_code == 200
    # As of a device, the key is of one machine, and follows its user's membership.
    other = agent.post("/agent/heartbeat", agent_id="render-04")
    assert (other.status_code, other.json()["error_code"]) == (403, "key_not_allowed")


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("application/json", b""),
        ("application/json", b"null"),
        ("application/json", b"[]"),
        ("application/json", b'{"is_for_agent": null, "device_name": "x"}'),
        ("application/x-www-form-urlencoded", b"a=b"),
        ("text/plain", b"hello"),
    ],
)
def test_start_pairing_with_any_body_returns_codes_of_a_device(
    registry: Harness, media_type: str, content: bytes
) -> None:
    answer = registry.client.post("/api/v1/desktop/pair/start", content=content, headers={"Content-Type": media_type})
    assert answer.status_code == 200, answer.text
    started = answer.json()
    _confirm(registry.owner, started["user_code"])
    assert {"raw_key", "agent_key"} <= _poll(registry, started).json().keys()


def test_confirm_pairing_creates_no_key_before_poll(registry: Harness) -> None:
    started = _start(registry)
    before = _count_keys(registry)
    _confirm(registry.owner, started["user_code"])
    assert _count_keys(registry) == before
    _poll(registry, started)
    assert _count_keys(registry) == before + 2


def test_poll_with_repeat_returns_same_working_keys_and_creates_none(registry: Harness) -> None:
    started = _start(registry)
    _confirm(registry.owner, started["user_code"])
    first = _poll(registry, started).json()
    before = _count_keys(registry)
    assert _poll_again(registry, started).json() == first
    assert _count_keys(registry) == before
    assert ApiCaller(registry.client, first["raw_key"]).get("/users/me").status_code == 200


def test_keys_of_two_pairings_differ(registry: Harness) -> None:
    pairings = [_start(registry) for _ in range(2)]
    for started in pairings:
        _confirm(registry.owner, started["user_code"])
    answers = [_poll(registry, started).json() for started in pairings]
    assert len({answer[name] for answer in answers for name in ("raw_key", "agent_key")}) == 4


def test_poll_five_minutes_after_first_keys_returns_404(registry: Harness) -> None:
    started = _start(registry)
    _confirm(registry.owner, started["user_code"])
    assert _poll(registry, started).status_code == 200
    _expire(registry)
    assert _poll_again(registry, started).status_code == 404


def test_poll_first_keys_just_before_code_expires_can_be_repeated_for_five_minutes(registry: Harness) -> None:
    started = _start(registry)
    _confirm(registry.owner, started["user_code"])
    with registry.resources.database.writing() as session:
        session.query(PairingRow).update({"expires_at": now() + timedelta(seconds=30)})
    assert _poll(registry, started).status_code == 200
    with registry.resources.database.reading() as session:
        assert session.query(PairingRow).one().expires_at > now() + timedelta(minutes=4)


def test_poll_again_after_device_key_was_revoked_returns_404(registry: Harness) -> None:
    started = _start(registry)
    _confirm(registry.owner, started["user_code"])
    device = ApiCaller(registry.client, _poll(registry, started).json()["raw_key"])
    assert device.post("/auth/device/revoke").status_code == 200
    assert _poll_again(registry, started).status_code == 404


def test_poll_again_after_user_left_team_returns_404(registry: Harness) -> None:
    user = registry.create_member("member")
    started = _start(registry)
    _confirm(user, started["user_code"])
    assert _poll(registry, started).status_code == 200
    user.delete(f"/members/{user.user_id}")
    assert _poll_again(registry, started).status_code == 404


def test_start_pairing_does_not_count_pairings_whose_keys_were_fetched(registry: Harness) -> None:
    _fill(registry, MAX_OPEN_PER_ADDRESS, confirmed_by=registry.owner)
    with registry.resources.database.writing() as session:
        session.query(PairingRow).update({"key_seed": "fetched"})
    assert registry.anonymous.post("/desktop/pair/start").status_code == 200


def test_device_key_acts_as_its_user(registry: Harness) -> None:
    user = registry.create_member("admin")
    device = registry.create_device(user)
    assert device.get("/users/me").json()["id"] == user.user_id
    assert device.get("/members").status_code == 200
    registry.owner.put(f"/members/{user.user_id}", member_role="member")
    assert device.get("/members").status_code == 403


def test_confirm_invalid_codes_return_same_404(registry: Harness) -> None:
    used = _start(registry)
    _confirm(registry.owner, used["user_code"])
    _poll(registry, used)
    codes = [used["user_code"], "AAAA-AAAA", "x", "0000-0000", "' OR 1=1 --", "A\x00"]
    answers = [refusal(_confirm(registry.create_member("viewer"), code)) for code in codes]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 404

    polled = [
        refusal(registry.anonymous.post("/desktop/pair/poll", device_code=code))
        for code in (used["device_code"], keys.generate_token("pc-").raw, "x", "\x00", used["user_code"])
    ]
    assert all(answer == polled[0] for answer in polled)
    assert polled[0][0] == 404


@pytest.mark.parametrize("confirmed", [False, True])
def test_pairing_after_five_minutes_is_refused(registry: Harness, confirmed: bool) -> None:
    started = _start(registry)
    if confirmed:
        _confirm(registry.owner, started["user_code"])
    _expire(registry)
    assert _poll(registry, started).status_code == 404
    assert _confirm(registry.owner, started["user_code"]).status_code == 404


def test_confirm_repeated_wrong_codes_returns_429(registry: Harness) -> None:
    user = registry.create_member("viewer")
    assert [_confirm(user, "AAAA-AAAA").status_code for _ in range(11)] == [404] * 10 + [429]


def test_poll_after_user_left_team_returns_404(registry: Harness) -> None:
    user = registry.create_member("member")
    started = _start(registry)
    _confirm(user, started["user_code"])
    user.delete(f"/members/{user.user_id}")
    assert _poll(registry, started).status_code == 404
    assert _poll(registry, started).status_code == 404


def _fill(registry: Harness, count: int, address: str = "testclient", confirmed_by: ApiCaller | None = None) -> None:
    """Open so many pairings, the first of which ends in 100 seconds, the next ones a second later each."""
    who = {"user_id": UUID(str(confirmed_by.user_id)), "team_id": UUID(registry.team_id)} if confirmed_by else {}
    with registry.resources.database.writing() as session:
        session.add_all(
            PairingRow(
                device_code_hash=f"{address} {number}",
                user_code=f"{address} {number}",
                address=address,
                expires_at=now() + timedelta(seconds=100 + number),
                **who,
            )
            for number in range(count)
        )


def _open_codes(registry: Harness) -> set[str]:
    with registry.resources.database.reading() as session:
        return {row.user_code for row in session.query(PairingRow)}


def test_start_pairing_above_limit_of_address_deletes_its_oldest_unconfirmed_one(registry: Harness) -> None:
    _fill(registry, 1, confirmed_by=registry.owner, address="testclient")
    with registry.resources.database.writing() as session:
        session.query(PairingRow).update({"user_code": "confirmed", "device_code_hash": "confirmed"})
    _fill(registry, 1, "elsewhere")
    _fill(registry, MAX_OPEN_PER_ADDRESS - 1)
    before = _open_codes(registry)
    started = _start(registry)
    assert before - _open_codes(registry) == {"testclient 0"}
    assert len(_open_codes(registry)) == len(before)
    assert _confirm(registry.owner, started["user_code"]).status_code == 200


def test_start_pairing_above_limit_of_confirmed_ones_returns_429_until_the_first_expires(
    registry: Harness,
) -> None:
    _fill(registry, MAX_OPEN_PER_ADDRESS, confirmed_by=registry.owner)
    refused = registry.anonymous.post("/desktop/pair/start")
    assert refused.status_code == 429
    assert 60 < int(refused.headers["retry-after"]) <= 100
    _expire(registry)
    assert registry.anonymous.post("/desktop/pair/start").status_code == 200


def test_start_pairing_with_20_other_addresses_at_their_limit_returns_200(registry: Harness) -> None:
    for number in range(20):
        _fill(registry, MAX_OPEN_PER_ADDRESS, f"192.0.2.{number}")
    assert registry.anonymous.post("/desktop/pair/start").status_code == 200


def test_start_pairing_above_limit_of_registry_returns_429_with_time_until_the_first_expires(registry: Harness) -> None:
    _fill(registry, MAX_OPEN, "elsewhere")
    refused = registry.anonymous.post("/desktop/pair/start")
    assert refused.status_code == 429
    assert 60 < int(refused.headers["retry-after"]) <= 100


def test_revoke_own_device_key_ends_it_and_its_paired_agent_key(registry: Harness) -> None:
    started = _start(registry)
    _confirm(registry.owner, started["user_code"])
    paired = _poll(registry, started).json()
    device, agent = ApiCaller(registry.client, paired["raw_key"]), ApiCaller(registry.client, paired["agent_key"])
    assert agent.get("/models").status_code == 403
    assert device.post("/auth/device/revoke").json() == {"is_success": True}
    assert device.post("/auth/device/revoke").status_code == 401
    assert agent.get("/models").status_code == 401


def test_revoke_device_key_by_owner_ends_its_paired_agent_key(registry: Harness) -> None:
    started = _start(registry)
    _confirm(registry.owner, started["user_code"])
    paired = _poll(registry, started).json()
    listed = registry.owner.get("/credentials", kind="device").json()["credentials"][0]
    registry.owner.delete(f"/credentials/{listed['id']}")
    assert ApiCaller(registry.client, paired["agent_key"]).get("/models").status_code == 401


@pytest.mark.parametrize("kind", ["user", "integration", "agent"])
def test_revoke_own_device_called_by_other_kind_returns_403(registry: Harness, kind: str) -> None:
    caller = registry.owner if kind == "user" else registry.create_key(kind)
    assert caller.post("/auth/device/revoke").status_code == 403
