"""The files of a local folder that is pushed as one model, as they were when it was listed."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelyard.client.transfers.collect import NothingToPush, PushRequest
from modelyard.comfyui.folder_links import FolderLinks
from modelyard.transfer.errors import TransferFailed
from modelyard.transfer.source_file import FileIdentity
from modelyard.wire.folders.manifest import FolderFile, check_files
from modelyard.wire.folders.names import FolderInvalid
from modelyard.wire.paths import parse_model_path


class FolderChanged(TransferFailed):
    """A folder was changed while it was pushed; nothing was registered."""

    def __init__(self, folder: Path, what: str) -> None:
        super().__init__(
            f'"{folder}" changed while it was pushed: {what}. Nothing was registered. Push it again when nothing writes'
            " to it."
        )
        self.folder = folder


@dataclass(frozen=True)
class LocalFile:
    """A file of the folder: its path within it, with slashes; where it is; and its identity when it was listed."""

    path: str
    file: Path
    identity: FileIdentity


@dataclass(frozen=True)
class LeftOutFile:
    """A file or folder that is not pushed: its path within the folder, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class FolderContents:
    """The files of a folder that are pushed, sorted by path, and those that are left out."""

    folder: Path
    files: tuple[LocalFile, ...]
    left_out: tuple[LeftOutFile, ...]

    @property
    def total_size(self) -> int:
        """Bytes of all files that are pushed."""
        return sum(file.identity.size for file in self.files)


@dataclass(frozen=True)
class FolderRequest:
    """A folder to push as one model: ``push.file`` is the folder."""

    push: PushRequest
    contents: FolderContents


def list_folder(folder: Path) -> FolderContents:
    """List the files of a folder and of all folders in it. Blocking.

    Links are followed if they end inside the folder, see ``FolderLinks``. Hidden files and folders, whose names begin
    with a dot, and empty files are left out.

    Raises:
        NothingToPush: it is not a folder, or has no file that can be pushed.
        FolderInvalid: it contains something that is neither a file nor a folder, a link that leaves it or leads
            nowhere, or a link to a folder above.
        OSError: it cannot be read.
    """
    if not folder.is_dir():
        raise NothingToPush(f'"{folder}" is not a folder.')
    files: list[LocalFile] = []
    left_out: list[LeftOutFile] = []
    for each in _walk(folder, "", (), FolderLinks(folder)):
        if isinstance(each, LocalFile):
            files.append(each)
        else:
            left_out.append(each)
    if not files:
        raise NothingToPush(f'"{folder}" contains no file that can be pushed.')
    return FolderContents(folder, tuple(sorted(files, key=lambda file: os.fsencode(file.path))), tuple(left_out))


def build_folder_request(push: PushRequest) -> FolderRequest:
    """List the folder of a push request, and check the names in it. Blocking.

    Raises:
        NothingToPush, FolderInvalid, OSError: see ``list_folder``; or a name in it is not allowed.
        ModelPathInvalid: the model path is not valid.
    """
    contents = list_folder(push.file)
    path = parse_model_path(push.model_type, push.model_path)
    files = [FolderFile(file.path, "", file.identity.size) for file in contents.files]
    check_files(path.canonical_type, path.relative, files)
    return FolderRequest(push, contents)


def check_unchanged(contents: FolderContents) -> None:
    """Check that the folder has the same files as when it was listed, by name, size and time. Blocking.

    Raises:
        FolderChanged: it has not.
    """
    before = {file.path: file for file in contents.files}
    try:
        after = {file.path: file for file in list_folder(contents.folder).files}
    except (NothingToPush, FolderInvalid, OSError) as error:
        raise FolderChanged(contents.folder, str(error).removesuffix(".")) from None
    for path in sorted(before.keys() | after.keys()):
        if path not in after:
            raise FolderChanged(contents.folder, f"'{path}' is gone")
        if path not in before:
            raise FolderChanged(contents.folder, f"'{path}' is new")
        if before[path] != after[path]:
            raise FolderChanged(contents.folder, f"'{path}' has another size or time")


def _walk(
    folder: Path, prefix: str, above: tuple[tuple[int, int], ...], links: FolderLinks
) -> Iterator[LocalFile | LeftOutFile]:
    """Yield the files below a folder; ``above`` has device and inode number of the folders that contain it.

    Raises:
        FolderInvalid: a link leads to a folder that contains it, or something is not a regular file.
    """
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise FolderInvalid(f"'{prefix.rstrip('/')}' is a link to a folder that contains it. Remove it.")
    for entry in sorted(folder.iterdir()):
        path = f"{prefix}{entry.name}"
        if entry.name.startswith("."):
            yield LeftOutFile(path, "hidden")
        elif (problem := links.find_problem(entry)) is not None:
            advice = "Put what it leads to into the folder instead, or remove the link."
            raise FolderInvalid(f"'{path}' {problem}. {advice}", path)
        elif entry.is_dir():
            yield from _walk(entry, f"{path}/", (*above, here), links)
        elif (found := links.find_status(entry)) is None or not stat.S_ISREG(found.st_mode):
            raise FolderInvalid(f"'{path}' is not a regular file. Remove it.", path)
        else:
            identity = FileIdentity(found.st_size, found.st_mtime_ns, found.st_ino)
            yield LocalFile(path, entry, identity) if identity.size else LeftOutFile(path, "empty")
