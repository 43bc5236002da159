"""Compare a file with what the registry has at its model path, before anything is sent."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Literal

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.api.models import list_all_files
from modelyard.client.api.registry import RegistryApi
from modelyard.client.transfers.collect import PushRequest
from modelyard.client.transfers.own_places import OwnPlace
from modelyard.client.transfers.verification import generate_pauses
from modelyard.wire import problems
from modelyard.wire.models import IgnoredField, Model
from modelyard.wire.versions import ModelVersion

# What the registry has at the path of a file:
#   unused        no model
#   same          the model has the content, or will have it once the newest version is verified
#   doubtful      the model has the content, but the stored object was changed, and the registry reads it again
#   damaged       the model has the content, but the registry's copy is damaged or missing
#   failed        the newest version has the content, and failed verification
#   not current   the newest version has the content, but the team went back to an earlier one
#   other         the newest version has other content
PathStatus = Literal["unused", "same", "doubtful", "damaged", "failed", "not current", "other"]

# Reads the file and returns ``sha256:`` and its hex digest.
ComputeHash = Callable[[], Awaitable[str]]


class VersionNotCurrent(ValueError):
    """The content is that of the model's newest version, but the team went back to an earlier one."""

    def __init__(self, model: Model, version: int) -> None:
        super().__init__(
            f"Version {version} of '{model.model_path}' has this content already, but version {model.version} is the"
            " current one."
        )
        self.model_id, self.model_path = model.id, model.model_path
        self.version = version


class OtherKindOfModel(ValueError):
    """A folder would become the version of a model of one file, or a file that of a folder."""


@dataclass(frozen=True)
class PathState:
    """What the registry has at the model path of a file.

    ``newest`` is the model's newest version; None without a model, or if the current version has the file's content.
    ``file_hash`` is None if no comparison needed it. ``same_version``: with other content in the newest version, the
    number of an earlier verified one, among the 100 newest, that has the file's content.
    """

    status: PathStatus
    model: Model | None = None
    newest: ModelVersion | None = None
    file_hash: str | None = None
    same_version: int | None = None

    def needs_upload(self, request: PushRequest) -> bool:
        """Return whether a push sends the content; else the team has it, or the path is taken or has other content."""
        return self.status in ("unused", "damaged", "failed") or (self.status == "other" and request.replace)

    @property
    def next_version(self) -> int:
        """The number that the file would get as the next version; a deleted version may have used it already."""
        return 1 if self.newest is None else self.newest.version + 1


def list_kept_fields(request: PushRequest, model: Model, note: str | None) -> list[IgnoredField]:
    """Return what a request says otherwise than a model that has its content already and is not changed.

    ``note`` is that of the version with the content. The registry answers the same about the path to a registration.
    """
    fields: list[tuple[str, object, object]] = []
    asked, kept_path = request.model_path.removeprefix("models/"), model.model_path.removeprefix("models/")
    if request.replaces is None and asked != kept_path:
        fields.append(("model_path", request.model_path, model.model_path))
    sent = {"display_name": request.display_name, "note": request.note}
    sent |= request.notes.model_dump(exclude_unset=True)
    kept = model.model_dump(include=set(sent)) | {
        "note": note,
        "trigger_words": [word.text for word in model.trigger_words],
    }
    fields += [(name, value, kept.get(name)) for name, value in sent.items() if value is not None]
    texts = [(name, _join(value), _join(kept)) for name, value, kept in fields]
    return [IgnoredField(field=name, sent=value, kept=kept) for name, value, kept in texts if value != kept]


def _join(value: object) -> str:
    """Return a value as one text: words sorted, nothing for None."""
    if isinstance(value, list):
        return ", ".join(sorted(map(str, value)))
    return "" if value is None else str(value)


async def compare_with_registry(
    calls: BatchedCalls,
    request: PushRequest,
    size: int,
    file_hash: str | None,
    compute_hash: Callable[[], Awaitable[str]],
) -> PathState:
    """Compare a file of ``size`` bytes with the model that the request names, or else the one at its path.

    ``file_hash`` is None if it is not known; it is computed only if a version has the same size.

    Raises:
        ModelNotFound: the model that the request names was deleted meanwhile.
    """
    model = await _find_model(calls, request)
    if model is None:
        return PathState("unused", file_hash=file_hash)
    if file_hash is None and model.file_size == size:
        file_hash = await compute_hash()
    if model.file_hash == file_hash and not (request.replace and _is_overtaken(model)):
        return PathState(await _get_object_status(calls, model), model, file_hash=file_hash)

    newest, *earlier = await get_newest_versions(calls.registry, model)
    if file_hash is None and size in (each.file_size for each in (newest, *earlier)):
        file_hash = await compute_hash()
    if newest.file_hash == file_hash:
        return PathState(_get_status(newest), model, newest, file_hash)
    same = (each.version for each in earlier if each.file_hash == file_hash and each.verification == "verified")
    return PathState("other", model, newest, file_hash, next(same, None))


