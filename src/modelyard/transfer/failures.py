"""Why a transfer did not work, each as a sentence for people.

    TransferFailed
    ├── Unreachable   the other side could not be reached, went silent or hung up
    ├── BadAnswer     it answered something other than what was asked for
    ├── Refused       it answered no
    ├── WrongBytes    the bytes that came are not the ones that were wanted
    ├── FileChanged   a file changed while it was read
    ├── TargetTaken   another file has the name that the download should get
    ├── DiskFull      this machine has no room
    └── DiskFailed    this machine could not read or write a file

Messages name hosts, never whole URLs: the query of a signed URL is a secret.
"""

import errno
from pathlib import Path

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class TransferFailed(Exception):
    """The bytes did not get where they should be."""


class Unreachable(TransferFailed):
    """The other side could not be reached, went silent or hung up.

    A function that gives fresh URLs may raise it too, to be asked again after a while.
    """


class BadAnswer(TransferFailed):
    """The other side answered something other than what was asked for, so nothing of it was used."""


class Refused(TransferFailed):
    """The other side said no.

    ``code`` is its own name for the reason (``error_code`` of a problem, ``Code`` of S3), ``retry_after`` the seconds
    it asked us to wait.
    """

    def __init__(self, status: int, detail: str, *, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(f"{detail} (HTTP {status})")
        self.status = status
        self.detail = detail
        self.code = code
        self.retry_after = retry_after


class WrongBytes(TransferFailed):
    """The SHA-256 of what came is not the one that was wanted; what came has been removed."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(
            f"The bytes that came have SHA-256 {found}, but {expected} was wanted. They have been removed; try again."
        )
        self.expected = expected
        self.found = found


class FileChanged(TransferFailed):
    """The file was written, replaced or cut while it was read."""

    def __init__(self, path: Path) -> None:
        super().__init__(f'"{path}" changed while it was read. Try again when nothing writes to it.')
        self.path = path


class TargetTaken(TransferFailed):
    """Another file has the name that the download should get; it was left alone."""

    def __init__(self, path: Path) -> None:
        super().__init__(f'"{path}" is another file. Move it away, or allow it to be replaced.')
        self.path = path


class DiskFull(TransferFailed):
    """This machine has no room for the file."""


class DiskFailed(TransferFailed):
    """This machine could not read or write a file, for a reason other than room."""


def disk_failure(path: Path, failure: OSError) -> DiskFull | DiskFailed:
    """The failure of a file operation on ``path`` as one of ours."""
    reason = failure.strerror or type(failure).__name__
    if failure.errno in _NO_ROOM:
        return DiskFull(f'There is no room for "{path}" ({reason}). Free some space and try again.')
    return DiskFailed(f'"{path}" could not be used: {reason}.')
