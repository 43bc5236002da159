"""Keys for programs and machines end with their creator's admin role, unless another admin takes them over."""

from typing import Any

import pytest

from tests.server.accounts_support.answers import Answer
from tests.server.harness import ApiCaller, Harness

pytestmark = pytest.mark.slow

ACTIONS = ["demotion", "removal", "departure"]


@pytest.fixture
def owner(registry: Harness) -> ApiCaller:
    """The owner of a team without keys."""
    return registry.create_other_team()


@pytest.fixture
def creator(registry: Harness, owner: ApiCaller) -> ApiCaller:
    return registry.create_member("admin", owner)


def end_right(action: str, owner: ApiCaller, creator: ApiCaller, query: str = "") -> Answer:
    """Take the right to make keys from an admin, in one of the three ways in which they can lose it."""
    path = f"/members/{creator.user_id}{query}"
    if action == "demotion":
        return owner.call("PUT", path, json={"member_role": "member"})
    return (owner if action == "removal" else creator).delete(path)


def listed(owner: ApiCaller) -> dict[str, dict[str, Any]]:
    """The team's keys by their name."""
    return {row["display_name"]: row for row in owner.get("/credentials").json()["credentials"]}


def events(owner: ApiCaller, action: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = owner.get("/audit-events", action=action).json()["audit_event_list"]
    return found


@pytest.mark.parametrize("action", ACTIONS)
def test_demote_or_remove_creator_with_working_keys_returns_409(
    registry: Harness, owner: ApiCaller, creator: ApiCaller, action: str
) -> None:
    integration, agent = registry.create_key("integration", creator), registry.create_key("agent", creator)
    refused = end_right(action, owner, creator)
    assert refused.status_code == 409
    assert refused.json()["error_code"] == "keys_would_stop"
    assert refused.json()["key_count"] == 2
    keys = {key["kind"]: key for key in refused.json()["key_list"]}
    assert keys["integration"].keys() == {"id", "kind", "display_name", "key_prefix"}
    assert keys["integration"]["key_prefix"] == str(integration.token)[:11]
    assert creator.get("/members").status_code == 200
    assert integration.get("/models").status_code == 200
    assert agent.post("/agent/heartbeat", agent_id="render-01").status_code == 200


@pytest.mark.parametrize("action", ACTIONS)
def test_remove_creator_with_keys_stop_revokes_their_keys(
    registry: Harness, owner: ApiCaller, creator: ApiCaller, action: str
) -> None:
    integration, agent = registry.create_key("integration", creator), registry.create_key("agent", creator)
    assert end_right(action, owner, creator, "?keys=stop").status_code < 300
    assert integration.get("/models").status_code == 401
    assert agent.post("/agent/heartbeat", agent_id="render-01").status_code == 401
    assert {key["key_status"] for key in listed(owner).values()} == {"revoked"}
    assert {event["facts"]["kind"] for event in events(owner, "credential.revoked")} == {"integration", "agent"}


@pytest.mark.parametrize("action", ACTIONS)
def test_remove_creator_with_keys_to_admin_keeps_keys_working(
    registry: Harness, owner: ApiCaller, creator: ApiCaller, action: str
) -> None:
    integration, heir = registry.create_key("integration", creator), registry.create_member("admin", owner)
    assert end_right(action, owner, creator, f"?keys_to={heir.user_id}").status_code < 300
    assert integration.get("/models").status_code == 200
    assert listed(owner)["integration"]["user_id"] == heir.user_id
    event = events(owner, "credential.handed_over")[0]
    assert event["object_id"] == listed(owner)["integration"]["id"]
    assert event["facts"]["new_maker_id"] == heir.user_id
    # The heir answers for it from then on.
    assert owner.delete(f"/members/{heir.user_id}").json()["error_code"] == "keys_would_stop"


@pytest.mark.parametrize("who", ["themselves", "member", "stranger", "nobody", "nonsense"])
def test_remove_creator_with_keys_to_non_admin_returns_422(
    registry: Harness, owner: ApiCaller, creator: ApiCaller, who: str
) -> None:
    registry.create_key("integration", creator)
    ids = {
        "themselves": creator.user_id,
        "member": registry.create_member("member", owner).user_id,
        "stranger": registry.owner.user_id,
        "nobody": "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10",
        "nonsense": "x",
    }
    refused = end_right("removal", owner, creator, f"?keys_to={ids[who]}")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "keys_to"
    assert creator.get("/members").status_code == 200


@pytest.mark.parametrize("query", ["?keys=keep", "?keys=stop&keys_to={owner}"])
def test_remove_creator_with_contradictory_keys_choice_returns_422(
    owner: ApiCaller, creator: ApiCaller, query: str
) -> None:
    refused = end_right("removal", owner, creator, query.format(owner=owner.user_id))
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "keys"


def test_remove_creator_without_working_keys_needs_no_choice(
    registry: Harness, owner: ApiCaller, creator: ApiCaller
) -> None:
    key_id = creator.post("/credentials", kind="integration", display_name="old").json()["id"]
    assert creator.delete(f"/credentials/{key_id}").status_code == 204
    registry.create_device(creator)
    assert owner.delete(f"/members/{creator.user_id}").status_code == 204


def test_transfer_team_keeps_keys_of_both_owners_working(
    registry: Harness, owner: ApiCaller, creator: ApiCaller
) -> None:
    before, after = registry.create_key("integration", owner), registry.create_key("integration", creator)
    assert owner.post("/teams/current/transfer", new_owner_id=creator.user_id).status_code == 200
    assert before.get("/models").status_code == 200
    assert after.get("/models").status_code == 200


def test_keys_would_stop_problem_lists_limited_number_of_keys(
    registry: Harness, owner: ApiCaller, creator: ApiCaller
) -> None:
    for _ in range(101):
        registry.create_key("integration", creator)
    refused = end_right("removal", owner, creator).json()
    assert refused["key_count"] == 101
    assert len(refused["key_list"]) == 100
    assert end_right("removal", owner, creator, "?keys=stop").status_code < 300


def test_demote_user_keeps_their_device_keys_working(registry: Harness, owner: ApiCaller, creator: ApiCaller) -> None:
    device = registry.create_device(creator)
    assert end_right("demotion", owner, creator).status_code < 300
    assert device.get("/models").status_code == 200
