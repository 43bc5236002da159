"""Lock the models of workflows at the content that the team has, and compare a lock with the registry."""

import asyncio
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple
from uuid import UUID

from modelyard.client.api.models import get_model_versions, list_all_versions
from modelyard.client.api.registry import RegistryApi
from modelyard.client.atomic_file import write_file
from modelyard.client.lookup import FoundMatches, look_up_questions
from modelyard.client.workflow_checks import check_workflows
from modelyard.comfyui.locks.locked_models import (
    MAX_LOCK_BYTES,
    LockedModel,
    LockInvalid,
    check_size,
    parse_locked_path,
    parse_sha256,
    sort_models,
)
from modelyard.comfyui.locks.reading import read_lock
from modelyard.comfyui.locks.writing import write_lock
from modelyard.comfyui.quoting import quoted
from modelyard.transfer.errors import build_disk_error
from modelyard.wire.formats import find_format
from modelyard.wire.hashes.lookups import LookupMatch
from modelyard.wire.hashes.texts import is_hash
from modelyard.wire.models import Model
from modelyard.wire.problems import ModelNotFound
from modelyard.wire.workflows import WorkflowReference

# ``current``: what machines get at this path. ``other_version``: another version of the model at this path.
# ``other_path``: the team has the content, but not at this path. ``no_hash``: the lock has no SHA-256 for it.
# ``unclear``: very many models have the content, and the newest of them are hidden from a machine's key.
LockState = Literal["current", "other_version", "other_path", "missing", "no_hash", "unclear"]
_Key = tuple[UUID, int]  # a model's id, and the number of a version
Matches = Mapping[str, Sequence[LookupMatch]]


