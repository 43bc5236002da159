"""Replace a folder by a model: it is deleted only if it is a version of that model, and kept otherwise.

<folder>/<name>.<8 hex digits>.replaced/   a folder that was kept
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from modelyard.client.api.models import list_all_versions
from modelyard.client.api.registry import RegistryApi
from modelyard.client.transfers.collect import NothingToPush
from modelyard.client.transfers.folders.contents import FolderContents, list_folder
from modelyard.transfer.errors import DiskFailed, OtherFilesInFolder, TargetExists, build_disk_error
from modelyard.transfer.folder_placement import exchange_folder, place_folder
from modelyard.transfer.hashing import compute_sha256
from modelyard.transfer.progress import OnProgress
from modelyard.transfer.thread_pool import ThreadPool
from modelyard.wire.folders.manifest import FolderFile, build_manifest, get_file_hash
from modelyard.wire.folders.names import FolderInvalid, find_file_kind
from modelyard.wire.models import Model


def check_replaceable(folder: Path) -> None:
    """Check that what may be replaced is a folder with files that a folder model can have. Blocking.

    Raises:
        TargetExists: it is a link or not a folder.
        OtherFilesInFolder: it has a hidden file or folder, code or another file that no model has.
        DiskFailed: a folder in it cannot be read.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise TargetExists(folder)
    for parent, folders, files in os.walk(folder, onerror=_refuse_unreadable):
        for name in (*folders, *files):
            if name.startswith(".") or (name in files and find_file_kind(name) is None):
                raise OtherFilesInFolder(folder, (Path(parent) / name).relative_to(folder).as_posix())


async def find_known_contents(
    registry: RegistryApi, model: Model, folder: Path, report: OnProgress
) -> FolderContents | None:
    """Return the files of a folder if they are a verified version of the model, and it has nothing else; else None.

    They are hashed only if their number and size are those of such a version.

    Raises:
        Problem, Unreachable, BadResponse: as ``RegistryApi.list_versions``.
        DiskFailed: a file or folder cannot be read.
    """
    async with ThreadPool(1) as pool:
        contents = await pool.run(lambda: _list_plain_folder(folder))
    if contents is None:
        return None
    versions = [each for each in await list_all_versions(registry, model.id) if each.verification == "verified"]
    if (contents.total_size, len(contents.files)) not in {(each.content_size, each.file_count) for each in versions}:
        return None
    files = [
        FolderFile(each.path, await compute_sha256(each.file, report), each.identity.size) for each in contents.files
    ]
    return contents if get_file_hash(build_manifest(files)) in {each.file_hash for each in versions} else None


def replace_folder(new: Path, target: Path, known: FolderContents | None) -> Path | None:
    """Place the folder ``new`` at ``target``, where another folder is; return where that is kept, None if deleted.

    Blocking. ``known``: the files of the folder at ``target`` if it is a version of the model. It is then exchanged,
    and deleted unless something in it changed. Any other folder is renamed first, so ``target`` is missing for a
    moment.

    Raises:
        TargetExists, OtherFilesInFolder, DiskFailed: see ``check_replaceable``.
        OSError: the folders cannot be renamed; ``target`` is as before.
    """
    check_replaceable(target)
    if known is None:
        return _keep_and_place(new, target)
    earlier = exchange_folder(new, target)
    return None if delete_known(earlier, known) else _keep(earlier, target)


def delete_known(folder: Path, known: FolderContents) -> bool:
    """Delete a folder whose files are a version of the model, wherever it is now; return False if it changed. Blocking.

    Of a folder to which something is added meanwhile, that is kept.
    """
    try:
        if not _has_identities(folder, known):
            return False
        _delete_files(folder, known)
    except (OSError, DiskFailed):
        return False
    return True


def _keep_and_place(new: Path, target: Path) -> Path:
    """Rename the folder at ``target``, place ``new`` there, and return the new name of the other.

    If ``new`` cannot be placed, the other is renamed back, and the failure raised.
    """
    kept = _keep(target, target)
    try:
        place_folder(new, target)
    except BaseException:
        # Another process may have placed a folder at the name meanwhile.
        with suppress(OSError):
            kept.rename(target)
        raise
    return kept


def _keep(folder: Path, target: Path) -> Path:
    """Rename a folder to a free name beside ``target`` that says that it was replaced; return it."""
    kept = target.with_name(f"{target.name}.{uuid4().hex[:8]}.replaced")
    return folder.rename(kept)


def _delete_files(folder: Path, contents: FolderContents) -> None:
    """Delete these files and their folders, and nothing that was added to them.

    Raises:
        OSError: something was added, or a file cannot be deleted.
    """
    for file in contents.files:
        (folder / file.path).unlink()
    for parent, _, _ in os.walk(folder, topdown=False):
        Path(parent).rmdir()


def _has_identities(folder: Path, contents: FolderContents) -> bool:
    """Return whether a folder that was renamed has the same files as before, by name, size, time and inode."""
    found = _list_plain_folder(folder)
    return found is not None and _list_identities(found) == _list_identities(contents)


def _list_identities(contents: FolderContents) -> Sequence[object]:
    """Return the files without the folder that they are in."""
    return [(file.path, file.identity) for file in contents.files]


def _list_plain_folder(folder: Path) -> FolderContents | None:
    """Return the files of a folder; None if it is a link, or has one, or anything that a push leaves out. Blocking.

    Raises:
        DiskFailed: a file or folder cannot be read.
    """
    if folder.is_symlink() or not folder.is_dir():
        return None
    for parent, folders, files in os.walk(folder, onerror=_refuse_unreadable):
        if not folders and not files:
            return None
        if any((Path(parent) / name).is_symlink() for name in (*folders, *files)):
            return None
    try:
        contents = list_folder(folder)
    except (NothingToPush, FolderInvalid):
        return None
    except OSError as failure:
        raise build_disk_error(folder, failure) from failure
    return None if contents.left_out else contents


def _refuse_unreadable(failure: OSError) -> None:
    """Raise the error for a folder that cannot be listed; ``os.walk`` would leave it out."""
    raise build_disk_error(Path(str(failure.filename)), failure) from failure
