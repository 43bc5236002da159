"""The calls of a registry about machines, for people."""

from uuid import UUID

from modelyard.client.api.calls.channel import ChannelCalls
from modelyard.client.api.filters import AgentFilter
from modelyard.client.api.http import Call
from modelyard.client.api.paging import Paging
from modelyard.client.api.urls import build_path
from modelyard.wire.agents.machines import AgentList, AgentUpdate, AssignmentDone, RemovalApproval
from modelyard.wire.agents.replicas import AgentModelList
from modelyard.wire.agents.values import ModelState
from modelyard.wire.schemas import Done
from modelyard.wire.uses import lists as uses

_START = Paging()


class AgentCalls(ChannelCalls):
    """The methods of ``RegistryApi`` about machines, for people; they raise the same."""

    async def list_agents(self, agent_filter: AgentFilter | None = None, paging: Paging = _START) -> AgentList:
        """Return one page of the machines that match the filter."""
        return await self._get(
            AgentList, "/agents", (agent_filter or AgentFilter()).build_query() | paging.build_query()
        )

    async def list_models_on(
        self, agent_id: str, paging: Paging = _START, *, state: ModelState | None = None
    ) -> AgentModelList:
        """Return one page of the models that a machine should hold, with their states; optionally of one state."""
        query = paging.build_query() | ({} if state is None else {"state": state})
        return await self._get(AgentModelList, build_path("agents", agent_id, "models"), query)

    async def list_agents_of(self, model_id: UUID, paging: Paging = _START) -> AgentModelList:
        """Return one page of the states of a model on the machines that should hold it."""
        return await self._get(AgentModelList, build_path("models", model_id, "agents"), paging.build_query())

    async def list_unused_models(
        self, days: int, paging: Paging = _START, *, agent_id: str | None = None
    ) -> uses.UnusedModelList:
        """Return one page of the models that machines have not used for some days, optionally of one machine."""
        query = paging.build_query() | {"days": str(days)} | ({} if agent_id is None else {"agent_id": agent_id})
        return await self._get(uses.UnusedModelList, "/unused-models", query)

    async def preview_evictions(self, agent_id: str, disk_budget_bytes: int | None = None) -> uses.EvictionPreview:
        """Return what a machine would not hold with a disk budget, without one with its own."""
        query = {} if disk_budget_bytes is None else {"disk_budget_bytes": str(disk_budget_bytes)}
        return await self._get(uses.EvictionPreview, build_path("agents", agent_id, "evictions"), query)

    async def update_agent(self, agent_id: str, change: AgentUpdate) -> Done:
        return await self._channel.request(Done, Call("PUT", build_path("agents", agent_id), change, repeatable=True))

    async def assign_model(self, agent_id: str, model_id: UUID) -> AssignmentDone:
        """Assign a model to a machine, which should hold it then whatever its labels are."""
        call = Call("PUT", build_path("agents", agent_id, "models", model_id), repeatable=True)
        return await self._channel.request(AssignmentDone, call)

    async def unassign_model(self, agent_id: str, model_id: UUID) -> None:
        """End the assignment of a model to a machine."""
        await self._channel.send(Call("DELETE", build_path("agents", agent_id, "models", model_id), repeatable=True))

    async def approve_removal(self, agent_id: str, removal_token: str | None = None) -> Done:
        """Approve the removals that a machine has reported as held back by its removal limit.

        With the ``removal_token`` of the machine's record, only those that it names.
        """
        approval = None if removal_token is None else RemovalApproval(removal_token=removal_token)
        path = build_path("agents", agent_id, "approve-removal")
        return await self._post(Done, path, approval, repeatable=True)

    async def sync_agent(self, agent_id: str) -> Done:
        """Make a machine sync at its next heartbeat."""
        return await self._post(Done, build_path("agents", agent_id, "sync"), repeatable=True)

    async def delete_agent(self, agent_id: str) -> None:
        """Remove a machine from the registry's list; its files stay, and its next heartbeat adds it again."""
        await self._channel.send(Call("DELETE", build_path("agents", agent_id)))
