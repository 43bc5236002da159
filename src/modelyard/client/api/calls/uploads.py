"""The calls of a registry about uploads."""

from collections.abc import Sequence

from modelyard.client.api.calls.channel import ChannelCalls, unpack_result
from modelyard.client.api.http import Call
from modelyard.wire import batches, problems, uploads
from modelyard.wire.schemas import Done


class UploadCalls(ChannelCalls):
    """The methods of ``RegistryApi`` about uploads; they raise the same."""

    async def presign_upload(self, request: uploads.UploadRequest) -> uploads.UploadTicket:
        return await self._post(uploads.UploadTicket, "/models/presign", request, repeatable=True)

    async def presign_uploads(
        self, requests: Sequence[uploads.UploadRequest]
    ) -> list[uploads.UploadTicket | problems.Problem]:
        """Return the ticket or problem of each of up to 100 uploads, in their order."""
        batch = batches.UploadBatch(upload_list=list(requests))
        answer = await self._post(batches.UploadResults, "/models/presign-batch", batch, repeatable=True)
        return [unpack_result(result) for result in answer.result_list]

    async def start_multipart(self, request: uploads.MultipartRequest) -> uploads.MultipartStarted:
        return await self._post(uploads.MultipartStarted, "/uploads/multipart/initiate", request, repeatable=True)

    async def presign_parts(self, request: uploads.PartsRequest) -> uploads.PartTickets:
        """Return presigned URLs for parts of an upload. Raises as ``_request_urls``."""
        return await self._request_urls(uploads.PartTickets, Call("POST", "/uploads/multipart/presign", request))

    async def list_parts(self, multipart: uploads.Multipart) -> uploads.StoredParts:
        query = {"storage_key": multipart.storage_key, "upload_id": multipart.upload_id}
        return await self._get(uploads.StoredParts, "/uploads/multipart/parts", query)

    async def complete_multipart(self, completion: uploads.MultipartCompletion) -> Done:
        return await self._post(Done, "/uploads/multipart/complete", completion, repeatable=True)

    async def abort_multipart(self, multipart: uploads.Multipart) -> None:
        await self._channel.send(Call("POST", "/uploads/multipart/abort", multipart, repeatable=True))
