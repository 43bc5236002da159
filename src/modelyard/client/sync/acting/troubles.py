"""Why a model did not get its place, in the state and the sentence that a registry is told."""

import errno
from pathlib import Path

from modelyard.client.sync.wording import quoted
from modelyard.transfer.failures import DiskFull, TransferFailed
from modelyard.wire.agents import ModelState
from modelyard.wire.problems import Problem

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_AWAY = frozenset({errno.ENOENT, errno.ESTALE, errno.ENOTCONN, errno.ENODEV})


class NotPlaced(Exception):
    """Nothing was changed for this model, and why."""

    def __init__(self, state: ModelState, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


class NoRoom(NotPlaced):
    """The disk is full, so that further downloads need not be tried."""

    def __init__(self, reason: str) -> None:
        super().__init__("blocked", reason)


def disk_trouble(path: Path, failure: OSError) -> NotPlaced:
    """A failed file operation. What passes only if a person does something is ``blocked``, the rest ``failed``."""
    if failure.errno is None:
        return NotPlaced("failed", str(failure))  # ours, with words of its own
    if failure.errno in _NO_ROOM:
        return NoRoom(f"There is no room for {quoted(path)}. Free some space.")
    if failure.errno in _AWAY:
        return NotPlaced("blocked", f"The folder {quoted(path.parent)} is not there. Make it, or mount its disk.")
    if failure.errno == errno.EROFS:
        return NotPlaced("blocked", f"The file system of {quoted(path)} is mounted read-only. Mount it for writing.")
    if failure.errno in {errno.EACCES, errno.EPERM}:
        reason = f"{quoted(path)} may not be written by this user. Change the owner or the mode of its folder."
        return NotPlaced("blocked", reason)
    return NotPlaced("failed", f"{quoted(path)} could not be used: {failure.strerror}. It is tried again later.")


def trouble(path: Path, failure: NotPlaced | TransferFailed | Problem | OSError) -> NotPlaced:
    """Whatever happened to one model, as what is reported of it."""
    match failure:
        case NotPlaced():
            return failure
        case OSError():
            return disk_trouble(path, failure)
        case DiskFull():
            return NoRoom(str(failure))
        case TransferFailed() | Problem():
            return NotPlaced("failed", str(failure))
