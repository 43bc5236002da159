"""Parse a machine's manifest entry by entry, so that an invalid entry does not invalidate the others."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from modelyard.comfyui.quoting import printable
from modelyard.wire.agents.manifests import Manifest, ManifestEntry
from modelyard.wire.agents.values import Count
from modelyard.wire.versions import MAX_VERSION

# Further invalid entries get one common reason, so that a broken registry cannot fill a machine's memory.
MOST_REPORTED = 1000
_NOT_REPORTED = "The registry's entry for it is invalid, like many others."

# Registries of 0.3.0 send no version: each of their models has one.
_DEFAULTS: dict[str, Any] = {"version": 1}


@dataclass(frozen=True, slots=True)
class UnreadableEntry:
    """An invalid entry of a manifest, and why it is invalid; ``id`` and ``version`` are None if invalid too."""

    id: UUID | None
    version: int | None
    model_path: str
    reason: str


class ReceivedManifest(Manifest):
    """A manifest with its valid entries in ``model_list``, and the invalid ones apart."""

    unreadable: tuple[UnreadableEntry, ...] = ()


def read_manifest(text: bytes) -> ReceivedManifest:
    """Parse the JSON of a manifest; invalid entries go to ``unreadable``, with path and reason for the first 1,000.

    Raises:
        ValidationError: the document is not a manifest. Invalid entries alone do not raise it.
    """
    envelope = _Envelope.model_validate_json(text)
    readable: list[ManifestEntry] = []
    unreadable: list[UnreadableEntry] = []
    for entry in envelope.model_list:
        if isinstance(entry, ManifestEntry):
            readable.append(entry)
        else:
            is_reported = len(unreadable) < MOST_REPORTED
            unreadable.append(entry if is_reported else UnreadableEntry(entry.id, entry.version, "", _NOT_REPORTED))
    return ReceivedManifest.model_construct(
        revision=envelope.revision,
        model_list=readable,
        unreadable=tuple(unreadable),
        disk_budget_bytes=envelope.disk_budget_bytes,
        assigned_ids=envelope.assigned_ids,
    )


def _parse_entry(value: Any, validate: ValidatorFunctionWrapHandler) -> ManifestEntry | UnreadableEntry:
    """Validate one entry of a manifest, with ``_DEFAULTS``; an invalid one becomes an ``UnreadableEntry``."""
    try:
        entry: ManifestEntry = validate(_DEFAULTS | value if isinstance(value, dict) else value)
    except ValidationError as failure:
        return _build_unreadable(value, failure)
    return entry


def _build_unreadable(value: object, failure: ValidationError) -> UnreadableEntry:
    """Build the record of an invalid entry from its readable id and path, and from its first validation error."""
    entry = value if isinstance(value, dict) else {}
    first = failure.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(map(str, first["loc"])) or "the entry"
    path = entry.get("model_path")
    return UnreadableEntry(
        _parse_id(entry.get("id")),
        _parse_version(entry.get("version")),
        printable(path) if isinstance(path, str) else "",
        f"The registry's entry for it is invalid: {printable(field)}: {printable(first['msg'])}.",
    )


def _parse_id(value: object) -> UUID | None:
    """Parse a UUID; None for any value that is not one."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _parse_version(value: object) -> int | None:
    """Return a version number; None for any value that is not one."""
    return value if type(value) is int and 1 <= value <= MAX_VERSION else None


class _Envelope(BaseModel):
    """The JSON document of a manifest, whose entries are validated one by one."""

    revision: int
    disk_budget_bytes: Count | None = None
    assigned_ids: list[UUID] | None = None
    model_list: list[Annotated[ManifestEntry | UnreadableEntry, WrapValidator(_parse_entry)]]
