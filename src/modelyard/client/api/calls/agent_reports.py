"""The calls of a registry that a machine makes with its own key: reports, requests, and its manifest."""

from dataclasses import dataclass

from modelyard.client.api.calls.channel import ChannelCalls
from modelyard.client.api.http import UNCHANGED, Call
from modelyard.client.api.manifests import ReceivedManifest, read_manifest
from modelyard.client.api.paging import Paging
from modelyard.wire.agent_requests import loaders as agent_loaders
from modelyard.wire.agent_requests import models as agent_models
from modelyard.wire.agents.heartbeats import Heartbeat, HeartbeatResponse

_START = Paging()


@dataclass(frozen=True)
class KnownManifest:
    """A manifest and its ETag, with which a newer one is requested; empty if the registry sent no usable ETag."""

    manifest: ReceivedManifest
    etag: str


class AgentReportCalls(ChannelCalls):
    """The methods of ``RegistryApi`` that a machine calls with its own key; they raise the same."""

    async def send_heartbeat(self, heartbeat: Heartbeat) -> HeartbeatResponse:
        """Report this machine's state and return the registry's instructions; idempotent, so it is retried."""
        return await self._post(HeartbeatResponse, "/agent/heartbeat", heartbeat, repeatable=True)

    async def list_requestable_models(
        self,
        agent_id: str,
        paging: Paging = _START,
        *,
        search: str | None = None,
        model_type: str | None = None,
        pending: bool = False,
    ) -> agent_models.RequestableModelList:
        """Return one page of the team's models for a machine's key, with their states on the machine.

        With ``pending``, they are those that are not verified yet.
        """
        filters = {"agent_id": agent_id, "q": search, "model_type": model_type, "pending": "true" if pending else None}
        query = {name: value for name, value in filters.items() if value is not None} | paging.build_query()
        return await self._get(agent_models.RequestableModelList, "/agent/models", query)

    async def request_models(self, request: agent_models.ModelRequest) -> agent_models.ModelRequestResult:
        """Assign models to the machine whose key this is; return which ones were refused, and why."""
        return await self._post(agent_models.ModelRequestResult, "/agent/requests", request, repeatable=True)

    async def report_loaders(self, report: agent_loaders.LoaderReport) -> None:
        """Report which inputs of nodes name models in this machine's ComfyUIs, in place of earlier ones."""
        await self._channel.send(Call("POST", "/agent/loaders", report, repeatable=True))

    async def get_manifest(
        self, agent_id: str, *, etag: str | None = None, wait: int = 0, with_previews: bool = False
    ) -> KnownManifest | None:
        """Return a machine's manifest of desired models; None if it still has this ETag.

        With ``with_previews``, its entries name the models' pictures.
        With ``wait`` (long polling) the registry answers an unchanged manifest after so many seconds, or earlier if it
        has instructions for the machine's next heartbeat; the result is None in both cases.
        """
        query = {"agent_id": agent_id, "wait": str(wait)} | ({"previews": "true"} if with_previews else {})
        call = Call("GET", "/agent/manifest", query=query, repeatable=True, known_etag=etag)
        response = await self._channel.send(call)
        if response.status_code == UNCHANGED:
            return None
        etag = response.headers.get("ETag", "")
        # A non-ASCII ETag could not be sent in If-None-Match.
        return KnownManifest(self._channel.parse_with(read_manifest, response), etag if etag.isascii() else "")
