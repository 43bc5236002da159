"""Finding a model by what people call it: an id, a path, or a name."""

from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from uuid import UUID

from modelyard.client.filters import ModelFilter
from modelyard.client.paging import every_page
from modelyard.client.registry import Registry
from modelyard.wire.models import Model
from modelyard.wire.paths import PathRefused, canonical_type, checked_path
from modelyard.wire.problems import ModelNotFound

_SHOWN = 5


class ModelAmbiguous(ValueError):
    """The name fits several models; ``candidates`` are they."""

    def __init__(self, name: str, candidates: list[Model]) -> None:
        super().__init__(f"'{name}' fits {len(candidates)} models. Say which by its path or id.")
        self.candidates = candidates


async def find_model(registry: Registry, name: str, *, deleted: bool = False) -> Model:
    """The one model that ``name`` means: its id, its path, its display name or its file's name.

    Raises:
        ModelNotFound: nothing fits; the fact ``similar`` lists paths that nearly do.
        ModelAmbiguous: several do.
    """
    model_id = _as_id(name)
    if model_id is not None and not deleted:
        return await registry.get_model(model_id)
    # In the trash, a model is found in the list only.
    words = None if model_id is not None else PurePosixPath(name).name
    found = [model async for model in _containing(registry, words, deleted=deleted)]
    for fits in (_has_id, _has_path, _has_name):
        fitting = [model for model in found if fits(model, name)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise ModelAmbiguous(name, fitting)
    raise ModelNotFound(f"There is no model '{name}'.", similar=[model.model_path for model in found[:_SHOWN]])


async def model_at(registry: Registry, model_type: str, model_path: str) -> Model | None:
    """The team's model at this path, if there is one; two spellings of one file are one path.

    Raises:
        PathRefused: the path breaks the rule.
    """
    place = checked_path(model_type, model_path)
    async for model in _containing(registry, PurePosixPath(place.relative).name):
        if _key(model) == place.key:
            return model
    return None


async def _containing(registry: Registry, words: str | None, *, deleted: bool = False) -> AsyncIterator[Model]:
    wanted = ModelFilter(q=words, deleted=deleted or None)
    async for page in every_page(lambda paging: registry.list_models(wanted, paging)):
        for model in page.model_list:
            yield model


def _as_id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


def _has_id(model: Model, name: str) -> bool:
    return model.id == _as_id(name)


def _has_path(model: Model, name: str) -> bool:
    path = name.removeprefix("models/")
    first, slash, _ = path.partition("/")
    if not slash:
        return False
    try:
        return _key(model) == checked_path(canonical_type(first), path).key
    except PathRefused:
        return False


def _has_name(model: Model, name: str) -> bool:
    file_name = PurePosixPath(model.model_path)
    return name.casefold() in {model.display_name.casefold(), file_name.name.casefold(), file_name.stem.casefold()}


def _key(model: Model) -> str | None:
    """None for a path that this client's rule would not let pass."""
    try:
        return checked_path(model.model_type, model.model_path).key
    except PathRefused:
        return None
