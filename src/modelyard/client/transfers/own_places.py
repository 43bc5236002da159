"""Where a file belongs whose name files of many models have, if another model is at its path."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelyard.client.api.batched_calls import BatchedCalls
from modelyard.client.transfers.collect import PushRequest
from modelyard.comfyui.model_files.several_files import get_variant, is_common_name, is_part
from modelyard.comfyui.model_locations import clean_path, has_many_models, is_one_model_folder

_MAX_TRIES = 9


@dataclass(frozen=True)
class OwnPlace:
    """A path of the file's own, with the name of its folder; with ``folder``, that of the folder to push as one."""

    path: str
    folder: Path | None = None


async def find_own_place(calls: BatchedCalls, request: PushRequest, file_hash: str | None) -> OwnPlace | None:
    """Return where a file belongs if another model is at its path; None if its next version may be meant.

    That is if its name is not a common one, if the path has another name or the file's folder, which were chosen for
    this model then, if the file is directly in a type folder, which names no model, if it is a part and its folder is
    not one model, and if a few tries find no path that is free or whose model has the file's content.
    """
    folder, name = request.file.absolute().parent, request.file.name
    above, _, chosen = request.model_path.rpartition("/")
    has_folder = above.rpartition("/")[2] == clean_path(folder.name) or has_many_models(folder)
    if chosen != name or not is_common_name(name) or has_folder:
        return None
    is_whole = is_part(name)
    if is_whole and not await asyncio.to_thread(is_one_model_folder, folder):
        return None
    for path in _list_paths(f"{above}/{folder.name}", "" if is_whole else f"{get_variant(name)}{request.file.suffix}"):
        model = await calls.find_model_at(request.model_type, path)
        if model is None or (model.is_folder if is_whole else model.file_hash == file_hash):
            return OwnPlace(path, folder if is_whole else None)
    return None


def _list_paths(stem: str, ending: str) -> Iterator[str]:
    """Yield valid paths that begin with ``stem``: without a number, then with ``_2``, ``_3``, …."""
    yield clean_path(f"{stem}{ending}")
    for number in range(2, _MAX_TRIES + 1):
        yield clean_path(f"{stem}_{number}{ending}")
