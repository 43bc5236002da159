"""Build a machine's desired state from what a registry sends, which is validated as hostile input."""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from uuid import UUID

from modelyard.client.api.manifests import MOST_REPORTED, UnreadableEntry
from modelyard.comfyui.quoting import counted, printable, quoted
from modelyard.wire.agents.manifests import ManifestEntry
from modelyard.wire.agents.values import ModelState
from modelyard.wire.folders.manifest import FolderFile, check_files
from modelyard.wire.folders.names import FolderInvalid, check_folder_name
from modelyard.wire.formats import EXTENSIONS, FORMAT_BY_EXTENSION
from modelyard.wire.models import Model
from modelyard.wire.paths import ModelPathInvalid, parse_model_path
from modelyard.wire.versions import MAX_VERSION

# A large machine holds 10,000 models; more than this is a fault or an attack.
MAX_ENTRIES = 200_000
# The largest file that ext4 can hold; the largest models are a hundredth of it.
MAX_FILE_BYTES = 16 * 1024**4
# A note names so many models.
_MOST_NAMED = 3

_digest = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class DesiredModel:
    """A model that this machine should hold; its path has passed the checks of ``wire.paths``."""

    id: UUID
    version: int  # the number of the model's current version
    model_path: str  # below a models folder: "unet/flux/dev.safetensors"
    model_type: str  # ComfyUI's key: "diffusion_models"
    size: int
    sha256: str  # 64 hexadecimal digits
    is_damaged: bool  # the registry's copy is damaged: local files are kept, nothing is downloaded
    updated_at: datetime
    key: str  # equal for two paths that are the same file on some file systems
    is_folder: bool = False  # a model of many files; ``size`` is that of all, ``sha256`` that of the manifest
    files: tuple[FolderFile, ...] = field(default=(), compare=False, repr=False)  # of a folder
    file_path: str | None = None  # set for one file of a folder while that is downloaded

    @property
    def folder(self) -> str:
        """Return the first folder as the team chose it: "unet", though the key is "diffusion_models"."""
        return self.model_path.partition("/")[0]

    @property
    def name(self) -> str:
        """Return the name that ComfyUI uses: the path below the key's root."""
        return self.model_path.partition("/")[2]


@dataclass(frozen=True)
class RejectedEntry:
    """An entry of the registry that this machine does not apply, or not yet, with the reason; its local files stay."""

    id: UUID
    version: int | None  # None if that is invalid too
    model_path: str
    reason: str
    # Set if the entry is applied later: files at its path stay, even those of a model that it replaces.
    waiting_model: DesiredModel | None = None
    state: ModelState = "failed"  # what is reported of it


