"""The calls of a registry about single models and lists of them."""

from uuid import UUID

from modelyard.client.api.calls.channel import ChannelCalls
from modelyard.client.api.http import Call
from modelyard.client.api.paging import Paging
from modelyard.client.api.urls import build_path
from modelyard.wire import models
from modelyard.wire.folders.schemas import FolderFileList
from modelyard.wire.model_filter import FacetList, FacetQuery, ModelFilter
from modelyard.wire.schemas import Updated

_START = Paging()


class ModelCalls(ChannelCalls):
    """The methods of ``RegistryApi`` about single models and lists of them; they raise the same."""

    async def create_model(self, new: models.NewModel) -> models.RegisteredModel:
        """Register an uploaded file and return the model's id; a repeated request returns the same id."""
        return await self._post(models.RegisteredModel, "/models", new, repeatable=True)

    async def list_models(self, model_filter: ModelFilter | None = None, paging: Paging = _START) -> models.ModelList:
        """Return one page of the models that match the filter."""
        return await self._get(
            models.ModelList, "/models", (model_filter or ModelFilter()).build_query() | paging.build_query()
        )

    async def count_facets(self, query: FacetQuery | None = None) -> FacetList:
        """Return how many of the models that match have each type, base model, tag, replica state and uploader."""
        return await self._get(FacetList, "/models/facets", (query or FacetQuery()).build_query())

    async def get_model(self, model_id: UUID) -> models.Model:
        return await self._get(models.Model, build_path("models", model_id))

    async def get_model_and_etag(self, model_id: UUID) -> tuple[models.Model, str | None]:
        """Return the record of a model with its ETag, if the response has one; for ``if_match`` of ``update_model``."""
        response = await self._channel.send(Call("GET", build_path("models", model_id), repeatable=True))
        etag = response.headers.get("ETag")
        # A proxy that compresses the response marks its ETag as weak, which the registry would not match.
        return self._channel.parse(models.Model, response), etag and etag.removeprefix("W/")

    async def update_model(self, model_id: UUID, change: models.ModelUpdate, *, if_match: str | None = None) -> Updated:
        """Change a model; with ``if_match`` only if its record has this ETag.

        Raises:
            RecordStale: the record has another ETag.
        """
        call = Call("PUT", build_path("models", model_id), change, repeatable=True, if_match=if_match)
        return await self._channel.request(Updated, call)

    async def delete_model(self, model_id: UUID, *, force: bool = False) -> None:
        """Move a model to the trash; with ``force`` even if machines hold it by a pinned collection.

        Raises:
            ModelPinned: without ``force``, if they do.
        """
        query = {"force": "true"} if force else {}
        await self._channel.send(Call("DELETE", build_path("models", model_id), query=query))

    async def restore_model(self, model_id: UUID) -> None:
        await self._channel.send(Call("POST", build_path("models", model_id, "restore")))

    async def list_model_files(
        self, model_id: UUID, paging: Paging = _START, version: int | None = None
    ) -> FolderFileList:
        """Return one page of the files of a version, by default the current one. Raises as ``_request_urls``."""
        query = paging.build_query() | ({} if version is None else {"version": str(version)})
        return await self._request_urls(
            FolderFileList, Call("GET", build_path("models", model_id, "files"), query=query)
        )

    async def download_ticket(self, model_id: UUID, version: int | None = None) -> models.DownloadTicket:
        """Return a presigned URL for the file of a version, by default the current one. Raises as ``_request_urls``."""
        query = {"redirect": "false"} | ({} if version is None else {"version": str(version)})
        return await self._request_urls(
            models.DownloadTicket, Call("GET", build_path("models", model_id, "download"), query=query)
        )
