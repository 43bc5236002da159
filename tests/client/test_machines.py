"""The registry's calls for machines, against a real registry."""

import asyncio
from uuid import UUID

import pytest

from modelyard.client.filters import AgentFilter, ModelFilter
from modelyard.client.registry import Registry
from modelyard.wire import problems
from modelyard.wire.agents import AgentChange, Heartbeat
from modelyard.wire.credentials import NewCredential
from tests.client.serving import Team

NAME = "render-07"
TOKEN = "a" * 64


@pytest.fixture
def agent_key(team: Team) -> str:
    async def made() -> str:
        async with team.registry() as registry:
            return (await registry.create_credential(NewCredential(kind="agent", display_name="farm"))).raw_key

    return asyncio.run(made())


async def test_a_machine_and_its_people_talk_through_the_registry(
    team: Team, registry: Registry, agent_key: str
) -> None:
    async with Registry(team.url, agent_key) as machine:
        beat = Heartbeat(agent_id=NAME, agent_labels=["gpu24"], removal_waiting=12, removal_token=TOKEN)
        assert (await machine.send_heartbeat(beat)).resend_all is True
        await registry.update_agent(NAME, AgentChange(agent_labels=["night"], paused=True))
        await registry.approve_removal(NAME)
        await registry.sync_agent(NAME)
        answer = await machine.send_heartbeat(beat)
        assert (answer.paused, answer.approved_removal, answer.sync_now) == (True, TOKEN, True)
        [shown] = (await registry.list_agents(AgentFilter(label="night"))).agent_list
        assert (shown.agent_id, shown.agent_labels) == (NAME, ["gpu24", "night"])
        assert (await registry.list_models_on(NAME, state="ready")).agent_model_list == []
        assert (await registry.list_models(ModelFilter(missing_on="any"))).model_list == []
        with pytest.raises(problems.ModelNotFound):
            await registry.list_agents_of(UUID(int=5))
        await registry.forget_agent(NAME)
        assert (await registry.list_agents()).agent_list == []


async def test_a_manifest_that_is_known_is_waited_for(team: Team, registry: Registry, agent_key: str) -> None:
    async with Registry(team.url, agent_key) as machine:
        with pytest.raises(problems.AgentUnknown):
            await machine.get_manifest(NAME)
        await machine.send_heartbeat(Heartbeat(agent_id=NAME))
        known = await machine.get_manifest(NAME)
        assert known is not None
        assert known.manifest.model_list == []
        assert await machine.get_manifest(NAME, etag=known.etag) is None
        waiting = asyncio.create_task(machine.get_manifest(NAME, etag=known.etag, wait=30))
        paused = False
        async with asyncio.timeout(20):
            while not waiting.done():
                # Again, since the first change may be made before the question has arrived.
                paused = not paused
                await registry.update_agent(NAME, AgentChange(paused=paused))
                await asyncio.wait({waiting}, timeout=1)
        # There are no news in it: its heartbeat has something to hear.
        assert await waiting is None
