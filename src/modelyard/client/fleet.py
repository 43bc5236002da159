"""The team's machines, whole lists of them."""

from uuid import UUID

from modelyard.client.filters import AgentFilter
from modelyard.client.paging import Paging, every_page
from modelyard.client.registry import Registry
from modelyard.wire.agents import Agent, AgentList, AgentModel, AgentModelList
from modelyard.wire.problems import AgentNotFound


async def all_agents(registry: Registry, wanted: AgentFilter | None = None) -> list[Agent]:
    async def ask(paging: Paging) -> AgentList:
        return await registry.list_agents(wanted, paging)

    return [agent async for page in every_page(ask) for agent in page.agent_list]


async def find_agent(registry: Registry, name: str) -> Agent:
    """The machine of this name, however it is spelled.

    Raises:
        AgentNotFound: there is none.
    """
    agents = await all_agents(registry)
    found = [agent for agent in agents if agent.agent_id == name] or [
        agent for agent in agents if agent.agent_id.casefold() == name.casefold()
    ]
    if len(found) != 1:
        raise AgentNotFound(f"There is no machine '{name}'.")
    return found[0]


async def models_on(registry: Registry, agent_id: str) -> list[AgentModel]:
    async def ask(paging: Paging) -> AgentModelList:
        return await registry.list_models_on(agent_id, paging)

    return [model async for page in every_page(ask) for model in page.agent_model_list]


async def agents_of(registry: Registry, model_id: UUID) -> list[AgentModel]:
    async def ask(paging: Paging) -> AgentModelList:
        return await registry.list_agents_of(model_id, paging)

    return [model async for page in every_page(ask) for model in page.agent_model_list]