@dataclass(frozen=True)
class BuiltLock:
    """The models of workflows that the team has, by path, and the required ones that it lacks, each name once."""

    models: tuple[LockedModel, ...]
    missing: tuple[WorkflowReference, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ComparedModel:
    """A locked model, and what the registry has: the version with its content, and the current one at its path."""

    model: LockedModel
    state: LockState
    match: LookupMatch | None = None
    at_path: LookupMatch | None = None

    @property
    def is_available(self) -> bool:
        """Whether the registry has the locked content."""
        return self.match is not None


class LockedModelsMissing(Exception):
    """The registry does not show the content of ``models`` of a lock; the text names the first ones."""

    def __init__(self, text: str, models: Sequence[LockedModel]) -> None:
        super().__init__(text)
        self.models = models


class _Choice(NamedTuple):
    """The version that is locked for a reference, and its path: a text, or that of the model which is loaded now."""

    content: _Key
    path: str | _Key


async def build_lock(registry: RegistryApi, workflows: Sequence[Path]) -> BuiltLock:
    """Check workflow files, and return a lock of their models at the content that the team has now.

    A hash that a workflow declares decides, also for an older version or a file that the team has under another name;
    without one it is the current version. Models of muted and bypassed nodes are locked if the team has them.

    Raises:
        WorkflowsUnchecked: see ``check_workflows``.
        LockInvalid: the workflows declare two contents for one path.
    """
    checked = await check_workflows(registry, workflows)
    references = [reference for each in checked for reference in each.check.reference_list]
    hashes = {each.hash for each in references if each.state == "other_content" and each.hash and is_hash(each.hash)}
    by_hash = (await look_up_questions(registry, sorted(hashes))).by_question
    choices = {number: choice for number, each in enumerate(references) if (choice := _choose(each, by_hash))}
    keys = {key for choice in choices.values() for key in choice if isinstance(key, tuple)}
    records = await get_model_versions(registry, keys)
    return _decide(references, choices, records)


def _choose(reference: WorkflowReference, by_hash: Matches) -> _Choice | None:
    """Choose the content for a reference, and its path; None if the team has none."""
    if reference.model_id is None or reference.version is None or reference.state in ("similar", "unknown"):
        return None
    key = reference.model_id, reference.version
    if reference.state == "other_name":
        return None if reference.folder is None else _Choice(key, _build_path(reference))
    if reference.state == "other_content" and (matches := by_hash.get(reference.hash or "")):
        match = next((each for each in matches if each.id == reference.model_id), matches[0])
        return _Choice((match.id, match.version), key)
    return _Choice(key, key)


def _build_path(reference: WorkflowReference) -> str:
    """Return the path at which the node would load the file; an embedding gets the extension of the team's file."""
    name = reference.name.replace("\\", "/")
    if find_format(name) is None and reference.suggestion:
        name += os.path.splitext(reference.suggestion)[1]  # noqa: PTH122 no path of this machine
    return f"{reference.folder}/{name}"


def _decide(
    references: Sequence[WorkflowReference], choices: Mapping[int, _Choice], records: Mapping[_Key, Model]
) -> BuiltLock:
    """Build the lock from what was chosen for each reference, by its position; raises as ``build_lock``."""
    locked: list[LockedModel] = []
    missing: dict[tuple[str | None, str], WorkflowReference] = {}
    notes: dict[str, None] = {}
    for number, reference in enumerate(references):
        choice = choices.get(number)
        model = _lock(choice, records) if choice else None
        if model is not None:
            locked.append(model)
        elif reference.is_required:
            missing.setdefault((reference.folder, reference.name), reference)
        if model is not None and choice and reference.state == "other_content" and choice.content == choice.path:
            text = (
                f"The workflow declares another hash for {quoted(model.path.relative)}, which the team does not have."
            )
            notes[f"{text} Locked is the team's file."] = None
    return BuiltLock(sort_models(locked), tuple(missing.values()), tuple(notes))


def _lock(choice: _Choice, records: Mapping[_Key, Model]) -> LockedModel | None:
    """Return the locked model of a choice; None if its content is not verified, or no machine can hold the path."""
    content = records.get(choice.content)
    named = None if isinstance(choice.path, str) else records.get(choice.path)
    text = choice.path if isinstance(choice.path, str) else named.model_path if named else None
    if content is None or content.verification != "verified" or text is None:
        return None
    try:
        path = parse_locked_path(text)
    except LockInvalid:
        return None
    return LockedModel(path, parse_sha256(content.file_hash, path), content.source_url)


async def read_lock_file(file: Path) -> tuple[LockedModel, ...]:
    """Return the models of a lock file, sorted by path.

    Raises:
        DiskFailed: it cannot be read.
        LockInvalid: see ``read_lock``; the text names the file.
    """
    document = await asyncio.to_thread(read_lock_bytes, file)
    try:
        return read_lock(document)
    except LockInvalid as invalid:
        raise LockInvalid(f"{quoted(file)}: {invalid}") from None


def read_lock_bytes(file: Path) -> bytes:
    """Return the bytes of a lock file. Blocking; raises as ``read_lock_file``."""
    try:
        with file.open("rb") as opened:
            document = opened.read(MAX_LOCK_BYTES + 1)
    except OSError as failure:
        raise build_disk_error(file, failure) from failure
    try:
        check_size(document)
    except LockInvalid as invalid:
        raise LockInvalid(f"{quoted(file)}: {invalid}") from None
    return document


def update_lock_file(file: Path, models: Sequence[LockedModel]) -> None:
    """Write a lock file, or replace the models in an existing one atomically; all else in it stays. Blocking.

    An existing file keeps its mode. No folder is created.

    Raises:
        DiskFailed, DiskFull: it cannot be read or written.
        LockInvalid: see ``write_lock``; the text names the file.
    """
    is_new = not file.exists()
    existing = b"" if is_new else read_lock_bytes(file)
    try:
        document = write_lock(models, existing)
    except LockInvalid as invalid:
        raise LockInvalid(f"{quoted(file)}: {invalid}") from None
    try:
        file.parent.stat()
        write_file(file, document.decode(), mode=0o666 if is_new else stat.S_IMODE(file.stat().st_mode))
    except OSError as failure:
        raise build_disk_error(file, failure) from failure


async def compare_lock(registry: RegistryApi, models: Sequence[LockedModel]) -> list[ComparedModel]:
    """Return what the registry has for each model of a lock."""
    questions = [question for model in models for question in _list_questions(model)]
    found = await look_up_questions(registry, list(dict.fromkeys(questions)))
    return [_compare(model, found, await _find_at_path(registry, model, found)) for model in models]


def _list_questions(model: LockedModel) -> list[str]:
    """Return what the registry is asked about a locked model: its path, and its hash if there is one."""
    return [model.path.relative, *([f"sha256:{model.sha256}"] if model.sha256 else [])]


async def _find_at_path(registry: RegistryApi, model: LockedModel, found: FoundMatches) -> list[LookupMatch]:
    """Return the versions with the content of the model at the path, if very many other models have the content.

    Then they are perhaps not among the matches of its hash.
    """
    file_hash, at_path = f"sha256:{model.sha256}", _get_match_at_path(model, found)
    if at_path is None or file_hash not in found.capped:
        return []
    if at_path.file_hash == file_hash:
        return [at_path]
    try:
        versions = await list_all_versions(registry, at_path.id)
    except ModelNotFound:  # deleted meanwhile
        return []
    # One that was verified once has a BLAKE3.
    return [
        at_path.model_copy(update={"version": each.version, "file_hash": file_hash})
        for each in versions
        if each.file_hash == file_hash and each.blake3_hash
    ]


def _get_match_at_path(model: LockedModel, found: FoundMatches) -> LookupMatch | None:
    """Return the current version at the path of a locked model, or None."""
    return next(iter(found.by_question.get(model.path.relative, ())), None)


def _compare(model: LockedModel, found: FoundMatches, there: Sequence[LookupMatch]) -> ComparedModel:
    """Decide the state of a locked model; ``there`` are further versions with its content."""
    at_path, file_hash = _get_match_at_path(model, found), f"sha256:{model.sha256}"
    match = _choose_match([*there, *found.by_question.get(file_hash, ())], at_path)
    if match is None and file_hash in found.capped:
        return ComparedModel(model, "unclear", None, at_path)
    if match is None:
        return ComparedModel(model, "missing" if model.sha256 else "no_hash", None, at_path)
    if at_path is None or at_path.id != match.id:
        return ComparedModel(model, "other_path", match, at_path)
    return ComparedModel(model, "current" if at_path.version == match.version else "other_version", match, at_path)


def _choose_match(matches: Iterable[LookupMatch], at_path: LookupMatch | None) -> LookupMatch | None:
    """Choose one of the versions with the same content: the current one at the path, or another one there, or any."""

    def rank(match: LookupMatch) -> tuple[bool, bool, str, int]:
        """Return the key by which matches are sorted, the best first."""
        is_there = at_path is not None and at_path.id == match.id
        is_current = is_there and at_path is not None and at_path.version == match.version
        return not is_current, not is_there, match.model_path, -match.version

    return min(matches, key=rank, default=None)
