"""Removed files rest for a day, or until room is needed: a mistaken "disable" costs a rename, not terabytes.

<work folder>/trash/<sha256>.<unix time of the removal>
"""

import errno
import os
import re
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelyard.client.sync.acting.contents import unchanged_hash_of
from modelyard.client.sync.acting.folders import Folder
from modelyard.client.sync.acting.moving import move
from modelyard.client.sync.acting.troubles import NotPlaced
from modelyard.client.sync.holding.holdings import TRASH_FOLDER
from modelyard.client.sync.wording import quoted

REST_SECONDS = 24 * 60 * 60.0

_trashed = re.compile(r"[0-9a-f]{64}\.([0-9]{1,15})")


@dataclass(frozen=True)
class Away:
    """What is to be put away: the bytes that it must have, and a name beside it for where the trash is too far."""

    sha256: str
    aside: str
    stopped: threading.Event


@dataclass(frozen=True)
class Ours:
    """A file that this agent placed, open, and seen to have these bytes."""

    folder: Folder
    path: Path
    sha256: str
    descriptor: int

    def is_at(self, folder: Folder, name: str) -> bool:
        """Whether it is this file that has the name."""
        status = folder.status(name)
        return status is not None and os.path.samestat(status, os.fstat(self.descriptor))

    def lost(self) -> NotPlaced:
        """Another file got its name after the bytes had been looked at."""
        reason = f"{quoted(self.path)} was replaced by another file just now; that is left alone."
        return NotPlaced("conflict", reason)


@dataclass(frozen=True)
class Trashed:
    """A file in the trash."""

    name: str
    removed_at: int
    size: int


def put_away(folder: Folder, path: Path, work: Folder, away: Away) -> str | None:
    """Move a file of ours from ``folder`` to the trash; gives its name there.

    None: it has gone for good, since the trash is on another file system, or somebody else took it.

    Raises:
        NotPlaced, Stopped: see ``still_ours``.
    """
    try:
        with still_ours(folder, path, away) as ours:
            return set_aside(ours, work, away.aside)
    except FileNotFoundError:
        return None


@contextmanager
def still_ours(folder: Folder, path: Path, away: Away) -> Iterator[Ours]:
    """A file of ours, which has been read once more.

    Raises:
        NotPlaced: it has other bytes, so it is somebody else's now, and stays.
        Stopped: ``away.stopped`` was set.
        FileNotFoundError: nothing has the name.
    """
    try:
        with folder.reading(path.name) as descriptor:
            found = unchanged_hash_of(path, descriptor, away.stopped)
            if found != away.sha256:
                raise NotPlaced("conflict", _changed(path, away.sha256, found))
            yield Ours(folder, path, away.sha256, descriptor)
    except OSError as failure:
        if failure.errno not in {errno.ELOOP, errno.EINVAL}:
            raise
        raise NotPlaced("conflict", f"{quoted(path)} is no file any more; it is left alone.") from None


def put_back(work: Folder, name: str, folder: Folder, to: str) -> None:
    """Bring a file back out of the trash, unless its name has been taken."""
    try:
        with work.below(TRASH_FOLDER) as trash:
            move(trash, name, folder, to)
    except FileExistsError:
        pass  # by the file that should replace it


def trashed(work: Folder) -> list[Trashed]:
    """What is in the trash, the oldest first."""
    try:
        with work.below(TRASH_FOLDER) as trash:
            found = [_trashed_file(trash, name) for name in trash.names()]
    except FileNotFoundError:
        return []
    return sorted((file for file in found if file), key=lambda file: (file.removed_at, file.name))


def empty(
    work: Folder, *, lacking: int = 0, spare: Collection[str] = (), rest_seconds: float = REST_SECONDS
) -> list[str]:
    """Delete what has rested long enough, and then the oldest until ``lacking`` more bytes are free; gives the names.

    Files with a hash in ``spare`` are about to be wanted again and stay.
    """
    gone: list[str] = []
    goal = _free(work) + lacking
    for file in trashed(work):
        has_rested = time.time() - file.removed_at >= rest_seconds
        # Counted on the disk: a file with a second name or shared blocks frees nothing.
        if (has_rested or (lacking and _free(work) < goal)) and file.name.partition(".")[0] not in spare:
            with work.below(TRASH_FOLDER) as trash:
                trash.remove(file.name)
            gone.append(file.name)
    return gone


def set_aside(ours: Ours, work: Folder, aside: str) -> str | None:
    """Move a file that was just found to be ours; see ``put_away``."""
    with work.below(TRASH_FOLDER, make=True) as trash:
        name = free_name(trash, ours.sha256)
        into = trash
        try:
            move(ours.folder, ours.path.name, trash, name)
        except OSError as failure:
            if failure.errno != errno.EXDEV:
                raise
            name, into = aside, ours.folder
            move(ours.folder, ours.path.name, into, name)
        if not ours.is_at(into, name):
            move(into, name, ours.folder, ours.path.name)
            raise ours.lost()
        if into is trash:
            return name
        into.remove(name)
        return None


def free_name(trash: Folder, sha256: str) -> str:
    """A name in the trash for a file with these bytes that is removed now."""
    number = int(time.time())
    while trash.status(f"{sha256}.{number}") is not None:
        number += 1
    return f"{sha256}.{number}"


def _trashed_file(trash: Folder, name: str) -> Trashed | None:
    named, status = _trashed.fullmatch(name), trash.status(name)
    return Trashed(name, int(named[1]), status.st_size) if named and status else None


def _free(work: Folder) -> int:
    status = os.fstatvfs(work.descriptor)
    return status.f_bavail * status.f_frsize


def _changed(path: Path, expected: str, found: str) -> str:
    return (
        f"{quoted(path)} was changed after it was placed: it has sha256:{found}, not sha256:{expected}."
        " It is left alone. Move it away or rename it."
    )
