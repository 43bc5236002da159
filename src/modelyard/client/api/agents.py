"""List and find the team's machines, over all pages of the registry's lists."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from modelyard.client.api.paging import Paging, list_pages
from modelyard.client.api.registry import RegistryApi
from modelyard.client.references.matching import ReferenceKind, get_only_match
from modelyard.wire.problems import AgentNotFound

if TYPE_CHECKING:
    from modelyard.client.api.filters import AgentFilter
    from modelyard.wire.agents.machines import Agent, AgentList
    from modelyard.wire.agents.replicas import AgentModel, AgentModelList
    from modelyard.wire.uses.lists import UnusedModel, UnusedModelList


async def list_all_agents(registry: RegistryApi, agent_filter: AgentFilter | None = None) -> list[Agent]:
    """Return all machines of the team that match the filter, from all pages."""

    async def load_page(paging: Paging) -> AgentList:
        return await registry.list_agents(agent_filter, paging)

    return [agent async for page in list_pages(load_page) for agent in page.agent_list]


async def find_agent(registry: RegistryApi, name: str) -> Agent:
    """Return the machine with this name; without an exact match, the only one that differs in case.

    Raises:
        AgentNotFound: no machine matches, or several differ from ``name`` only in case.
    """
    return get_only_match(_MACHINE, name, await list_all_agents(registry), AgentNotFound)


async def list_models_on_agent(registry: RegistryApi, agent_id: str) -> list[AgentModel]:
    """Return the state of each model that a machine should hold, from all pages, newest first."""

    async def load_page(paging: Paging) -> AgentModelList:
        return await registry.list_models_on(agent_id, paging)

    return [model async for page in list_pages(load_page) for model in page.agent_model_list]


async def list_model_agents(registry: RegistryApi, model_id: UUID) -> list[AgentModel]:
    """Return the state of one model on each machine that should hold it, from all pages.

    The list is empty if the model is disabled or not verified.
    """

    async def load_page(paging: Paging) -> AgentModelList:
        return await registry.list_agents_of(model_id, paging)

    return [model async for page in list_pages(load_page) for model in page.agent_model_list]


async def list_all_unused_models(
    registry: RegistryApi, days: int, agent_id: str | None = None
) -> tuple[UnusedModelList, list[UnusedModel]]:
    """Return the first page of the models that were not used for some days, with its sums, and all of the models."""

    async def load_page(paging: Paging) -> UnusedModelList:
        return await registry.list_unused_models(days, paging, agent_id=agent_id)

    pages = [page async for page in list_pages(load_page)]
    return pages[0], [model for page in pages for model in page.unused_model_list]


_MACHINE: ReferenceKind[Agent] = ReferenceKind(
    name="machine",
    get_id=lambda _: None,
    is_unique_value=lambda agent, text: agent.agent_id == text,
    has_name=lambda agent, text: agent.agent_id.casefold() == text.casefold(),
    show=lambda agent: agent.agent_id,
)
