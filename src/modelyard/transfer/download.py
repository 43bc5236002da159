"""Getting a file from a URL: ranges in parallel into a partial file, hashed as they come, renamed when right.

<partial>           the bytes, in place
<partial>.journal   which of them are on disk
<target>            appears whole and right, or not at all
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial as call
from pathlib import Path

from modelyard.transfer import disk
from modelyard.transfer.crew import Crew
from modelyard.transfer.failures import DiskFull, TargetTaken, TransferFailed, WrongBytes
from modelyard.transfer.fetching import Fetching, FreshUrl
from modelyard.transfer.hashing import sha256_of
from modelyard.transfer.network import USUAL, Network
from modelyard.transfer.partial import Partial, claim
from modelyard.transfer.progress import Report, Resumed

Finish = Callable[[Partial], None]


@dataclass(frozen=True)
class Wanted:
    """The bytes that are wanted and where they go.

    ``partial`` ends in ``.part``, is best on the same file system as ``target`` and hidden beside it if not given. The
    folders of both exist. ``folder`` is that of ``partial``, held open, where nobody shall be able to lead its path
    elsewhere. ``keep_free``: bytes that the disk must have left afterwards.
    """

    size: int
    sha256: str  # lower-case hex
    target: Path
    partial: Path | None = None
    folder: int | None = None
    replace: bool = False
    keep_free: int = 0

    @property
    def partial_path(self) -> Path:
        return self.partial or self.target.with_name(f".{self.target.name}.{self.sha256[:12]}.part")


async def fetch(
    source: FreshUrl, wanted: Wanted, report: Report, *, connections: int = 4, network: Network = USUAL
) -> None:
    """Make ``wanted.target`` hold the wanted bytes; nothing is fetched if it does already.

    ``source`` is asked for a URL at the start and whenever one has expired. A run that failed, was cancelled or was
    killed leaves its partial file, and the next one goes on from there. Several connections pay on real networks; on
    loopback one is best.

    Raises:
        WrongBytes: the source serves other bytes; they are gone.
        TargetTaken: another file is there and ``wanted.replace`` is false.
        DiskFull: there is no room; if that was noticed only on the way, the partial file is gone too.
        Refused, Unreachable, BadAnswer: the source failed too often in a row without a byte of progress.
        DiskFailed: this machine could not write.
    """
    if not await _is_there(wanted, report):
        await fetch_into(source, wanted, call(_finish, wanted), report, connections=connections, network=network)


async def fetch_into(
    source: FreshUrl, wanted: Wanted, finish: Finish, report: Report, *, connections: int = 4, network: Network = USUAL
) -> None:
    """Bring the wanted bytes into the partial file, and let ``finish`` give that a name.

    ``finish`` gets a file with the right bytes, in a thread, and calls ``place`` or ``let_go`` on it, or removes it.
    What it leaves stays for the next run. It is waited for, also by who cancels. ``wanted.target`` is but a name here.

    Raises:
        As ``fetch`` does, but for ``TargetTaken``; and whatever ``finish`` raises.
    """
    claimed: list[Partial] = []

    def start() -> Partial:
        claimed.append(claim(wanted.partial_path, wanted.size, wanted.sha256, wanted.folder))
        _require_room(wanted, claimed[0])
        return claimed[0]

    async with Crew(connections + 2) as crew:
        try:
            partial = await crew.run(start, patience=None)
            if partial.held:
                report(Resumed(wanted.target, partial.held, wanted.size))
            fetching = Fetching(source, wanted.size, wanted.target, partial, crew, report, network)
            found = await fetching.digest_of_all(connections)
            if found != wanted.sha256:
                raise WrongBytes(wanted.sha256, found)
            await crew.run(call(finish, partial), patience=None)
        except BaseException as failure:
            # Short: at most what came since the last checkpoint has to reach the disk.
            for partial in claimed:
                await crew.run(call(_leave, partial, failure), patience=None)
            raise
        finally:
            for partial in claimed:
                partial.close()


async def _is_there(wanted: Wanted, report: Report) -> bool:
    """Whether the target holds the wanted bytes.

    Raises:
        TargetTaken: it holds others and may not be replaced.
    """
    size = await asyncio.to_thread(_size, wanted.target)
    if size is None:
        return False
    if size == wanted.size and await sha256_of(wanted.target, report) == wanted.sha256:
        return True
    if not wanted.replace:
        raise TargetTaken(wanted.target)
    return False


def _size(path: Path) -> int | None:
    """The size of what has this name, -1 if it is no file; None if nothing has."""
    if path.is_file():
        return path.stat().st_size
    return -1 if path.is_symlink() or path.exists() else None


def _require_room(wanted: Wanted, partial: Partial) -> None:
    needed = max(0, wanted.size - partial.allocated())
    try:
        disk.require_room(partial.path.parent, needed, wanted.keep_free, partial.descriptor)
    except DiskFull as failure:
        raise _NoRoomYet(str(failure)) from None


class _NoRoomYet(DiskFull):
    """Noticed before the first byte: what an earlier run left takes no more room than before, so it may stay."""


def _finish(wanted: Wanted, partial: Partial) -> None:
    try:
        partial.place(wanted.target, sha256=wanted.sha256, replace=wanted.replace)
    except TargetTaken:
        # Another process may have fetched the same bytes meanwhile.
        if _sha256(wanted.target) != wanted.sha256:
            raise
        partial.remove()


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _leave(partial: Partial, failure: BaseException) -> None:
    """Keep what a later run can use, remove the rest."""
    if partial.is_gone:
        return
    is_useless = isinstance(failure, WrongBytes | DiskFull) and not isinstance(failure, _NoRoomYet)
    if is_useless or not partial.held or not partial.lasts or not partial.is_sound:
        partial.remove()
        return
    with contextlib.suppress(TransferFailed):
        partial.checkpoint()
