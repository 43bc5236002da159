"""List the team's models and their versions, over all pages of the registry's lists."""

from collections.abc import AsyncIterator
from uuid import UUID

from modelyard.client.api.paging import Paging, list_pages
from modelyard.client.api.registry import Registry
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.models import Model, ModelList
from modelyard.wire.versions import ModelVersion, VersionList

# The fields of a model's record that are those of the version that it shows.
_CONTENT_FIELDS = (
    *("version", "file_size", "file_hash", "blake3_hash", "verification", "verification_error", "metadata"),
)


async def list_all_models(registry: Registry, model_filter: ModelFilter | None = None) -> AsyncIterator[Model]:
    """Yield the models that match the filter, from all pages; a page is loaded when its first model is needed."""

    async def load_page(paging: Paging) -> ModelList:
        return await registry.list_models(model_filter, paging)

    async for page in list_pages(load_page):
        for model in page.model_list:
            yield model


async def list_all_versions(registry: Registry, model_id: UUID, *, deleted: bool = False) -> list[ModelVersion]:
    """Return the versions of a model, newest first; with ``deleted``, those in the trash instead."""

    async def load_page(paging: Paging) -> VersionList:
        return await registry.list_versions(model_id, paging, deleted=deleted)

    return [version async for page in list_pages(load_page) for version in page.version_list]


def replace_content(model: Model, version: ModelVersion) -> Model:
    """Return the record of a model with the content of another of its versions."""
    return model.model_copy(update={name: getattr(version, name) for name in _CONTENT_FIELDS})
