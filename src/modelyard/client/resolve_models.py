"""Find a model by its id, path, start of the id or name, and a version by its number."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar

from pydantic import ValidationError

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.models import list_all_models, replace_content
from modelyard.client.api.paging import Paging
from modelyard.client.api.registry import RegistryApi
from modelyard.client.references.matching import (
    MAX_LISTED,
    has_short_id,
    is_short_id,
    match_interpretations,
    match_reference,
    parse_id,
)
from modelyard.client.references.models import MODEL, build_reference, compute_creation_times, split_version
from modelyard.transfer.thread_pool import run_all
from modelyard.wire.formats import find_format
from modelyard.wire.model_filter import ModelFilter
from modelyard.wire.models import Model
from modelyard.wire.paths import ModelPathInvalid, get_canonical_type
from modelyard.wire.problems import ModelNotFound, RouteNotFound, VersionNotFound
from modelyard.wire.search.grammar import quote_word
from modelyard.wire.search.values import MAX_SEARCH_VALUES

_MAX_SIMILAR = 5
# Of the names that are no paths, so many are searched for at once.
_SEARCHES_AT_ONCE = 4

Found = TypeVar("Found")


class ModelAmbiguous(ValueError):
    """A name means several models or versions, ``candidates``; ``references`` has what means each of them only."""

    def __init__(self, name: str, matches: Mapping[str, Model]) -> None:
        self.candidates = list(matches.values())
        self.references = list(matches)
        self.reason = _explain_ambiguity(name, self.references, self.candidates)
        more = len(matches) - MAX_LISTED
        listed = ", ".join(f"'{reference}'" for reference in self.references[:MAX_LISTED])
        super().__init__(f"{self.reason} Use one of these: {listed}" + (f", and {more} more." if more > 0 else "."))


class ModelNotInTrash(ModelNotFound):
    """A name matches no model in the trash."""


class ModelInTrash(ModelNotFound):
    """A name matches no model but one in the trash, ``model_id`` at ``model_path``, or several, ``trash_count``."""


class SeveralNotFound(ValueError):
    """Several names of one call mean no model, or more than one; ``errors`` has the failure of each."""

    def __init__(self, errors: Sequence[Exception]) -> None:
        self.errors = errors
        super().__init__("\n".join(map(str, errors)))


class _Interpretation(NamedTuple):
    """One of the meanings of a name, ``MODEL`` or ``MODEL@N``: the model's name, the version, and models to look at."""

    text: str
    version: int | None
    models: list[Model]


async def find_model(registry: RegistryApi, name: str, *, deleted: bool = False) -> Model:
    """Return the model with this id, path, start of the id, display name or file name, with or without its extension.

    See ``references.matching`` for the order, and ``references.models`` for spellings. With ``deleted``, only the trash
    is searched.

    Raises:
        ModelNotFound: none matches, or the name means a version, as ``MODEL@N`` does. Unless the name is an id, the
            fact ``similar`` lists up to five paths of models that contain its words, or else similar ones.
        ModelInTrash: none matches, but one in the trash does.
        ModelNotInTrash: with ``deleted``, none matches.
        ModelAmbiguous: several models match, one of which may be that of ``MODEL@N``.
    """
    model, version = await _find(BatchedCalls(registry), name, takes_version=False, deleted=deleted)
    if version is None:
        return model
    reason = f"'{name}' names a version. This command takes the whole model: '{build_reference(model, None)}'."
    raise ModelNotFound(reason, similar=[model.model_path])


async def find_models(registry: RegistryApi, names: Sequence[str], *, deleted: bool = False) -> list[Model]:
    """Return what ``find_model`` returns for each name, in their order; a model that has several names only once.

    Raises:
        ModelNotFound, ModelAmbiguous, SeveralNotFound: see ``find_each``.
    """
    searches = asyncio.Semaphore(_SEARCHES_AT_ONCE)

    async def find(name: str) -> Model:
        """Return the model that a name means."""
        async with searches:
            return await find_model(registry, name, deleted=deleted)

    return list({model.id: model for model in await find_each(names, find)}.values())


async def find_each(names: Sequence[str], find: Callable[[str], Awaitable[Found]]) -> list[Found]:
    """Return what ``find`` returns for each name, in their order; all names are tried before it fails.

    Raises:
        ModelNotFound, VersionNotFound, ModelAmbiguous: ``find`` raised it for one of the names.
        SeveralNotFound: ``find`` raised these for several names.
    """

    async def attempt(name: str) -> Found | None:
        """Return what a name means; None if that failed."""
        try:
            return await find(name)
        except (ModelNotFound, VersionNotFound, ModelAmbiguous) as error:
            errors[name] = error
            return None

    errors: dict[str, Exception] = {}
    found = await run_all([attempt(name) for name in names])
    refused = [errors[name] for name in dict.fromkeys(names) if name in errors]
    if refused:
        raise refused[0] if len(refused) == 1 else SeveralNotFound(refused)
    return [each for each in found if each is not None]


