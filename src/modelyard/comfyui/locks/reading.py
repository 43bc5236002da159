"""Read the models of lock files: ``comfy-lock.yaml``, and the build format of comfy-cli.

``comfy-lock.yaml`` is the format that comfy-cli's README describes and other tools write: ``models`` with ``paths`` and
``hashes``. ``comfy-build/1`` is what `comfy build` of comfy-cli reads and writes: ``definition.models`` with ``type``,
``filename`` and ``sha256``.
"""

from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from modelyard.comfyui.locks.documents import Value, parse_document
from modelyard.comfyui.locks.locked_models import (
    LockedModel,
    LockInvalid,
    parse_locked_path,
    parse_sha256,
    sort_models,
)
from modelyard.comfyui.quoting import quoted

BUILD_SCHEMA = "comfy-build/1"
# One file at several paths.
_MAX_PATHS = 100


def read_lock(document: bytes) -> tuple[LockedModel, ...]:
    """Return the models of a lock file, sorted by path; sections about other things are not read.

    Raises:
        LockInvalid: it is in neither format, exceeds a limit, has an invalid path or hash, or has two contents for one
            path.
    """
    root = parse_document(document)
    if not isinstance(root, dict):
        raise LockInvalid("It is no lock file: it has no section models.")
    schema = root.get("schema")
    if schema == BUILD_SCHEMA:
        return sort_models(_read_build(root))
    if schema is not None:
        raise LockInvalid(f"Its schema is {quoted(str(schema)[:100])}. Known is {BUILD_SCHEMA}.")
    if "models" not in root:
        raise LockInvalid("It is no lock file: it has no section models.")
    return sort_models(read_models(root["models"]))


def read_models(models: Value) -> Iterator[LockedModel]:
    """Yield the models of the section ``models`` of a ``comfy-lock.yaml``, one for each path.

    Raises:
        LockInvalid: see ``read_lock``.
    """
    for number, entry in enumerate(_list_mappings(models, "models"), 1):
        paths = _list_mappings(entry.get("paths"), f"paths of model {number}")
        if not 0 < len(paths) <= _MAX_PATHS:
            raise LockInvalid(f"Model {number} needs 1 to {_MAX_PATHS} paths.")
        for each in paths:
            path = parse_locked_path(_get_text(each, "path", number))
            digests = {
                parse_sha256(_get_text(one, "hash", number), path)
                for one in _list_mappings(entry.get("hashes"), f"hashes of model {number}")
                if str(one.get("type")).upper() == "SHA256"
            }
            if len(digests) > 1:
                raise LockInvalid(f"{quoted(path.relative)} has two different SHA-256.")
            yield LockedModel(path, next(iter(digests), None), _find_text(entry, "url"))


def _read_build(root: dict[str, Value]) -> Iterator[LockedModel]:
    """Yield the models of a ``comfy-build/1``.

    Raises:
        LockInvalid: the section ``definition`` is missing, or a model is invalid.
    """
    definition = root.get("definition")
    if not isinstance(definition, dict):
        raise LockInvalid("Its section definition is missing.")
    for number, entry in enumerate(_list_mappings(definition.get("models"), "definition.models"), 1):
        url = _find_text(entry, "sourceUri")
        name = _find_text(entry, "filename") or _get_file_name(url)
        if name is None:
            raise LockInvalid(f"Model {number} has no filename.")
        path = parse_locked_path(f"{_get_text(entry, 'type', number)}/{name}")
        digest = _find_text(entry, "sha256")
        yield LockedModel(path, parse_sha256(digest, path) if digest else None, url)


def _get_file_name(url: str | None) -> str | None:
    """Return the file name at the end of an address; None without one."""
    try:
        return unquote(urlsplit(url or "").path.rpartition("/")[2]) or None
    except ValueError:
        return None


def _list_mappings(value: Value, name: str) -> list[dict[str, Value]]:
    """Return a list of mappings, empty for a missing one; raise LockInvalid if it is something else."""
    if value is None:
        return []
    if isinstance(value, list):
        mappings = [each for each in value if isinstance(each, dict)]
        if len(mappings) == len(value):
            return mappings
    raise LockInvalid(f"Its {name} must be a list of mappings.")


def _get_text(entry: dict[str, Value], key: str, number: int) -> str:
    """Return a text of a model's entry; raise LockInvalid if it is missing."""
    if (text := _find_text(entry, key)) is None:
        raise LockInvalid(f"Model {number} lacks {key}, or it is not a text.")
    return text


def _find_text(entry: dict[str, Value], key: str) -> str | None:
    """Return a text of an entry; None if there is none."""
    text = entry.get(key)
    return text if isinstance(text, str) and text else None
