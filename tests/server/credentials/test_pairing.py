import re
from datetime import timedelta
from typing import Any

import pytest

from modelyard.server.credentials.pairing import OPEN_FROM_ONE_ADDRESS
from modelyard.server.credentials.tables import PairingRow
from modelyard.server.database.base import now
from modelyard.server.identity import keys
from modelyard.server.identity.tables import CredentialRow
from tests.server.people.answers import Answer, refusal
from tests.server.world import Someone, World


@pytest.fixture(autouse=True)
def no_open_pairings(world: World) -> None:
    """The number of open pairings is limited, and the world is the whole file's."""
    with world.parts.database.writing() as session:
        session.query(PairingRow).delete()


def _start(world: World) -> dict[str, Any]:
    answer = world.nobody.post("/desktop/pair/start")
    assert answer.status_code == 200
    started: dict[str, Any] = answer.json()
    return started


def _confirm(user: Someone, code: str, **body: Any) -> Answer:
    return user.post("/desktop/pair/confirm", user_code=code, **body)


def _poll(world: World, started: dict[str, Any]) -> Answer:
    return world.nobody.post("/desktop/pair/poll", device_code=started["device_code"])


def _expire(world: World) -> None:
    with world.parts.database.writing() as session:
        session.query(PairingRow).update({"expires_at": now() - timedelta(seconds=1)})


def test_a_device_is_told_what_to_show(world: World) -> None:
    started = _start(world)
    assert re.fullmatch(r"[A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4}", started["user_code"])
    assert keys.is_well_formed(started["device_code"], "pc-")
    assert started["verification_uri"] == "http://registry.test/pair"
    assert (started["expires_in"], started["interval"]) == (300, 2)


def test_a_confirmed_device_gets_both_keys_once(world: World) -> None:
    user = world.person("member")
    started = _start(world)
    assert _poll(world, started).json() == {"status": "pending"}
    assert _confirm(user, started["user_code"], device_name="render-03").json() == {"is_success": True}
    approved = _poll(world, started)
    assert approved.status_code == 200
    assert approved.json()["status"] == "approved"
    assert keys.is_well_formed(approved.json()["raw_key"], "dk-")
    assert keys.is_well_formed(approved.json()["agent_key"], "ak-")
    assert _poll(world, started).status_code == 404
    row = user.get("/credentials").json()["credentials"][0]
    assert (row["display_name"], row["kind"], row["user_id"]) == ("render-03", "device", user.user_id)


def test_no_key_exists_before_somebody_receives_it(world: World) -> None:
    started = _start(world)
    with world.parts.database.reading() as session:
        before = session.query(CredentialRow).count()
    _confirm(world.owner, started["user_code"])
    with world.parts.database.reading() as session:
        assert session.query(CredentialRow).count() == before
    _poll(world, started)
    with world.parts.database.reading() as session:
        assert session.query(CredentialRow).count() == before + 2


def test_a_device_acts_as_its_user(world: World) -> None:
    user = world.person("admin")
    device = world.device(user)
    assert device.get("/users/me").json()["id"] == user.user_id
    assert device.get("/members").status_code == 200
    world.owner.put(f"/members/{user.user_id}", member_role="member")
    assert device.get("/members").status_code == 403


def test_case_dashes_and_spaces_do_not_matter_in_a_code(world: World) -> None:
    for change in (str.lower, lambda code: code.replace("-", ""), lambda code: f" {code.replace('-', ' ')} "):
        assert _confirm(world.owner, change(_start(world)["user_code"])).status_code == 200


def test_confirming_may_be_repeated_by_the_same_user_only(world: World) -> None:
    started = _start(world)
    user = world.person("viewer")
    assert [_confirm(user, started["user_code"]).status_code for _ in range(2)] == [200, 200]
    assert _confirm(world.owner, started["user_code"]).status_code == 404


def test_every_refused_code_is_one_answer(world: World) -> None:
    used = _start(world)
    _confirm(world.owner, used["user_code"])
    _poll(world, used)
    codes = [used["user_code"], "AAAA-AAAA", "x", "0000-0000", "' OR 1=1 --", "A\x00"]
    answers = [refusal(_confirm(world.person("viewer"), code)) for code in codes]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 404

    polled = [
        refusal(world.nobody.post("/desktop/pair/poll", device_code=code))
        for code in (used["device_code"], keys.new_token("pc-").raw, "x", "\x00", used["user_code"])
    ]
    assert all(answer == polled[0] for answer in polled)
    assert polled[0][0] == 404


@pytest.mark.parametrize("confirmed", [False, True])
def test_a_pairing_ends_after_five_minutes(world: World, confirmed: bool) -> None:
    started = _start(world)
    if confirmed:
        _confirm(world.owner, started["user_code"])
    _expire(world)
    assert _poll(world, started).status_code == 404
    assert _confirm(world.owner, started["user_code"]).status_code == 404


def test_guessing_codes_is_stopped(world: World) -> None:
    user = world.person("viewer")
    assert [_confirm(user, "AAAA-AAAA").status_code for _ in range(11)] == [404] * 10 + [429]


def test_who_left_meanwhile_pairs_nothing(world: World) -> None:
    user = world.person("member")
    started = _start(world)
    _confirm(user, started["user_code"])
    user.delete(f"/members/{user.user_id}")
    assert _poll(world, started).status_code == 404
    assert _poll(world, started).status_code == 404


def test_one_address_keeps_so_many_pairings_open_and_no_more(world: World) -> None:
    with world.parts.database.writing() as session:
        for number in range(OPEN_FROM_ONE_ADDRESS):
            session.add(
                PairingRow(
                    device_code_hash=f"hash {number}",
                    user_code=f"code {number}",
                    address="testclient",
                    expires_at=now() + timedelta(minutes=1),
                )
            )
    refused = world.nobody.post("/desktop/pair/start")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    _expire(world)
    assert world.nobody.post("/desktop/pair/start").status_code == 200


def test_a_device_ends_itself_and_its_agent(world: World) -> None:
    started = _start(world)
    _confirm(world.owner, started["user_code"])
    both = _poll(world, started).json()
    device, agent = Someone(world.client, both["raw_key"]), Someone(world.client, both["agent_key"])
    assert agent.get("/models").status_code == 403
    assert device.post("/auth/device/revoke").json() == {"is_success": True}
    assert device.post("/auth/device/revoke").status_code == 401
    assert agent.get("/models").status_code == 401


def test_revoking_a_device_in_the_list_ends_its_agent_too(world: World) -> None:
    started = _start(world)
    _confirm(world.owner, started["user_code"])
    both = _poll(world, started).json()
    listed = world.owner.get("/credentials", kind="device").json()["credentials"][0]
    world.owner.delete(f"/credentials/{listed['id']}")
    assert Someone(world.client, both["agent_key"]).get("/models").status_code == 401


@pytest.mark.parametrize("kind", ["user", "integration", "agent"])
def test_only_a_device_ends_itself(world: World, kind: str) -> None:
    caller = world.owner if kind == "user" else world.key(kind)
    assert caller.post("/auth/device/revoke").status_code == 403


@pytest.mark.parametrize("name", ["", "x" * 101, "a\nb", 7])
def test_a_bad_device_name_is_named(world: World, name: object) -> None:
    answer = _confirm(world.owner, _start(world)["user_code"], device_name=name)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "device_name"
