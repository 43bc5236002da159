"""List the team's models, over all pages of the registry's list."""

from collections.abc import AsyncIterator

from modelyard.client.api.paging import Paging, list_pages
from modelyard.client.api.registry import Registry
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.models import Model, ModelList


async def list_all_models(registry: Registry, model_filter: ModelFilter | None = None) -> AsyncIterator[Model]:
    """Yield the models that match the filter, from all pages; a page is loaded when its first model is needed."""

    async def load_page(paging: Paging) -> ModelList:
        return await registry.list_models(model_filter, paging)

    async for page in list_pages(load_page):
        for model in page.model_list:
            yield model
