"""Find a model by its id, path or name, and a version by its number."""

import re
from collections.abc import AsyncIterator, Mapping
from pathlib import PurePosixPath
from uuid import UUID

from pydantic import ValidationError

from modelyard.client.api.models import list_all_models, replace_content
from modelyard.client.api.registry import Registry
from modelyard.wire.model_filter import MAX_SEARCH_WORDS, ModelFilter
from modelyard.wire.models import Model
from modelyard.wire.paths import ModelPathInvalid, get_canonical_type, parse_model_path
from modelyard.wire.problems import KeyNotAllowed, ModelDamaged, ModelNotFound

_MAX_SIMILAR = 5
# The start of an id; a shorter one would match too many models, since ids begin with a time.
_SHORT_ID = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,28}")
_SHORT_ID_LENGTH = 8
# An id begins with the milliseconds of its creation, which the registry records a moment later.
_CLOCK_TOLERANCE_MILLISECONDS = 60_000
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class ModelAmbiguous(ValueError):
    """A name matches several models, which are in ``candidates``; ``short_ids`` has a unique short id for each id."""

    def __init__(self, name: str, candidates: list[Model], short_ids: Mapping[UUID, str]) -> None:
        super().__init__(f"'{name}' matches {len(candidates)} models. Use the path or the short id of one of them.")
        self.candidates = candidates
        self.short_ids = short_ids


async def find_model(registry: Registry, name: str, *, deleted: bool = False) -> Model:
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


async def _get_only_match(registry: Registry, name: str, matches: list[Model], *, deleted: bool) -> Model | None:
    """Return the only match, or None if there is none; raise ``ModelAmbiguous`` if there are several."""
    if len(matches) > 1:
        raise await _build_ambiguous(registry, name, matches, deleted=deleted)
    return matches[0] if matches else None


async def find_model_version(registry: Registry, name: str) -> Model:
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


async def find_model_at(registry: Registry, model_type: str, model_path: str) -> Model | None:
    """Return the team's model at this path, or None.

    The case of the path does not matter, and the type folder may be an alias. Models in the trash are not found.

    Raises:
        ModelPathInvalid: the path is not a valid model path.
    """
    location = parse_model_path(model_type, model_path)
    async for model in _search_models(registry, PurePosixPath(location.relative).name):
        if _compute_path_key(model) == location.key:
            return model
    return None


async def is_served(registry: Registry, model: Model) -> bool:
    """Return whether the registry serves a model's content, or will once it has verified it.

    Asks for a download URL, because that makes the registry check the stored object. With a key that may not download,
    a verified model counts as served.
    """
    if model.verification != "verified":
        return model.verification == "pending"
    try:
        await registry.download_ticket(model.id)
    except ModelDamaged:
        return False
    except KeyNotAllowed:
        return True  # a key that may only write gets no download URL
    return True


async def _build_ambiguous(registry: Registry, name: str, matches: list[Model], *, deleted: bool) -> ModelAmbiguous:
    """Build the error for several matches, with short ids that no other model of the team has."""
    ids: set[str] = set()
    for start in {str(model.id)[:_SHORT_ID_LENGTH] for model in matches}:
        ids |= {str(model.id) for model in await _list_with_short_id(registry, start, deleted=deleted)}
    return ModelAmbiguous(name, matches, {model.id: _shorten(str(model.id), ids) for model in matches})


def _shorten(model_id: str, ids: set[str]) -> str:
    """Return the shortest start of an id, of at least 8 characters, that no other of the ids has."""
    others = ids - {model_id}
    lengths = (n for n in range(_SHORT_ID_LENGTH, len(model_id)) if model_id[n - 1] != "-")
    return next(
        (model_id[:n] for n in lengths if not any(other.startswith(model_id[:n]) for other in others)), model_id
    )


async def _list_with_short_id(registry: Registry, short_id: str, *, deleted: bool) -> list[Model]:
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


async def _search_models(registry: Registry, words: str | None, *, deleted: bool = False) -> AsyncIterator[Model]:
    """Yield the models whose name, path or tags contain the first ``MAX_SEARCH_WORDS`` of these words.

    If ``words`` is None, all models are yielded. ``deleted``: those in the trash instead. Pages are loaded when needed.
    Words that no name can have, such as control characters, match nothing.
    """
    q = None if words is None else " ".join(words.split()[:MAX_SEARCH_WORDS])
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