async def find_model_version(registry: RegistryApi, name: str) -> Model:
    """Return the model with this name, or with ``MODEL@N`` the record of that model with the content of version N.

    Raises:
        ModelNotFound, ModelAmbiguous: see ``find_model``.
        VersionNotFound: the model has no such version.
    """
    return await _load_version(registry, *await _find(BatchedCalls(registry), name, takes_version=True))


async def find_model_versions(registry: RegistryApi, names: Sequence[str]) -> list[Model]:
    """Return what ``find_model_version`` returns for each name, in their order; paths share requests.

    Raises:
        ModelNotFound, ModelAmbiguous, VersionNotFound, SeveralNotFound: see ``find_each``.
    """
    calls, searches = BatchedCalls(registry), asyncio.Semaphore(_SEARCHES_AT_ONCE)

    async def find(name: str) -> Model:
        """Return the model or version at the path ``name``, or search for the name."""
        text, version = split_version(name)
        if (model := await _find_at_path(calls, text)) is not None:
            return await _load_version(registry, model, version)
        async with searches:
            return await find_model_version(registry, name)

    return await find_each(names, find)


async def _find(
    calls: BatchedCalls, name: str, *, takes_version: bool, deleted: bool = False
) -> tuple[Model, int | None]:
    """Load what a name may mean, and return what ``_get_only_interpretation`` returns.

    Raises:
        ModelNotFound, ModelAmbiguous: the same; if no model has the words of the name, with models of similar words.
        ModelInTrash, ModelNotInTrash: instead of ``ModelNotFound``, without and with ``deleted``.
    """
    try:
        interpretations = await _load_interpretations(calls, name, deleted=deleted)
        return _get_only_interpretation(name, interpretations, takes_version=takes_version)
    except ModelNotFound as error:
        text, similar = split_version(name)[0], error.facts.get("similar", [])
        if not deleted:
            await _check_not_in_trash(calls.registry, text, similar)
        if not similar and parse_id(text) is None and not is_short_id(text):
            similar = await _list_near(calls.registry, text, deleted=deleted)
        if deleted:
            raise ModelNotInTrash(f"There is no model '{text}' in the trash.", similar=similar) from None
        raise ModelNotFound(error.detail, similar=similar) from None


async def _check_not_in_trash(registry: RegistryApi, text: str, similar: Sequence[str]) -> None:
    """Check that an id, path or name without its version means no model in the trash.

    Raises:
        ModelInTrash: it means one or several; ``similar`` are the paths of other models that it may mean.
    """
    model_id = parse_id(text)
    if model_id is None:
        models = await _load_models(registry, text, deleted=True)
    else:
        models = await _list_with_short_id(registry, model_id.hex, deleted=True)
    match match_reference(MODEL, text, models):
        case []:
            return
        case [model]:
            facts = {"model_id": str(model.id), "model_path": model.model_path}
            raise ModelInTrash(f"'{text}' is in the trash.", **facts, similar=similar)
        case several:
            detail = f"{len(several)} models '{text}' are in the trash."
            raise ModelInTrash(detail, trash_count=len(several), similar=similar)


async def _list_near(registry: RegistryApi, text: str, *, deleted: bool) -> list[str]:
    """Return the paths of the first models of the search that the registry suggests for a name that finds none."""
    file_name = PurePosixPath(text)
    word = file_name.name if find_format(file_name.name) is None else file_name.stem
    paging = Paging(per_page=_MAX_SIMILAR)
    try:
        found = await registry.list_models(ModelFilter(q=_quote_words(word), deleted=deleted), paging)
    except ValidationError:
        return []
    if not found.model_list and found.did_you_mean is not None:
        found = await registry.list_models(ModelFilter(q=found.did_you_mean, deleted=deleted), paging)
    return [model.model_path for model in found.model_list]


