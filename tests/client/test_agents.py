"""The client's methods for machines, against a real registry."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from modelyard.client.api.filters import AgentFilter
from modelyard.client.api.registry import RegistryApi
from modelyard.wire import problems
from modelyard.wire.agents.heartbeats import Heartbeat
from modelyard.wire.agents.machines import AgentUpdate
from modelyard.wire.credentials import NewCredential
from modelyard.wire.model_filter import ModelFilter
from tests.client.scripted_server import Responses
from tests.client.server_process import Team
from tests.waiting import wait_until_async

pytestmark = pytest.mark.slow

NAME = "render-07"
HEARTBEAT = Heartbeat(agent_id=NAME, agent_labels=["gpu24"], removal_waiting=12, removal_token="a" * 64)


@pytest.fixture
async def machine(team: Team, registry: RegistryApi) -> AsyncIterator[RegistryApi]:
    """Return a client with the key of a machine of the team."""
    key = await registry.create_credential(NewCredential(kind="agent", display_name="farm"))
    async with RegistryApi(team.url, key.raw_key) as machine:
        yield machine


async def test_send_heartbeat_returns_pause_approval_and_sync_request(
    machine: RegistryApi, registry: RegistryApi
) -> None:
    assert (await machine.send_heartbeat(HEARTBEAT)).resend_all is True
    await registry.update_agent(NAME, AgentUpdate(paused=True))
    await registry.approve_removal(NAME)
    await registry.sync_agent(NAME)

    answer = await machine.send_heartbeat(HEARTBEAT)

    assert (answer.paused, answer.approved_removal, answer.sync_now) == (True, HEARTBEAT.removal_token, True)


async def test_unassign_model_from_a_machine_named_two_dots_sends_no_request(url: str, responses: Responses) -> None:
    async with RegistryApi(url, "dk-key") as registry:
        with pytest.raises(problems.InvalidRequest):
            await registry.unassign_model("..", UUID(int=5))

    assert responses.requests == []


async def test_list_agents_by_label_returns_machine_with_own_and_central_labels(
    machine: RegistryApi, registry: RegistryApi
) -> None:
    await machine.send_heartbeat(HEARTBEAT)
    await registry.update_agent(NAME, AgentUpdate(agent_labels=["night"]))

    [agent] = (await registry.list_agents(AgentFilter(label="night"))).agent_list

    assert (agent.agent_id, agent.agent_labels) == (NAME, ["gpu24", "night"])


async def test_list_models_and_agents_of_machine_without_models_are_empty(
    machine: RegistryApi, registry: RegistryApi
) -> None:
    await machine.send_heartbeat(HEARTBEAT)

    assert (await registry.list_models_on(NAME, state="ready")).agent_model_list == []
    assert (await registry.list_models(ModelFilter(missing_on="any"))).model_list == []
    with pytest.raises(problems.ModelNotFound):
        await registry.list_agents_of(UUID(int=5))


async def test_delete_agent_removes_machine_from_list(machine: RegistryApi, registry: RegistryApi) -> None:
    await machine.send_heartbeat(HEARTBEAT)

    await registry.delete_agent(NAME)

    assert (await registry.list_agents()).agent_list == []


async def test_get_manifest_before_first_heartbeat_raises_agent_unknown(machine: RegistryApi) -> None:
    with pytest.raises(problems.AgentUnknown):
        await machine.get_manifest(NAME)


async def test_get_manifest_with_current_etag_returns_none(machine: RegistryApi) -> None:
    await machine.send_heartbeat(Heartbeat(agent_id=NAME))

    known = await machine.get_manifest(NAME)

    assert known is not None
    assert known.manifest.model_list == []
    assert await machine.get_manifest(NAME, etag=known.etag) is None


async def test_get_manifest_long_poll_ends_with_none_when_machine_is_paused(
    machine: RegistryApi, registry: RegistryApi
) -> None:
    await machine.send_heartbeat(Heartbeat(agent_id=NAME))
    known = await machine.get_manifest(NAME)
    assert known is not None

    poll = asyncio.create_task(machine.get_manifest(NAME, etag=known.etag, wait=60))
    paused = False

    async def is_poll_ended_by_update() -> bool:
        """Repeat the update, since the first one may be made before the poll has arrived."""
        nonlocal paused
        paused = not paused
        await registry.update_agent(NAME, AgentUpdate(paused=paused))
        return poll.done()

    # Before the poll would end by itself.
    await wait_until_async(is_poll_ended_by_update, 50)
    # The manifest is unchanged; the pause comes with the next heartbeat.
    assert await poll is None
