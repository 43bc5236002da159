"""Transfer errors, each with a message for users.

    TransferFailed             also raised itself: a certificate is not trusted
    ├── Unreachable            the connection failed, timed out, was closed or was stopped
    │   └── RetriesExhausted   retries made no progress within the time limit
    ├── BadAddress             the URL is unusable
    ├── BadResponse            the response does not match the request
    │   ├── FileListMismatch   a list of a model's files does not match the model
    │   └── Redirected         the response leads to another address
    ├── Refused                the response has an error status
    ├── DigestMismatch         the received content has another SHA-256
    ├── FileChanged            a file changed while it was read
    ├── TargetExists           another file exists at the target path
    ├── OtherFilesInFolder     a folder has files that no model has, so it is not replaced
    ├── DiskFull               not enough disk space
    └── DiskFailed             a file could not be read or written

Messages name hosts, never whole URLs: the query of a signed URL is a secret.
"""

import errno
import sys
from pathlib import Path

from modelyard.wire.paths import exceeds_windows_limit

# What to do in each message about lack of disk space.
FREE_SPACE = "Free some space."
_DISK_FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class TransferFailed(Exception):
    """A transfer failed. ``store`` is the host that was contacted, None if none was."""

    store: str | None = None


class Unreachable(TransferFailed):
    """The connection could not be opened, timed out, was closed early or stopped, or the answer is not HTTP.

    A function that provides URLs may raise it too, to be called again after a delay.
    """


class RetriesExhausted(Unreachable):
    """Retries made no progress within the time limit. ``last`` is the last failure; received data is kept."""

    def __init__(self, last: TransferFailed, waited_seconds: float, retries: int) -> None:
        peer = "The registry" if last.store is None else f"The store at {last.store}"
        state = "cannot be reached" if isinstance(last, Unreachable) else "does not work"
        waited = _format_duration(waited_seconds)
        super().__init__(
            f"{peer} {state}: no data was transferred for {waited}, in {retries} tries. Last failure: {last} "
            "Data transferred so far is kept."
        )
        self.last = last
        self.store = last.store


def is_without_response(failure: Exception) -> bool:
    """Return whether a peer did not respond, so that other requests to it would fail too."""
    return isinstance(failure.last if isinstance(failure, RetriesExhausted) else failure, Unreachable)


class BadAddress(TransferFailed):
    """A URL is unusable. Retrying does not help; only another URL does."""


class BadResponse(TransferFailed):
    """A response does not match the request, so none of it was used."""


class FileListMismatch(BadResponse):
    """The registry's list of a model's files does not match the model, which perhaps got a new version meanwhile."""


class Redirected(BadResponse):
    """A request was redirected, for example to a sign-in page. Redirects are not followed, and retrying is no help."""


class Refused(TransferFailed):
    """The server refused a request.

    ``code`` is the server's reason (``error_code`` of a problem, ``Code`` of S3); ``retry_after`` is the delay in
    seconds that it asked for.
    """

    def __init__(self, status: int, detail: str, *, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(f"The server answered {status}: {detail.rstrip('.')}.")
        self.status = status
        self.detail = detail
        self.code = code
        self.retry_after = retry_after


class DigestMismatch(TransferFailed):
    """The SHA-256 of the received content is not the expected one; the content has been removed."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"The received content has SHA-256 {found} instead of {expected}. It has been removed.")
        self.expected = expected
        self.found = found


class FileChanged(TransferFailed):
    """A file was modified, replaced or truncated while it was read."""

    def __init__(self, path: Path) -> None:
        super().__init__(f'"{path}" changed while it was read.')
        self.path = path


class FileMoved(FileChanged):
    """A file was moved or deleted while it was read."""

    def __init__(self, path: Path) -> None:
        TransferFailed.__init__(self, f'"{path}" was moved or deleted while it was read.')
        self.path = path


class TargetExists(TransferFailed):
    """Something else exists at the target path: a file with other content, a link or a folder. It was not changed."""

    def __init__(self, path: Path) -> None:
        super().__init__(f'"{path}" exists with other content. Move it away, or allow it to be replaced.')
        self.path = path


class OtherFilesInFolder(TransferFailed):
    """The folder at the target path has a file that no folder model has, so it is not replaced, even if allowed."""

    def __init__(self, folder: Path, path: str) -> None:
        super().__init__(
            f'"{folder}" contains "{path}", which no folder model has, so the folder is not replaced. Move it away.'
        )
        self.folder = folder
        self.path = path


class DiskFull(TransferFailed):
    """There is not enough disk space for the file."""


class DiskFailed(TransferFailed):
    """A file could not be read or written, for a reason other than disk space."""


def build_disk_error(path: Path, failure: OSError) -> DiskFull | DiskFailed:
    """Return the error for an ``OSError`` on ``path``: ``DiskFull`` also over quota or beyond the largest file size."""
    reason = failure.strerror or type(failure).__name__
    if failure.errno in _DISK_FULL_ERRORS:
        return DiskFull(f'There is not enough disk space for "{path}" ({reason}). {FREE_SPACE}')
    return DiskFailed(f'"{path}" could not be read or written: {reason}.{_explain_long_path(path)}')


def _explain_long_path(path: Path) -> str:
    """Return a sentence on what to do if a path is too long for Windows, which reports it as missing; else nothing."""
    if sys.platform == "win32" and exceeds_windows_limit(str(path)):
        return " The path is too long for Windows: allow long paths (LongPathsEnabled), or use a shorter folder."
    return ""


def _format_duration(seconds: float) -> str:
    """Format seconds in whole minutes from 90 seconds on, else in seconds."""
    return f"{round(seconds / 60)} minutes" if seconds >= 90 else f"{round(seconds)} seconds"
