"""Where a file belongs whose name files of many models have, if another model is at its path."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.transfers.collect import PushRequest
from modelyard.comfyui.model_files.several_files import get_variant, is_common_name, is_part
from modelyard.comfyui.model_locations import clean_path

_MAX_TRIES = 9


@dataclass(frozen=True)
class OwnPlace:
    """A path of the file's own, with the name of its folder; or, of a part of a model, the folder to push as one."""

    path: str | None = None
    folder: Path | None = None


async def find_own_place(calls: BatchedCalls, request: PushRequest, file_hash: str | None) -> OwnPlace | None:
    """Return where a file belongs if another model is at its path; None if its next version may be meant.

    That is if its name is not a common one, or the path has another name or the file's folder, which were chosen for
    this model then. The path is free, or its model has the file's content, as far as a few tries find one.
    """
    folder, name = request.file.absolute().parent, request.file.name
    above, _, chosen = request.model_path.rpartition("/")
    below_type = above.removeprefix("models/").partition("/")[2]
    if chosen != name or not is_common_name(name) or below_type.rpartition("/")[2] == clean_path(folder.name):
        return None
    if is_part(name):
        return OwnPlace(folder=folder)
    stem = f"{above}/{folder.name}"
    paths = list(_list_paths(stem, f"{get_variant(name)}{request.file.suffix}"))
    for path in paths:
        model = await calls.find_model_at(request.model_type, path)
        if model is None or model.file_hash == file_hash:
            return OwnPlace(path)
    return OwnPlace(paths[0])


def _list_paths(stem: str, ending: str) -> Iterator[str]:
    """Yield valid paths that begin with ``stem``: without a number, then with ``_2``, ``_3``, …."""
    yield clean_path(f"{stem}{ending}")
    for number in range(2, _MAX_TRIES + 1):
        yield clean_path(f"{stem}_{number}{ending}")
