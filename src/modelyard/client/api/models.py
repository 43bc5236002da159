"""List the team's models and their versions, over all pages of the registry's lists; get versions; change models."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from uuid import UUID

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.paging import Paging, list_pages
from modelyard.client.api.registry import RegistryApi
from modelyard.client.references.short_ids import shorten_ids
from modelyard.transfer.errors import FileListMismatch
from modelyard.transfer.thread_pool import run_all
from modelyard.wire.folders.names import MAX_FILES
from modelyard.wire.folders.schemas import FolderFileEntry, FolderFileList
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.models import Model, ModelList, ModelUpdate
from modelyard.wire.problems import ModelNotFound, RecordStale, VersionNotFound
from modelyard.wire.versions import ModelVersion, VersionList

_REQUESTS_AT_ONCE = 8
_MOST_ATTEMPTS = 20

# The fields of a model's record that are those of the version that it shows.
_CONTENT_FIELDS = (
    *("version", "file_size", "file_hash", "blake3_hash", "verification", "verification_error", "metadata"),
    *("total_size", "file_count"),
    *("preview_url", "preview_color"),
)


async def list_all_models(registry: RegistryApi, model_filter: ModelFilter | None = None) -> AsyncIterator[Model]:
    """Yield the models that match the filter, from all pages; a page is loaded when its first model is needed."""

    async def load_page(paging: Paging) -> ModelList:
        return await registry.list_models(model_filter, paging)

    async for page in list_pages(load_page):
        for model in page.model_list:
            yield model


async def list_all_versions(registry: RegistryApi, model_id: UUID, *, deleted: bool = False) -> list[ModelVersion]:
    """Return the versions of a model, newest first; with ``deleted``, those in the trash instead."""

    async def load_page(paging: Paging) -> VersionList:
        return await registry.list_versions(model_id, paging, deleted=deleted)

    return [version async for page in list_pages(load_page) for version in page.version_list]


async def find_previous_version(registry: RegistryApi, model_id: UUID) -> int | None:
    """Return the number of the version that was current before the current one; None if there is none.

    Pages of versions are loaded until it is found.

    Raises:
        ValueError: the registry does not say which one it is.
    """

    async def load_page(paging: Paging) -> VersionList:
        return await registry.list_versions(model_id, paging)

    async for page in list_pages(load_page):
        if any(each.is_previous is None for each in page.version_list):
            raise ValueError(
                "This registry does not say which version was current before: use --to N, with a number that"
                f" 'modelyard version ls {shorten_ids([model_id])[model_id]}' lists."
            )
        for each in page.version_list:
            if each.is_previous:
                return each.version
    return None


async def change_model(registry: RegistryApi, model_id: UUID, build_change: Callable[[Model], ModelUpdate]) -> Model:
    """Change a model by what ``build_change`` returns for its record, and return the record then.

    If another call changes the record meanwhile, it is read again and the change built anew, so that both stay.

    Raises:
        RecordStale: others changed it each time.
    """
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        model, etag = await registry.get_model_and_etag(model_id)
        try:
            await registry.update_model(model_id, build_change(model), if_match=etag)
            break
        except RecordStale:
            if attempt == _MOST_ATTEMPTS:
                raise
    return await registry.get_model(model_id)


async def list_all_files(registry: RegistryApi, model_id: UUID, version: int | None = None) -> list[FolderFileEntry]:
    """Return the files of a version of a model, by default the current one, in the order of the manifest.

    The registry checks each stored file before it lists it.
    """

    async def load_page(paging: Paging) -> FolderFileList:
        return await registry.list_model_files(model_id, paging, version)

    return [file async for page in list_file_pages(load_page) for file in page.file_list]


async def list_file_pages(
    load_page: Callable[[Paging], Awaitable[FolderFileList]], most_files: int | None = None
) -> AsyncIterator[FolderFileList]:
    """Yield the pages of the files of a version, of which no folder has more than ``MAX_FILES``.

    Raises:
        FileListMismatch: there are more files than ``most_files``, a page without files is not the last, or a page
            is of another version than the first. No registry is trusted to end its lists.
        And what ``load_page`` raises.
    """
    count, content = 0, None
    async for page in list_pages(load_page):
        count += len(page.file_list)
        content = content or (page.version, page.file_hash)
        if count > (MAX_FILES if most_files is None else min(most_files, MAX_FILES)):
            raise FileListMismatch("The registry lists more files than this model has.")
        if not page.file_list and page.page_meta.next_cursor is not None:
            raise FileListMismatch("The registry's list of the files of this model has an empty page.")
        if (page.version, page.file_hash) != content:
            raise FileListMismatch("The registry's list of the files of this model is of several versions.")
        yield page


async def get_model_versions(
    registry: RegistryApi, numbers: Iterable[tuple[UUID, int]]
) -> dict[tuple[UUID, int], Model]:
    """Request the records of models, and return each with the content of a version of it, by id and number.

    What the registry does not find, such as what is in the trash, is left out. The models' records share requests; a
    version that is not the current one needs one more.
    """
    calls, requests = BatchedCalls(registry), asyncio.Semaphore(_REQUESTS_AT_ONCE)

    async def get_version(model_id: UUID, number: int) -> Model | None:
        """Return the model's record with the content of a version; None if the registry does not find either."""
        try:
            model = await calls.get_model(model_id)
            if model.version == number:
                return model
            async with requests:
                return replace_content(model, await registry.get_version(model_id, number))
        except (ModelNotFound, VersionNotFound):
            return None

    asked = sorted(set(numbers))
    records = await run_all([get_version(*each) for each in asked])
    return {each: record for each, record in zip(asked, records, strict=True) if record is not None}


def replace_content(model: Model, version: ModelVersion) -> Model:
    """Return the record of a model with the content of another of its versions."""
    return model.model_copy(update={name: getattr(version, name) for name in _CONTENT_FIELDS})
