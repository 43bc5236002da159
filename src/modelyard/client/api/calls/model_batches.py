"""The calls of a registry that register, look up or download many models at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelyard.client.api.calls.channel import ChannelCalls, unpack_result
from modelyard.client.api.http import Call
from modelyard.client.api.urls import build_path
from modelyard.wire.hashes import lookups

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from modelyard.wire import batches, models, problems
    from modelyard.wire.workflows import WorkflowCheck


class ModelBatchCalls(ChannelCalls):
    """The methods of ``RegistryApi`` about many models at once, their hashes and workflows; they raise the same."""

    async def create_models(self, new: Sequence[models.NewModel]) -> list[models.RegisteredModel | problems.Problem]:
        """Register up to 100 uploaded files; return the id or problem of each, in their order."""
        from modelyard.wire import batches

        batch = batches.ModelBatch(model_list=list(new))
        answer = await self._post(batches.ModelResults, "/models/register-batch", batch, repeatable=True)
        return [unpack_result(result) for result in answer.result_list]

    async def look_up_models(self, lookup: lookups.ModelLookup) -> lookups.LookupResult:
        """Return the models that up to 1,000 hashes, paths and ids mean."""
        return await self._post(lookups.LookupResult, "/models/lookup", lookup, repeatable=True)

    async def get_model_hashes(self, model_id: UUID) -> lookups.ModelHashes:
        """Return the known hashes of a model's content, and those that its file claims."""
        return await self._get(lookups.ModelHashes, build_path("models", model_id, "hashes"))

    async def check_workflow(self, workflow: bytes) -> WorkflowCheck:
        """Return what the team has of the models that a workflow file names, and which machines can run it."""
        from modelyard.wire.workflows import WorkflowCheck

        return await self._post(WorkflowCheck, "/workflows/check", workflow, repeatable=True)

    async def download_tickets(
        self, downloads: Sequence[batches.DownloadRequest]
    ) -> list[models.DownloadTicket | problems.Problem]:
        """Return the presigned URL or the problem of each of up to 100 downloads. Raises as ``_request_urls``."""
        from modelyard.wire import batches

        call = Call("POST", "/models/download-batch", batches.DownloadBatch(download_list=list(downloads)))
        answer = await self._request_urls(batches.DownloadResults, call)
        return [unpack_result(result) for result in answer.result_list]
