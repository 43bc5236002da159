"""What refers to a model: ids, paths and names, ``MODEL@N``, and the days on which ids begin. Pure."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

from modelyard.client.references.matching import ReferenceKind
from modelyard.wire.models import Model
from modelyard.wire.paths import ModelPathInvalid, get_canonical_type, parse_model_path

# An id begins with the milliseconds of its creation, which the registry records a moment later.
_CLOCK_TOLERANCE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def split_version(name: str) -> tuple[str, int | None]:
    """Return the model and the version that ``MODEL@N`` names; any other text is returned with None."""
    base, _, number = name.rpartition("@")
    return (base, int(number)) if base and _NUMBER.fullmatch(number) else (name, None)


def build_reference(model: Model, version: int | None) -> str:
    """Return what means this model or version only: its path, or its id in the trash, where several have a path."""
    has_own_path = model.deleted_at is None and _compute_path_key(model) is not None
    reference = model.model_path if has_own_path else str(model.id)
    return reference if version is None else f"{reference}@{version}"


def compute_creation_times(short_id: str) -> tuple[datetime, datetime] | None:
    """Return the times between which a model was created if its id begins with this text; None after year 9999."""
    digits = short_id.replace("-", "")[:12]
    first, last = (timedelta(milliseconds=int(digits.ljust(12, end), 16)) for end in "0f")
    try:
        return _EPOCH + first - _CLOCK_TOLERANCE, _EPOCH + last + _CLOCK_TOLERANCE
    except OverflowError:
        return None


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


MODEL = ReferenceKind[Model](
    name="model",
    get_id=lambda model: model.id,
    is_unique_value=_has_path,
    has_name=_has_name,
    show=lambda model: model.display_name,
)