async def _find_model(calls: BatchedCalls, request: PushRequest) -> Model | None:
    """Return the model that the request names, or else the one at its path, or None."""
    if request.replaces is not None:
        return await calls.get_model(request.replaces)
    return await calls.find_model_at(request.model_type, request.model_path)


async def get_newest_versions(registry: RegistryApi, model: Model) -> list[ModelVersion]:
    """Return the 100 versions of a model with the highest numbers, newest first, without those in the trash.

    Raises:
        ModelNotFound: the model was deleted meanwhile.
    """
    versions = (await registry.list_versions(model.id)).version_list
    if not versions:
        raise problems.ModelNotFound(f"'{model.model_path}' was deleted meanwhile.")
    return versions


def build_path_taken(model: Model, found: PathState, own: OwnPlace | None) -> problems.ModelPathTaken:
    """Build the problem that the registry itself would raise, but only after the upload.

    With ``own``, the model at the path is probably another one: the fact ``own_path`` is a path of the file's own, or
    ``own_folder_path`` that of the folder ``own_folder``.
    """
    folder = None if own is None or own.folder is None else str(own.folder)
    own_path = None if own is None else own.path
    same = f" This file is the same as its version {found.same_version}." if found.same_version else ""
    return problems.ModelPathTaken(
        f"A model with other content is at '{model.model_path}'.{same}",
        model_id=str(model.id),
        model_path=model.model_path,
        held_hash=model.file_hash,
        version=found.next_version - 1,
        same_version=found.same_version,
        own_path=None if folder else own_path,
        own_folder=folder,
        own_folder_path=own_path if folder else None,
    )


def check_same_kind(request: PushRequest, model: Model | None, *, is_folder: bool) -> None:
    """Check that the versions of the model at the path, if there is one, are of the kind that is pushed.

    Raises:
        OtherKindOfModel: they are not; the registry would refuse it only after the upload.
    """
    if model is not None and model.is_folder != is_folder:
        kind = "a folder" if model.is_folder else "one file"
        raise OtherKindOfModel(
            f"'{model.model_path}' is {kind}, and so are its next versions. Push \"{request.file}\" to another path."
        )


def _is_overtaken(model: Model) -> bool:
    """Return whether another version becomes current once it is verified."""
    pending = model.pending_version
    return pending is not None and pending.verification == "pending" and pending.version != model.version


def _get_status(newest: ModelVersion) -> PathStatus:
    """Return the status of a path whose newest version has the file's content."""
    match newest.version_status:
        case "current" | "pending":
            return "same"
        case "failed":
            return "failed"
        case _:
            return "not current"


async def wait_until_read_again(calls: BatchedCalls, found: PathState, on_poll: Callable[[], None] | None) -> PathState:
    """Return the state of a path once the registry has read a doubtful object again; any other state as it is.

    Polls without a time limit, and rarely if answers take long, as for a folder of many files. ``on_poll`` is called
    before each poll; None waits for nothing, as if it were intact.
    """
    pauses, answer_seconds = generate_pauses(), 0.0
    while found.status == "doubtful" and found.model is not None:
        if on_poll is None:
            return replace(found, status="same")
        on_poll()
        await asyncio.sleep(max(next(pauses), 10 * answer_seconds))
        asked = time.monotonic()
        found = replace(found, status=await _get_object_status(calls, found.model))
        answer_seconds = time.monotonic() - asked
    return found


async def _get_object_status(calls: BatchedCalls, model: Model) -> PathStatus:
    """Return the status of a path whose model has the file's content: whether the registry serves it, or soon will.

    Asks for a download URL, because that makes the registry check the stored object. With a key that may not download,
    a verified model counts as served.
    """
    if model.verification != "verified":
        return "same" if model.verification == "pending" else "damaged"
    try:
        if model.is_folder:
            is_doubtful = any(
                file.is_doubtful for file in await list_all_files(calls.registry, model.id, model.version)
            )
        else:
            is_doubtful = (await calls.download_ticket(model.id, model.version)).is_doubtful
    except problems.ModelDamaged:
        return "damaged"
    except problems.KeyNotAllowed:
        return "same"  # a key that may only write gets no download URL
    return "doubtful" if is_doubtful else "same"
