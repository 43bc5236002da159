"""Find a model by its id, path, start of the id or name, and a version by its number."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from pydantic import ValidationError

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.models import list_all_models, replace_content
from modelyard.client.api.registry import RegistryApi
from modelyard.client.references.matching import Kind, has_short_id, is_short_id, match_readings, parse_id
from modelyard.transfer.thread_pool import run_all
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.models import Model
from modelyard.wire.paths import ModelPathInvalid, get_canonical_type, parse_model_path
from modelyard.wire.problems import ModelNotFound, RouteNotFound
from modelyard.wire.search.grammar import quote_word
from modelyard.wire.search.values import MAX_SEARCH_VALUES

_MAX_SIMILAR = 5
# An id begins with the milliseconds of its creation, which the registry records a moment later.
_CLOCK_TOLERANCE_MILLISECONDS = 60_000
# Of the names that are no paths, so many are searched for at once.
_SEARCHES_AT_ONCE = 4
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class ModelAmbiguous(ValueError):
    """A name matches several models or versions, ``candidates``; ``references`` has what means each of them only."""

    def __init__(self, name: str, matches: Mapping[str, Model]) -> None:
        super().__init__(f"'{name}' matches {len(matches)} models. Use the path or the id of one of them.")
        self.candidates = list(matches.values())
        self.references = list(matches)


class _Reading(NamedTuple):
    """One of the meanings of a name, ``MODEL`` or ``MODEL@N``: the model's name, the version, and models to look at."""

    text: str
    version: int | None
    models: list[Model]


async def find_model(registry: RegistryApi, name: str, *, deleted: bool = False) -> Model:
    """Return the model with this id, path, start of the id, display name or file name, with or without its extension.

    See ``references.matching`` for the order, and ``_has_path`` and ``_has_name`` for spellings. With ``deleted``, only
    the trash is searched.

    Raises:
        ModelNotFound: none matches; unless the name is an id, the fact ``similar`` lists up to five paths of models
            that contain the words of the name. Also if the name means a version, as ``MODEL@N`` does.
        ModelAmbiguous: several models match, one of which may be that of ``MODEL@N``.
    """
    readings = await _load_readings(registry, name, deleted=deleted)
    model, version = _choose(name, readings, takes_version=False)
    if version is None:
        return model
    reason = f"'{name}' is a version of a model. Here, name the model, without '@{version}'."
    raise ModelNotFound(reason, similar=[model.model_path])


async def find_model_version(registry: RegistryApi, name: str) -> Model:
    """Return the model with this name, or with ``MODEL@N`` the record of that model with the content of version N.

    Raises:
        ModelNotFound, ModelAmbiguous: see ``find_model``.
        VersionNotFound: the model has no such version.
    """
    model, version = _choose(name, await _load_readings(registry, name), takes_version=True)
    return model if version is None else replace_content(model, await registry.get_version(model.id, version))


def _choose(name: str, readings: Sequence[_Reading], *, takes_version: bool) -> tuple[Model, int | None]:
    """Return the model that a name means, and the version if it names one. Pure.

    Raises:
        ModelNotFound, ModelAmbiguous: see ``find_model``. Without ``takes_version``, the candidates are the models.
    """
    found = match_readings(_MODEL, [(reading.text, reading.models) for reading in readings])
    matches = [(model, reading.version) for reading, models in zip(readings, found, strict=True) for model in models]
    chosen = {_refer(model, version if takes_version else None): (model, version) for model, version in matches}
    if not chosen:
        raise ModelNotFound(f"There is no model '{name}'.", similar=_list_similar(readings[0]))
    if len(chosen) > 1:
        raise ModelAmbiguous(name, {reference: model for reference, (model, _) in chosen.items()})
    return next((match for match in matches if match[1] is None), matches[0])


def _refer(model: Model, version: int | None) -> str:
    """Return what means this model or version only: its path, or its id in the trash, where several have a path."""
    has_own_path = model.deleted_at is None and _compute_path_key(model) is not None
    reference = model.model_path if has_own_path else str(model.id)
    return reference if version is None else f"{reference}@{version}"


def _list_similar(reading: _Reading) -> list[str]:
    """Return the paths of the first models that have the words of a name; none for an id."""
    return [] if parse_id(reading.text) else [model.model_path for model in reading.models[:_MAX_SIMILAR]]


async def _load_readings(registry: RegistryApi, name: str, *, deleted: bool = False) -> list[_Reading]:
    """Return the meanings of a name, each with the models that may match it."""
    base, _, number = name.rpartition("@")
    texts = [(name, None), (base, int(number))] if base and _NUMBER.fullmatch(number) else [(name, None)]
    return [_Reading(text, version, await _load_models(registry, text, deleted=deleted)) for text, version in texts]


