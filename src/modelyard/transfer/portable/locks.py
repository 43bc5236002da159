"""Locks of open files between processes, by portalocker, which is imported at the first lock: few commands lock one."""

import os
import sys
import tempfile
from threading import Lock

_importing = Lock()


def import_portalocker() -> None:
    """Import portalocker; blocking. Call it in a thread before ``try_lock`` is called on an event loop.

    Its classes of temporary files, which are not used here, ask for the folder of such files when they are imported.
    Python finds that folder by writing a file into it. An agent writes only into its own folders, and a service may be
    allowed no other, so the folder is named beforehand, from the environment. Other threads may use the name meanwhile.
    """
    with _importing:
        if "portalocker" in sys.modules:
            return
        before = tempfile.tempdir
        tempfile.tempdir = before or os.environ.get("TMPDIR") or os.environ.get("TEMP") or "/tmp"  # noqa: S108 - not written to
        try:
            import portalocker  # noqa: F401 - only to have it loaded
        finally:
            tempfile.tempdir = before


def try_lock(descriptor: int) -> bool:
    """Lock an open file against other descriptors, of any process, without waiting; return whether it is locked now.

    The lock ends when the descriptor is closed, also by the end of the process. On POSIX it is advisory. On Windows
    others cannot read the first 64 KiB meanwhile.

    Raises:
        OSError: the file system has no locks, or another reason that is not another holder.
    """
    import_portalocker()
    from portalocker import LOCK_EX, LOCK_NB, AlreadyLocked, LockException, lock

    try:
        lock(descriptor, LOCK_EX | LOCK_NB)
    except AlreadyLocked:
        return False
    except LockException as failure:
        raise failure.__cause__ if isinstance(failure.__cause__, OSError) else OSError(str(failure)) from failure
    return True
