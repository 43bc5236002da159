"""Real agents in subscribed collections: they get the models at pinned versions, and keep files in a conflict."""

from typing import Any

import pytest

from tests.agent.agent_machine import AgentMachine, wait_until
from tests.server.harness import ApiCaller, make_model_file

pytestmark = pytest.mark.slow

PATH = "loras/ink.safetensors"
FIRST, SECOND, THIRD = (make_model_file("ink", 5000 + number) for number in range(3))


def create_collection(team: ApiCaller, name: str, *models: tuple[str, int]) -> str:
    """Create a collection and return its path."""
    entries = [{"model_id": model_id, "version": version} for model_id, version in models]
    answer = team.post("/collections", name=name, model_list=entries)
    assert answer.status_code == 201, answer.text
    return f"/collections/{answer.json()['id']}"


def get_replica(team: ApiCaller) -> dict[str, Any]:
    """Return the machine's only replica."""
    [replica] = team.get("/agents/render-07/models").json()["agent_model_list"]
    return dict(replica)


async def test_agent_gets_a_collection_with_its_label_and_removes_it_with_the_subscription(
    team: ApiCaller, machine: AgentMachine
) -> None:
    ink = team.register(FIRST, PATH, required_labels=["none"])
    collection = create_collection(team, "Winter", (ink, 1))
    subscription = team.post(f"{collection}/subscriptions", label="gpu24").json()["id"]
    async with machine.running():
        await wait_until(lambda: team.get("/agents").json()["agent_list"])
        assert not machine.has_file(PATH)
        assert team.put("/agents/render-07", agent_labels=["gpu24"]).status_code == 200
        await wait_until(lambda: machine.has_file(PATH))
        assert team.delete(f"{collection}/subscriptions/{subscription}").status_code == 204
        await wait_until(lambda: not machine.has_file(PATH))


async def test_agent_holds_pinned_versions_and_changes_nothing_in_a_conflict(
    team: ApiCaller, machine: AgentMachine
) -> None:
    file = machine.models / PATH
    ink = team.register(FIRST, PATH)

    def holds(content: bytes, version: int) -> bool:
        replica = get_replica(team)
        return file.read_bytes() == content and (replica["version"], replica["state"]) == (version, "ready")

    async with machine.running():
        await wait_until(lambda: machine.has_file(PATH))
        winter = create_collection(team, "Winter", (ink, 1))
        team.put(winter, is_pinned=True)
        team.post(f"{winter}/subscriptions", agent_id="render-07")
        await wait_until(lambda: holds(FIRST, 1))

        # The model moves on, and a new model shows that the machine has read its manifest since.
        team.register(SECOND, PATH, replaces=ink)
        team.register(THIRD, PATH, replaces=ink)
        other = team.register(make_model_file("oil"), "loras/oil.safetensors")
        await wait_until(lambda: machine.has_file("loras/oil.safetensors"))
        team.delete(f"/models/{other}")
        await wait_until(lambda: not machine.has_file("loras/oil.safetensors"))
        assert holds(FIRST, 1)

        # An older one than the current, so that it is downloaded by its number.
        summer = create_collection(team, "Summer", (ink, 2))
        team.put(summer, is_pinned=True)
        team.post(f"{summer}/subscriptions", agent_id="render-07")
        await wait_until(lambda: get_replica(team)["state"] == "blocked")
        reason = get_replica(team)["reason"]
        assert "pin-conflict: 'Winter' pins version 1, 'Summer' pins version 2" in reason
        assert file.read_bytes() == FIRST

        team.delete(winter)
        await wait_until(lambda: holds(SECOND, 2))
        team.put(summer, is_pinned=False)
        await wait_until(lambda: holds(THIRD, 3))