@dataclass(frozen=True)
class DesiredState:
    """Everything that a machine should hold, most desired first, and the rejected entries.

    ``kept_ids`` are the ids of all invalid entries, of which ``rejected`` holds the first ``MOST_REPORTED``; it also
    holds those that are applied later.
    ``unidentified_count`` entries have no readable id: each may be about any file, so nothing is removed while there
    are some. ``refused_paths`` are those of models that no machine holds, since their content was refused.
    """

    models: tuple[DesiredModel, ...] = ()
    rejected: tuple[RejectedEntry, ...] = ()
    kept_ids: frozenset[UUID] = frozenset()
    unidentified_count: int = 0
    refused_paths: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Return sentences about problems that concern many entries."""
        notes: list[str] = []
        if self.unidentified_count:
            notes.append(
                f"{counted(self.unidentified_count, 'entry', 'entries')} of the registry's list are invalid, and may"
                " concern any model here. Nothing is removed while there are some. If the registry is newer than this"
                " machine's modelyard, update modelyard here."
            )
        if (more := len(self.kept_ids) - len(self.rejected)) > 0:
            notes.append(f"{counted(more, 'more entry', 'more entries')} of the registry's list are rejected.")
        if self.refused_paths:
            count, first = counted(len(self.refused_paths), "model"), quoted(self.refused_paths[0])
            names = ", ".join(map(quoted, self.refused_paths[:_MOST_NAMED]))
            cut = " …" if len(self.refused_paths) > _MOST_NAMED else ""
            notes.append(
                f"Left out: {count} whose content the registry has refused: {names}{cut}. To see why: modelyard show"
                f" {first}"
            )
        return tuple(notes)


# The files of each folder model by the hash of its manifest, or the reason for which they are not known.
FolderFiles = Mapping[str, tuple[FolderFile, ...] | str]
_NO_LISTS: FolderFiles = MappingProxyType({})


def build_desired_state(
    models: Iterable[ManifestEntry | Model],
    unreadable: Iterable[UnreadableEntry] = (),
    folder_files: FolderFiles = _NO_LISTS,
) -> DesiredState:
    """Validate a registry's entries: accepted ones, newest first, and rejected ones with reasons. Never raises.

    Of models that cannot coexist, all are rejected; equal entries count once. The registry's order has no influence,
    except on which entries are beyond ``MAX_ENTRIES`` and reported. Folder models that ``folder_files`` lacks wait.
    """
    rejected = _RejectedEntries(unreadable)
    accepted: set[DesiredModel] = set()
    for position, model in enumerate(models):
        checked = _reject_excess_entry(model) if position >= MAX_ENTRIES else _check_entry_and_pins(model, folder_files)
        if isinstance(checked, RejectedEntry):
            rejected.add(checked)
        else:
            accepted.add(checked)
    reasons = dict(_find_clashes(accepted))
    for desired, reason in reasons.items():
        rejected.add(RejectedEntry(desired.id, desired.version, desired.model_path, reason))
    return DesiredState(
        tuple(sorted(accepted - reasons.keys(), key=get_sort_key)),
        tuple(sorted(rejected.reported, key=lambda entry: (entry.model_path, entry.id, entry.reason))),
        frozenset(rejected.ids),
        rejected.unidentified_count,
    )


class _RejectedEntries:
    """The rejected entries while a list is read: all ids, and the reasons of the first ``MOST_REPORTED``."""

    def __init__(self, unreadable: Iterable[UnreadableEntry]) -> None:
        self.reported: list[RejectedEntry] = []
        self.ids: set[UUID] = set()
        self.unidentified_count = 0
        for entry in unreadable:
            if entry.id is None:
                self.unidentified_count += 1
            else:
                self.add(RejectedEntry(entry.id, entry.version, entry.model_path, entry.reason))

    def add(self, entry: RejectedEntry) -> None:
        """Record a rejected entry; beyond the first ``MOST_REPORTED``, only its id."""
        self.ids.add(entry.id)
        if len(self.reported) < MOST_REPORTED:
            self.reported.append(entry)


def build_waiting_entry(model: ManifestEntry, reason: str) -> RejectedEntry:
    """Return an entry that is applied later: nothing is downloaded for it, and what is at its path stays.

    An invalid entry is returned with its own reason instead, and without ``waiting_model``.
    """
    checked = _check_entry(model)
    if isinstance(checked, RejectedEntry):
        return checked
    return RejectedEntry(checked.id, checked.version, checked.model_path, reason, checked)


def _check_entry_and_pins(model: ManifestEntry | Model, folder_files: FolderFiles) -> DesiredModel | RejectedEntry:
    """Check an entry as ``_check_entry``, and also its pins and the files of a folder; return the model or a rejection.

    If pins disagree on the version, or the files of a folder are not known, the entry is rejected for now, and what is
    placed stays as it is.
    """
    if isinstance(model, ManifestEntry) and model.pin_conflict is not None:
        named = printable(model.pin_conflict)
        reason = f"pin-conflict: {named}. The file stays as it is. Pin one version, or end a subscription."
        entry = build_waiting_entry(model, reason)
        return entry if entry.waiting_model is None else replace(entry, state="blocked")
    desired = _check_entry(model)
    if isinstance(desired, RejectedEntry) or not desired.is_folder:
        return desired
    files = folder_files.get(desired.sha256)
    if files is None:
        reason = "It is a folder, whose list of files has not been read. Only an agent that runs places folders."
        return RejectedEntry(desired.id, desired.version, desired.model_path, reason, desired, "queued")
    return _add_files(model, desired, files)


def _add_files(
    model: ManifestEntry | Model, desired: DesiredModel, files: tuple[FolderFile, ...] | str
) -> DesiredModel | RejectedEntry:
    """Return a folder with its files, which are checked; one without them waits for the reason in ``files``."""
    if isinstance(files, str):
        return RejectedEntry(desired.id, desired.version, desired.model_path, files, desired)
    try:
        check_files(model.model_type, desired.model_path, files)
    except FolderInvalid as invalid:
        return _reject(model, f"The folder is invalid: {invalid}")
    return replace(desired, files=files, size=sum(file.size for file in files))


def get_sort_key(desired: DesiredModel) -> tuple[float, int, str]:
    """Return the key by which models are sorted for placing: latest change first, then the smaller one."""
    return -desired.updated_at.timestamp(), desired.size, desired.key


def _check_entry(model: ManifestEntry | Model) -> DesiredModel | RejectedEntry:
    """Check version, hash, size, path and extension of an entry, and return it as a desired model or as rejected.

    A time without a time zone is taken as UTC.
    """
    if not 1 <= model.version <= MAX_VERSION:
        return _reject(model, f"The registry lists version {model.version}, which no model has. It is not downloaded.")
    digest = _digest.fullmatch(model.file_hash)
    if digest is None:
        return _reject(
            model,
            f"The registry lists {quoted(model.file_hash)}, which is not a SHA-256. The model is not downloaded.",
        )
    if not 0 < model.file_size <= MAX_FILE_BYTES:
        return _reject(
            model,
            f"The registry lists a size of {model.file_size} bytes, which no model file has. It is not downloaded.",
        )
    try:
        path = parse_model_path(model.model_type, model.model_path)
    except ModelPathInvalid as refused:
        return _reject(model, f"The path is invalid: {refused}")
    if model.is_folder:
        try:
            check_folder_name(path.relative)
        except FolderInvalid as invalid:
            return _reject(model, f"The path is invalid: {invalid}")
    elif os.path.splitext(path.relative)[1].lower() not in FORMAT_BY_EXTENSION:  # noqa: PTH122 no path, and asked very often
        known = " ".join(EXTENSIONS)
        return _reject(model, f"The path does not have the extension of a model file ({known}).")
    return DesiredModel(
        model.id,
        model.version,
        path.relative,
        path.canonical_type,
        model.file_size,
        digest.group(1),
        isinstance(model, ManifestEntry) and model.keep,
        model.updated_at if model.updated_at.tzinfo else model.updated_at.replace(tzinfo=UTC),
        path.key,
        model.is_folder,
    )


def _find_clashes(models: Collection[DesiredModel]) -> Iterator[tuple[DesiredModel, str]]:
    """Yield the models that cannot coexist on one disk, each with the reason; independent of their order."""
    by_key: dict[str, list[DesiredModel]] = defaultdict(list)
    by_id: dict[UUID, list[DesiredModel]] = defaultdict(list)
    for desired in models:
        by_key[desired.key].append(desired)
        by_id[desired.id].append(desired)
    for desired in models:
        same_path = by_key[desired.key]
        if len(by_id[desired.id]) > 1:
            yield (
                desired,
                "The registry lists this model more than once, with different contents. It is not downloaded.",
            )
        elif len(same_path) > 1:
            paths = ", ".join(sorted(f"'{other.model_path}'" for other in same_path)[:3])
            yield (
                desired,
                f"The registry lists one path for {len(same_path)} models: {paths}. None of them is downloaded.",
            )
        elif (parents := _find_parent_file(desired.key, by_key)) is not None:
            yield desired, f"'{parents[0].model_path}' is a file, so no file can be below it."


def _find_parent_file(key: str, by_key: dict[str, list[DesiredModel]]) -> list[DesiredModel] | None:
    """Return the models of the nearest path above this key that is a model's file; None if there is none."""
    end = key.rfind("/")
    while end > 0:
        if (parents := by_key.get(key[:end])) is not None:
            return parents
        end = key.rfind("/", 0, end)
    return None


def _reject_excess_entry(model: ManifestEntry | Model) -> RejectedEntry:
    """Reject an entry because it is beyond ``MAX_ENTRIES``."""
    return _reject(model, f"The registry lists more than {MAX_ENTRIES} models; this one is beyond the limit.")


def _reject(model: ManifestEntry | Model, reason: str) -> RejectedEntry:
    """Build a rejected entry; its path is made printable."""
    version = model.version if 1 <= model.version <= MAX_VERSION else None
    return RejectedEntry(model.id, version, printable(model.model_path), reason)