async def _load_models(registry: RegistryApi, text: str, *, deleted: bool) -> list[Model]:
    """Return the models that may match an id, a path, the start of an id or a name.

    Raises:
        ModelNotFound: the text is an id, and no model has it.
    """
    model_id = parse_id(text)
    if model_id is not None and not deleted:
        return [await registry.get_model(model_id)]
    # A deleted model is in the list of the trash only, not at its id.
    words = None if model_id is not None else PurePosixPath(text).name
    models = [model async for model in _search_models(registry, words, deleted=deleted)]
    if is_short_id(text) and model_id is None:
        models += await _list_with_short_id(registry, text, deleted=deleted)
    return models


async def find_model_versions(registry: RegistryApi, names: Sequence[str]) -> list[Model]:
    """Return what ``find_model_version`` returns for each name, in their order; paths share requests.

    Raises:
        ModelNotFound, ModelAmbiguous, VersionNotFound: see ``find_model_version``, for the first name that fails.
    """
    calls, searches = BatchedCalls(registry), asyncio.Semaphore(_SEARCHES_AT_ONCE)

    async def find(name: str) -> Model:
        """Return the model at the path ``name``, or search for the name."""
        if (model := await _find_at_path(calls, name)) is not None:
            return model
        async with searches:
            return await find_model_version(registry, name)

    return await run_all([find(name) for name in names])


async def _find_at_path(calls: BatchedCalls, name: str) -> Model | None:
    """Return the model whose path ``name`` is a spelling of, see ``_has_path``.

    None if there is none, or the registry looks up no paths.
    """
    first, slash, _ = name.removeprefix("models/").partition("/")
    if not slash:
        return None
    try:
        return await calls.find_model_at(get_canonical_type(first), name)
    except (ModelPathInvalid, RouteNotFound):
        return None


async def _list_with_short_id(registry: RegistryApi, short_id: str, *, deleted: bool) -> list[Model]:
    """Return the models whose ids begin with this text.

    Reads the team's models from the newest one to the time that the text begins with.
    """
    earliest = int(short_id.replace("-", "")[:12].ljust(12, "0"), 16) - _CLOCK_TOLERANCE_MILLISECONDS
    found = []
    async for model in _search_models(registry, None, deleted=deleted):
        if model.created_at.timestamp() * 1000 < earliest:
            break
        if has_short_id(model.id, short_id):
            found.append(model)
    return found


async def _search_models(registry: RegistryApi, words: str | None, *, deleted: bool = False) -> AsyncIterator[Model]:
    """Yield the models whose name, path or tags contain the first ``MAX_SEARCH_VALUES`` of these words.

    If ``words`` is None, all models are yielded. ``deleted``: those in the trash instead. Pages are loaded when needed.
    Words that no name can have, such as control characters, match nothing.
    """
    q = None if words is None else " ".join(quote_word(word) for word in words.split()[:MAX_SEARCH_VALUES])
    try:
        model_filter = ModelFilter(q=q, deleted=deleted)
    except ValidationError:
        return
    async for model in list_all_models(registry, model_filter):
        yield model


def _has_path(model: Model, name: str) -> bool:
    """Return whether ``name`` is a spelling of the model's path; False for an invalid path or a name without a slash.

    Case (except that of ``models/`` and of an alias of the type folder), such an alias and a leading ``models/`` do
    not matter.
    """
    path = name.removeprefix("models/")
    first, slash, _ = path.partition("/")
    if not slash:
        return False
    try:
        return _compute_path_key(model) == parse_model_path(get_canonical_type(first), path).key
    except ModelPathInvalid:
        return False


def _has_name(model: Model, name: str) -> bool:
    """Return whether ``name`` is the display name, or the file name with or without its extension, ignoring case."""
    file_name = PurePosixPath(model.model_path)
    return name.casefold() in {model.display_name.casefold(), file_name.name.casefold(), file_name.stem.casefold()}


def _compute_path_key(model: Model) -> str | None:
    """Return the key that all spellings of the model's path share; None if the path is not valid for this client."""
    try:
        return parse_model_path(model.model_type, model.model_path).key
    except ModelPathInvalid:
        return None


_MODEL = Kind[Model](
    name="model",
    get_id=lambda model: model.id,
    is_unique_value=_has_path,
    has_name=_has_name,
    show=lambda model: model.display_name,
)
