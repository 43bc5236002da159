"""The desired state of a machine according to a lock: its models at the content that they are pinned to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid5

from modelyard.client.api.download_urls import DownloadCalls
from modelyard.client.api.models import get_model_versions
from modelyard.client.api.registry import RegistryApi
from modelyard.client.locks import ComparedModel, LockedModelsMissing, compare_lock
from modelyard.comfyui.locks.locked_models import LockedModel, LockInvalid
from modelyard.comfyui.quoting import counted, quoted
from modelyard.sync.desired import DesiredState, build_desired_state
from modelyard.wire.agents.manifests import ManifestEntry
from modelyard.wire.batches import DownloadRequest
from modelyard.wire.models import DownloadTicket, Model
from modelyard.wire.problems import Problem

# A message names so many models.
_MOST_NAMED = 20


@dataclass(frozen=True)
class LockedState:
    """What a machine should hold according to a lock.

    A plan has one entry for each id, and a lock may have a model at several paths or versions: further ones have ids of
    their own. ``model_ids`` has the model in the registry for each of these.
    """

    desired: DesiredState
    model_ids: Mapping[UUID, UUID] = field(default_factory=dict)


class LockedDownloads:
    """The registry's calls for download URLs, for the ids of a ``LockedState``."""

    def __init__(self, calls: DownloadCalls, model_ids: Mapping[UUID, UUID]) -> None:
        self._calls, self._model_ids = calls, model_ids

    async def download_ticket(self, model_id: UUID, version: int | None = None) -> DownloadTicket:
        """Return a presigned download URL for a version of a model."""
        return await self._calls.download_ticket(self._model_ids.get(model_id, model_id), version)

    async def download_tickets(self, downloads: Sequence[DownloadRequest]) -> list[DownloadTicket | Problem]:
        """Return the presigned URL or the problem of each of up to 100 downloads."""
        return await self._calls.download_tickets(
            [
                DownloadRequest(model_id=self._model_ids.get(each.model_id, each.model_id), version=each.version)
                for each in downloads
            ]
        )


async def get_locked_state(registry: RegistryApi, models: Sequence[LockedModel]) -> LockedState:
    """Return what a machine should hold according to a lock: each model at its path, with the locked content.

    The content may be that of any version that the registry has, whatever labels the model requires.

    Raises:
        LockedModelsMissing: the registry does not show some of the contents, or the lock has no SHA-256 of them.
        LockInvalid: a machine cannot hold the models, for example below the file of another one.
    """
    compared = await compare_lock(registry, models)
    keys = {(each.match.id, each.match.version) for each in compared if each.match}
    records = await get_model_versions(registry, keys)
    found = [
        (each, record)
        for each in compared
        if each.match and (record := records.get((each.match.id, each.match.version))) is not None
    ]
    if len(found) < len(compared):
        there = {each.model.path.key for each, _ in found}
        raise _build_missing([each for each in compared if each.model.path.key not in there])
    return _build_state(found)


def _build_missing(compared: Sequence[ComparedModel]) -> LockedModelsMissing:
    """Return the error that names the models whose content the registry does not show."""
    names = [f"{quoted(each.model.path.relative)} ({_describe_content(each)})" for each in compared]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return LockedModelsMissing(
        f"The registry does not show the content of {counted(len(names), 'locked model')}: "
        f"{', '.join(names[:_MOST_NAMED])}{more}. Nothing was changed.",
        [each.model for each in compared],
    )


def _describe_content(compared: ComparedModel) -> str:
    """Return the hash of a locked model that was not found, or why it may have been overlooked."""
    sha256 = compared.model.sha256 or "the lock has no SHA-256 for it"
    return f"{sha256}: unclear, the newest models with it are hidden" if compared.state == "unclear" else sha256


def _build_state(found: Iterable[tuple[ComparedModel, Model]]) -> LockedState:
    """Build the state from the locked models and the records of the versions with their content.

    Raises:
        LockInvalid: a machine cannot hold the models; see ``get_locked_state``.
    """
    model_ids: dict[UUID, UUID] = {}
    entries: list[ManifestEntry] = []
    for compared, record in found:
        entry_id = record.id if record.id not in model_ids else uuid5(record.id, compared.model.path.key)
        model_ids[entry_id] = record.id
        entries.append(_build_entry(entry_id, compared.model, record))
    desired = build_desired_state(entries)
    if desired.kept_ids:
        reasons = "; ".join(f"{quoted(each.model_path)}: {each.reason}" for each in desired.rejected[:_MOST_NAMED])
        raise LockInvalid(f"The lock cannot be placed. {reasons}")
    return LockedState(desired, model_ids)


def _build_entry(entry_id: UUID, model: LockedModel, record: Model) -> ManifestEntry:
    """Return the manifest entry of a locked model; its hash is that of the lock, which downloads are checked against.

    A damaged content is not downloaded, and local files with it stay.
    """
    return ManifestEntry(
        id=entry_id,
        version=record.version,
        model_path=model.path.relative,
        model_type=model.path.canonical_type,
        file_size=record.file_size,
        file_hash=f"sha256:{model.sha256}",
        blake3_hash=record.blake3_hash,
        updated_at=record.updated_at,
        keep=record.verification == "failed",
    )
