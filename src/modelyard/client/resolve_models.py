"""Find a model by its id, path or name, and a version by its number."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import PurePosixPath
from uuid import UUID

from pydantic import ValidationError

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.models import list_all_files, list_all_models, replace_content
from modelyard.client.api.registry import RegistryApi
from modelyard.client.short_ids import SHORT_ID_LENGTH, shorten_ids
from modelyard.transfer.thread_pool import run_all
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.models import Model
from modelyard.wire.paths import ModelPathInvalid, get_canonical_type, parse_model_path
from modelyard.wire.problems import KeyNotAllowed, ModelDamaged, ModelNotFound, RouteNotFound
from modelyard.wire.search.grammar import quote_word
from modelyard.wire.search.values import MAX_SEARCH_VALUES

_MAX_SIMILAR = 5
_SHORT_ID = re.compile(rf"[0-9a-f]{{{SHORT_ID_LENGTH}}}[0-9a-f-]{{0,28}}")
# An id begins with the milliseconds of its creation, which the registry records a moment later.
_CLOCK_TOLERANCE_MILLISECONDS = 60_000
# Of the names that are no paths, so many are searched for at once.
_SEARCHES_AT_ONCE = 4
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class ModelAmbiguous(ValueError):
    """A name matches several models, which are in ``candidates``; ``short_ids`` has a unique short id for each id."""

    def __init__(self, name: str, candidates: list[Model], short_ids: Mapping[UUID, str]) -> None:
        super().__init__(f"'{name}' matches {len(candidates)} models. Use the path or the short id of one of them.")
        self.candidates = candidates
        self.short_ids = short_ids


async def find_model(registry: RegistryApi, name: str, *, deleted: bool = False) -> Model:
    """Return the model with this id, path, display name or file name, the latter with or without its extension.

    An id takes precedence over a path, a path over a name, and a name over the start of an id (8 digits or more). Case
    does not matter, see ``_has_path`` and ``_has_name``. With ``deleted``, only the trash is searched.

    Raises:
        ModelNotFound: none matches; unless the name is an id, the fact ``similar`` lists up to five paths of models
            that contain the words of the name.
        ModelAmbiguous: several models have this name, or in the trash this path.
    """
    model_id = _parse_id(name)
    if model_id is not None and not deleted:
        return await registry.get_model(model_id)
    # A deleted model is in the list of the trash only, not at its id.
    words = None if model_id is not None else PurePosixPath(name).name
    candidates = [model async for model in _search_models(registry, words, deleted=deleted)]
    for is_match in (_has_id, _has_path, _has_name):
        matches = [model for model in candidates if is_match(model, name)]
        if (found := await _get_only_match(registry, name, matches, deleted=deleted)) is not None:
            return found
    if _SHORT_ID.fullmatch(name.casefold()):
        matches = await _list_with_short_id(registry, name, deleted=deleted)
        if (found := await _get_only_match(registry, name, matches, deleted=deleted)) is not None:
            return found
    similar = [] if model_id is not None else [model.model_path for model in candidates[:_MAX_SIMILAR]]
    raise ModelNotFound(f"There is no model '{name}'.", similar=similar)


async def _get_only_match(registry: RegistryApi, name: str, matches: list[Model], *, deleted: bool) -> Model | None:
    """Return the only match, or None if there is none; raise ``ModelAmbiguous`` if there are several."""
    if len(matches) > 1:
        raise await _build_ambiguous(registry, name, matches, deleted=deleted)
    return matches[0] if matches else None


async def find_model_version(registry: RegistryApi, name: str) -> Model:
    """Return the model with this name, or with ``MODEL@N`` the record of that model with the content of version N.

    A model whose name contains the ``@`` takes precedence.

    Raises:
        ModelNotFound, ModelAmbiguous: see ``find_model``.
        VersionNotFound: the model has no such version.
    """
    base, _, number = name.rpartition("@")
    try:
        return await find_model(registry, name)
    except ModelNotFound:
        if not base or not _NUMBER.fullmatch(number):
            raise
    model = await find_model(registry, base)
    return replace_content(model, await registry.get_version(model.id, int(number)))


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


async def is_served(calls: BatchedCalls, model: Model) -> bool:
    """Return whether the registry serves a model's content without a doubt, or will once it has verified it.

    Asks for a download URL, because that makes the registry check the stored object. With a key that may not download,
    a verified model counts as served. Of a doubtful object, which was changed, a new upload is preferred.
    """
    if model.verification != "verified":
        return model.verification == "pending"
    try:
        if model.is_folder:
            files = await list_all_files(calls.registry, model.id)
            return not any(file.is_doubtful for file in files)
        return not (await calls.download_ticket(model.id)).is_doubtful
    except ModelDamaged:
        return False
    except KeyNotAllowed:
        return True  # a key that may only write gets no download URL


async def _build_ambiguous(registry: RegistryApi, name: str, matches: list[Model], *, deleted: bool) -> ModelAmbiguous:
    """Build the error for several matches, with short ids that no other model of the team has."""
    ids = {model.id for model in matches}
    for start in {str(model.id)[:SHORT_ID_LENGTH] for model in matches}:
        ids |= {model.id for model in await _list_with_short_id(registry, start, deleted=deleted)}
    return ModelAmbiguous(name, matches, shorten_ids(ids))


async def _list_with_short_id(registry: RegistryApi, short_id: str, *, deleted: bool) -> list[Model]:
    """Return the models whose ids begin with this text.

    Reads the team's models from the newest one to the time that the text begins with.
    """
    earliest = int(short_id.replace("-", "")[:12].ljust(12, "0"), 16) - _CLOCK_TOLERANCE_MILLISECONDS
    found = []
    async for model in _search_models(registry, None, deleted=deleted):
        if model.created_at.timestamp() * 1000 < earliest:
            break
        if _has_short_id(model, short_id):
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


def _parse_id(name: str) -> UUID | None:
    """Parse a UUID; None for any other text."""
    try:
        return UUID(name)
    except ValueError:
        return None


def _has_id(model: Model, name: str) -> bool:
    """Return whether ``name`` is the model's id."""
    return model.id == _parse_id(name)


def _has_short_id(model: Model, name: str) -> bool:
    """Return whether the model's id starts with ``name``, with or without its dashes."""
    return model.id.hex.startswith(name.casefold().replace("-", ""))


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
