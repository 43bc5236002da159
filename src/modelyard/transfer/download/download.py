"""Resumable downloads: parallel ranges into a partial file, hashed on arrival, renamed once verified.

<partial>           the received bytes at their final offsets
<partial>.journal   which of them are on disk
<target>            appears complete and verified, or not at all
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial as call
from pathlib import Path

from modelyard.transfer import filesystem
from modelyard.transfer.download.partial_file import PartialFile, open_partial_file
from modelyard.transfer.download.ranged_download import GetUrl, RangedDownload
from modelyard.transfer.errors import DigestMismatch, DiskFull, TargetExists, TransferFailed
from modelyard.transfer.hashing import compute_sha256
from modelyard.transfer.options import DEFAULT_OPTIONS, TransferOptions
from modelyard.transfer.progress import OnProgress, Resumed
from modelyard.transfer.thread_pool import ThreadPool

# Places or removes the verified partial file; called in a thread, see ``download_into_partial``.
FinishDownload = Callable[[PartialFile], None]


@dataclass(frozen=True)
class DownloadTarget:
    """The desired content of a download and its destination.

    ``partial`` ends in ``.part`` and should be on the file system of ``target``; the default is a hidden file beside
    it. The folders of both must exist. ``folder`` is an open descriptor of the folder of ``partial``; it prevents
    others from redirecting the path with links. ``keep_free``: bytes that must stay free on the disk afterwards.
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
        """Return ``partial``, or the default path if it is None."""
        return self.partial or self.target.with_name(f".{self.target.name}.{self.sha256[:12]}.part")


async def download_file(
    source: GetUrl,
    desired: DownloadTarget,
    on_progress: OnProgress,
    *,
    connections: int = 4,
    options: TransferOptions = DEFAULT_OPTIONS,
) -> None:
    """Download a file to ``desired.target``, unless hashing shows that it already has the desired content.

    ``source`` is called for a URL at the start and whenever one has expired; what it raises, other than temporary
    ``TransferFailed``, is re-raised. A run that fails, is cancelled or is killed leaves the bytes that it received,
    and the next run resumes them, except as said below and where files cannot be locked. Several connections are
    faster on real networks; on loopback one is fastest.

    Raises:
        DigestMismatch: the received content has another SHA-256; it has been removed.
        TargetExists: another file is there and ``desired.replace`` is false.
        DiskFull: there is not enough disk space; if the disk filled up during the download, the partial file is
            removed.
        Refused: the source refused with a status that retries cannot change.
        RetriesExhausted: no byte arrived for ``options.no_progress_timeout_seconds``.
        BadAddress: a URL is unusable.
        DiskFailed: the file cannot be written.
    """
    if not await _is_target_complete(desired, on_progress):
        await download_into_partial(
            source, desired, call(_place_file, desired), on_progress, connections=connections, options=options
        )


async def download_into_partial(
    source: GetUrl,
    desired: DownloadTarget,
    finish: FinishDownload,
    on_progress: OnProgress,
    *,
    connections: int = 4,
    options: TransferOptions = DEFAULT_OPTIONS,
) -> None:
    """Download into the partial file, verify it, and call ``finish`` in a thread to place it.

    ``finish`` receives a file with verified content and calls ``place`` or ``mark_placed`` on it, or removes it. A
    file that it leaves is kept for the next run, unless it raises ``DiskFull``. Cancellation waits until ``finish`` has
    ended. ``desired.target`` is used only as the path in events.

    On a failure, a checkpoint is written, or a partial file that no later run can use is deleted.

    Raises:
        As ``download_file`` does, but for ``TargetExists``; and whatever ``finish`` raises.
    """
    opened: list[PartialFile] = []

    def start() -> PartialFile:
        """Open the partial file and require the disk space for the rest of it."""
        opened.append(open_partial_file(desired.partial_path, desired.size, desired.sha256, desired.folder))
        _require_disk_space(desired, opened[0])
        return opened[0]

    async with ThreadPool(connections + 2) as pool:
        try:
            partial = await pool.run(start, timeout_seconds=None)
            if partial.received_bytes:
                on_progress(Resumed(desired.target, partial.received_bytes, desired.size))
            download = RangedDownload(source, desired.size, desired.target, partial, pool, on_progress, options)
            digest = await download.download_and_hash(connections)
            if digest != desired.sha256:
                raise DigestMismatch(desired.sha256, digest)
            await pool.run(call(finish, partial), timeout_seconds=None)
        except BaseException as failure:
            # Quick: at most the bytes received since the last checkpoint have to be synced.
            for partial in opened:
                await pool.run(call(_clean_up, partial, failure), timeout_seconds=None)
            raise
        finally:
            for partial in opened:
                partial.close()


async def _is_target_complete(desired: DownloadTarget, on_progress: OnProgress) -> bool:
    """Return whether the target already has the desired content; it is hashed only if its size is right.

    Raises:
        TargetExists: it has other content and may not be replaced.
    """
    size = await asyncio.to_thread(_get_size, desired.target)
    if size is None:
        return False
    if size == desired.size and await compute_sha256(desired.target, on_progress) == desired.sha256:
        return True
    if not desired.replace:
        raise TargetExists(desired.target)
    return False


def _get_size(path: Path) -> int | None:
    """Return the size of the file at ``path``; -1 if it is not a regular file, None if nothing exists there."""
    if path.is_file():
        return path.stat().st_size
    return -1 if path.is_symlink() or path.exists() else None


def _require_disk_space(desired: DownloadTarget, partial: PartialFile) -> None:
    """Raise ``_NotEnoughSpace`` unless what the partial file does not occupy yet fits and leaves ``keep_free`` free."""
    needed = max(0, desired.size - partial.get_allocated_bytes())
    try:
        filesystem.require_disk_space(partial.path.parent, needed, desired.keep_free, partial.descriptor)
    except DiskFull as failure:
        raise _NotEnoughSpace(str(failure)) from None


class _NotEnoughSpace(DiskFull):
    """Disk space was insufficient before the download started, so an earlier run's partial file may stay."""


def _place_file(desired: DownloadTarget, partial: PartialFile) -> None:
    """Rename the partial file to the target; remove it if another process has placed the same content there.

    Raises:
        TargetExists: a file with other content is there and may not be replaced.
    """
    try:
        partial.place(desired.target, sha256=desired.sha256, replace=desired.replace)
    except TargetExists:
        # Another process may have downloaded the same content meanwhile.
        if _compute_target_sha256(desired.target) != desired.sha256:
            raise
        partial.remove()


def _compute_target_sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file in lower-case hex; None if there is no regular file."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _clean_up(partial: PartialFile, failure: BaseException) -> None:
    """Save a checkpoint if a later run can resume the partial file; otherwise remove the file.

    Nothing if the file was placed or removed. Removed are files without received bytes, and those of which ``failure``
    says that their content is wrong or filled the disk. A checkpoint that cannot be saved is ignored.
    """
    if partial.is_finished:
        return
    is_useless = isinstance(failure, DigestMismatch | DiskFull) and not isinstance(failure, _NotEnoughSpace)
    if is_useless or not partial.received_bytes or not partial.is_resumable or not partial.is_intact:
        partial.remove()
        return
    with contextlib.suppress(TransferFailed):
        partial.save_checkpoint()
