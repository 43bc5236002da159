"""Find model types that are new to a team: probably a mistake, so people are asked first."""

from collections.abc import Iterable

from modelyard.client.api.paging import Paging
from modelyard.client.api.registry import RegistryApi
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.model_folders import is_known_folder, suggest_folder
from modelyard.wire.paths import get_canonical_type


def list_unknown_types(model_types: Iterable[str]) -> list[str]:
    """Return the types that neither ComfyUI nor a known node reads, sorted, once each.

    Near misses of known types are left out: the registry refuses them with a suggestion.
    """
    return sorted({each for each in model_types if not is_known_folder(each) and suggest_folder(each) is None})


async def list_new_types(registry: RegistryApi, unknown_types: Iterable[str]) -> list[str]:
    """Return those of the unknown types that no model of the team has."""
    new = []
    for model_type in unknown_types:
        model_filter = ModelFilter(model_type=get_canonical_type(model_type))
        page = await registry.list_models(model_filter, Paging(per_page=1))
        if not page.model_list:
            new.append(model_type)
    return new