def _get_only_interpretation(
    name: str, interpretations: Sequence[_Interpretation], *, takes_version: bool
) -> tuple[Model, int | None]:
    """Return the model that a name means, and the version if it names one. Pure.

    Raises:
        ModelNotFound: no model matches.
        ModelAmbiguous: several models match; with ``takes_version``, a model and its version are two, otherwise one.
    """
    found = match_interpretations(MODEL, [(each.text, each.models) for each in interpretations])
    chosen: dict[str, tuple[Model, int | None]] = {}
    for each, models in zip(interpretations, found, strict=True):
        for model in models:
            chosen.setdefault(build_reference(model, each.version if takes_version else None), (model, each.version))
    if not chosen:
        last = interpretations[-1]
        raise ModelNotFound(f"There is no model '{last.text}'.", similar=_list_similar(last))
    if len(chosen) > 1:
        raise ModelAmbiguous(name, {reference: model for reference, (model, _) in chosen.items()})
    return next(iter(chosen.values()))


def _explain_ambiguity(name: str, references: Sequence[str], models: Sequence[Model]) -> str:
    """Return a sentence that says what a name may mean."""
    if len({model.id for model in models}) == 1:
        return f"'{name}' is the name of '{references[0]}' and also its version {split_version(name)[1]}."
    has_version = any(split_version(reference)[1] is not None for reference in references)
    return f"'{name}' may mean {len(models)} {'models or versions' if has_version else 'models'}."


def _list_similar(interpretation: _Interpretation) -> list[str]:
    """Return the paths of the first models that have the words of a name; none for an id."""
    models = [] if parse_id(interpretation.text) else interpretation.models
    return [model.model_path for model in models[:_MAX_SIMILAR]]


async def _load_interpretations(calls: BatchedCalls, name: str, *, deleted: bool = False) -> list[_Interpretation]:
    """Return the meanings of a name, each with the models that may match it.

    An id or a path before ``@N`` leaves no other meaning, and is not searched for.

    Raises:
        ModelNotFound: the model's id is in the name, and no model has it.
    """
    registry = calls.registry
    text, version = split_version(name)
    if version is None:
        return [_Interpretation(name, None, await _load_models(registry, name, deleted=deleted))]
    if parse_id(text) is not None:
        return [_Interpretation(text, version, await _load_models(registry, text, deleted=deleted))]
    if not deleted and (model := await _find_at_path(calls, text)) is not None:
        return [_Interpretation(text, version, [model])]
    both = [_load_models(registry, each, deleted=deleted) for each in (name, text)]
    whole, of_version = await run_all(both)
    return [_Interpretation(name, None, whole), _Interpretation(text, version, of_version)]


async def _load_models(registry: RegistryApi, text: str, *, deleted: bool) -> list[Model]:
    """Return the models that may match an id, a path, the start of an id or a name.

    Raises:
        ModelNotFound: the text is an id, and no model has it.
    """
    model_id = parse_id(text)
    if model_id is not None and not deleted:
        return [await registry.get_model(model_id)]
    # A deleted model is in the list of the trash only, not at its id.
    q = None if model_id is not None else _quote_words(PurePosixPath(text).name)
    models = [model async for model in _search_models(registry, q, deleted=deleted)]
    if is_short_id(text) and model_id is None:
        models += await _list_with_short_id(registry, text, deleted=deleted)
    return models


async def _load_version(registry: RegistryApi, model: Model, version: int | None) -> Model:
    """Return a model's record, with the content of a version if one is given.

    Raises:
        VersionNotFound: the model has no such version; the detail names both.
    """
    if version is None:
        return model
    try:
        return replace_content(model, await registry.get_version(model.id, version))
    except VersionNotFound as error:
        raise VersionNotFound(f"'{model.model_path}' has no version {version}.", **error.facts) from error


async def _find_at_path(calls: BatchedCalls, name: str) -> Model | None:
    """Return the model whose path ``name`` is a spelling of, see ``references.models``.

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

    Reads only models that were added on the days in which such ids begin, and of these the newest ones: names of eight
    hexadecimal digits, such as numbers of steps, must not cost a list of the whole team.
    """
    times = compute_creation_times(short_id)
    if times is None:
        return []
    first, last = times
    found = []
    async for model in _search_models(registry, f"added:{first.date()}..{last.date()}", deleted=deleted):
        if model.created_at < first:
            break
        if has_short_id(model.id, short_id):
            found.append(model)
    return found


def _quote_words(text: str) -> str:
    """Return a search for the first ``MAX_SEARCH_VALUES`` words of a text."""
    return " ".join(quote_word(word) for word in text.split()[:MAX_SEARCH_VALUES])


async def _search_models(registry: RegistryApi, q: str | None, *, deleted: bool = False) -> AsyncIterator[Model]:
    """Yield the models that a search finds, or all if it is None; ``deleted``: those in the trash instead.

    Pages are loaded when needed. What cannot be searched for, such as control characters, matches nothing.
    """
    try:
        model_filter = ModelFilter(q=q, deleted=deleted)
    except ValidationError:
        return
    async for model in list_all_models(registry, model_filter):
        yield model
