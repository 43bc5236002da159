"""Errors of applying a plan, with the replica state and the sentence that are reported to the registry."""

import errno
from pathlib import Path

from modelyard.comfyui.quoting import quoted
from modelyard.sync.retry_advice import omit_retry_advice
from modelyard.transfer.errors import FREE_SPACE, DiskFull, TransferFailed
from modelyard.wire.agents.values import ModelState
from modelyard.wire.problems import Problem, VersionNotFound

_NO_SPACE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_ABSENT_ERRORS = frozenset({errno.ENOENT, errno.ESTALE, errno.ENOTCONN, errno.ENODEV})


class NotPlaced(Exception):
    """Nothing was changed for this model; carries the state and the reason to report."""

    def __init__(self, state: ModelState, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


class DiskSpaceLacking(NotPlaced):
    """The disk is full, so further downloads to it need not be tried."""

    def __init__(self, reason: str) -> None:
        super().__init__("blocked", reason)


def build_not_placed_from_os_error(path: Path, failure: OSError) -> NotPlaced:
    """Convert a failed operation on ``path``: ``blocked`` if a person has to act, ``failed`` if a retry may succeed."""
    if failure.errno is None:
        return NotPlaced("failed", str(failure))  # raised by this program with its own text
    if failure.errno in _NO_SPACE_ERRORS:
        return DiskSpaceLacking(f"There is not enough disk space for {quoted(path)}. {FREE_SPACE}")
    if failure.errno in _ABSENT_ERRORS:
        return NotPlaced("blocked", f"The folder {quoted(path.parent)} does not exist. Create it, or mount its disk.")
    if failure.errno == errno.EROFS:
        return NotPlaced("blocked", f"The file system of {quoted(path)} is mounted read-only. Mount it for writing.")
    if failure.errno in {errno.EACCES, errno.EPERM}:
        reason = f"{quoted(path)} is not writable for this user. Change the owner or the mode of its folder."
        return NotPlaced("blocked", reason)
    return NotPlaced("failed", f"{quoted(path)} could not be read or written: {failure.strerror}.")


def build_not_placed(path: Path, failure: NotPlaced | TransferFailed | Problem | OSError) -> NotPlaced:
    """Convert any error of one model's action into what is reported for the model.

    The reason does not say that a person has to try again: an agent does it, and a command says it once for all models.
    """
    match failure:
        case NotPlaced():
            return failure
        case OSError():
            return build_not_placed_from_os_error(path, failure)
        case DiskFull():
            return DiskSpaceLacking(str(failure))
        case VersionNotFound():
            reason = f"The registry does not have this version of {quoted(path)} any more. The machine will plan again."
            return NotPlaced("queued", reason)
        case TransferFailed() | Problem():
            return NotPlaced("failed", omit_retry_advice(str(failure)))
