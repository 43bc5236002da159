"""Calls for single models and files that share requests when many are made at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from modelyard.client.api.coalescing import Coalescer
from modelyard.client.api.registry import RegistryApi
from modelyard.wire.hashes.lookups import MAX_RECORDS, LookupResult, ModelLookup
from modelyard.wire.long_lists import MAX_BATCH_ITEMS
from modelyard.wire.paths import parse_model_path
from modelyard.wire.problems import ModelNotFound, RouteNotFound

if TYPE_CHECKING:
    from modelyard.wire.batches import DownloadRequest
    from modelyard.wire.imports.jobs import NewImport
    from modelyard.wire.models import DownloadTicket, Model, NewModel, RegisteredModel
    from modelyard.wire.schemas import Created
    from modelyard.wire.uploads import UploadRequest, UploadTicket

# Files are uploaded one after the other: so long, registrations wait for more of them.
_PAUSE_SECONDS = 0.2


class BatchedCalls:
    """The calls of one registry that may share requests. Each raises what its single request raises."""

    def __init__(self, registry: RegistryApi) -> None:
        self.registry = registry
        self._find = Coalescer(self._find_one, self._find_many, MAX_RECORDS)
        self._read = Coalescer(registry.get_model, self._read_many, MAX_RECORDS)

    # At their first use, since that of a method imports its group of calls.
    @cached_property
    def _download(self) -> Coalescer[DownloadRequest, DownloadTicket]:
        return Coalescer(self._request_download, self.registry.download_tickets, MAX_BATCH_ITEMS)

    @cached_property
    def _presign(self) -> Coalescer[UploadRequest, UploadTicket]:
        return Coalescer(self.registry.presign_upload, self.registry.presign_uploads, MAX_BATCH_ITEMS)

    @cached_property
    def _register(self) -> Coalescer[NewModel, RegisteredModel]:
        return Coalescer(self.registry.create_model, self.registry.create_models, MAX_BATCH_ITEMS, _PAUSE_SECONDS)

    @cached_property
    def _import(self) -> Coalescer[NewImport, Created]:
        return Coalescer(self.registry.start_import, self.registry.start_imports, MAX_BATCH_ITEMS)

    async def presign_upload(self, request: UploadRequest) -> UploadTicket:
        """Return a presigned URL to upload a file to."""
        return await self._presign.call(request)

    async def create_model(self, new: NewModel) -> RegisteredModel:
        """Register an uploaded file and return the model's id; a repeated request returns the same id."""
        return await self._register.call(new)

    async def start_import(self, new: NewImport) -> Created:
        """Start an import; a request that is repeated while it runs returns the same id."""
        return await self._import.call(new)

    async def download_ticket(self, model_id: UUID, version: int | None = None) -> DownloadTicket:
        """Return a presigned URL for the file of a version, by default the current one."""
        from modelyard.wire.batches import DownloadRequest

        return await self._download.call(DownloadRequest(model_id=model_id, version=version))

    async def get_model(self, model_id: UUID) -> Model:
        """Return the record of a model; without its training tags if it shares a request, as in lists."""
        return await self._read.call(model_id)

    async def find_model_at(self, model_type: str, model_path: str) -> Model | None:
        """Return the team's model at this path, or None.

        The case of the path does not matter, and the type folder may be an alias. Models in the trash are not found.

        Raises:
            ModelPathInvalid: the path is not a valid model path.
        """
        return await self._find.call(parse_model_path(model_type, model_path).relative)

    async def _request_download(self, download: DownloadRequest) -> DownloadTicket:
        return await self.registry.download_ticket(download.model_id, download.version)

    async def _find_one(self, path: str) -> Model | None:
        [found] = await self._find_many([path])
        return found

    async def _find_many(self, paths: Sequence[str]) -> list[Model | None]:
        """Return the model at each path, or None."""
        found = await self.registry.look_up_models(ModelLookup(paths=list(dict.fromkeys(paths)), records=True))
        records = await self._load_records(found)
        models = {match.asked: records[match.id] for match in found.match_list if match.id in records}
        return [models.get(path) for path in paths]

    async def _read_many(self, ids: Sequence[UUID]) -> list[Model | ModelNotFound]:
        """Return the record of each model, or the problem that the team has none with this id.

        Raises:
            RouteNotFound: the registry cannot look up ids yet.
        """
        found = await self.registry.look_up_models(ModelLookup(ids=list(dict.fromkeys(ids)), records=True))
        if found.model_list is None:
            raise RouteNotFound("This registry looks up no ids.")
        records = await self._load_records(found)
        missing = ModelNotFound("The team has no such model.")
        return [records.get(model_id, missing) for model_id in ids]

    async def _load_records(self, found: LookupResult) -> dict[UUID, Model]:
        """Return the record of each model that was found; asks again for those that the result leaves out."""
        records: dict[UUID, Model] = {}
        part = found
        while new := {model.id: model for model in part.model_list or () if model.id not in records}:
            records |= new
            missing = {match.id for match in found.match_list} - records.keys()
            if not missing or not part.has_more_records:
                break
            part = await self.registry.look_up_models(ModelLookup(ids=sorted(missing), records=True))
        return records
