"""Exchange the names of whole folders, with the same result on POSIX and Windows."""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

# The system call is missing in the kernel or the C library, or the file system cannot do it.
_NO_EXCHANGE = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})

if sys.platform == "win32":

    def try_exchange(first: Path, second: Path) -> bool:
        """Return False: Windows cannot exchange two folders."""
        del first, second
        return False

else:
    import ctypes
    from collections.abc import Callable

    # Returns 0, or sets errno.
    _Exchange = Callable[[bytes, bytes], int]

    def try_exchange(first: Path, second: Path) -> bool:
        """Exchange the names of two folders of one file system in one step; return False if the system cannot do it.

        Raises:
            OSError: for other reasons, such as a missing folder.
        """
        exchange = _find_exchange()
        if exchange is None:
            return False
        if exchange(os.fsencode(first), os.fsencode(second)) == 0:
            return True
        code = ctypes.get_errno()
        if code in _NO_EXCHANGE:
            return False
        raise OSError(code, os.strerror(code), str(first), None, str(second))

    if sys.platform == "darwin":

        def _find_exchange() -> _Exchange | None:
            """Return macOS's call, or None in versions that have none. Reference: renamex_np(2)."""
            rename = getattr(ctypes.CDLL(None, use_errno=True), "renamex_np", None)
            swap = 2
            return None if rename is None else lambda first, second: int(rename(first, second, swap))

    else:

        def _find_exchange() -> _Exchange | None:
            """Return the call of Linux, or None with a C library that has none. Reference: renameat2(2)."""
            rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
            working_folder, exchange = -100, 2
            if rename is None:
                return None
            return lambda first, second: int(rename(working_folder, first, working_folder, second, exchange))


def exchange_by_renames(first: Path, second: Path) -> None:
    """Exchange the names of two folders with three renames, where the system cannot do it in one step.

    ``second`` is missing for a moment; after a crash in that moment it is ``.<name>.<32 digits>.replaced`` beside it.

    Raises:
        OSError: a rename failed; earlier ones are undone.
    """
    aside = _build_exchanged_path(second)
    second.rename(aside)
    try:
        first.rename(second)
    except BaseException:
        aside.rename(second)
        raise
    aside.rename(first)


@contextmanager
def renamed_for_exchange(new: Path, target: Path) -> Iterator[Path]:
    """Rename ``new`` to a name of ``list_exchanged`` beside ``target``, and yield that; undo it if the block fails.

    The block exchanges the two. So what was at ``target`` is never at ``new``, which others may delete unchecked.

    Raises:
        OSError: it cannot be renamed.
    """
    aside = _build_exchanged_path(target)
    new.rename(aside)
    try:
        yield aside
    except BaseException:
        with suppress(OSError):
            aside.rename(new)
        raise


def list_exchanged(folder: Path) -> list[Path]:
    """Return the folders that killed processes left beside ``folder`` when they exchanged it, oldest first."""
    name = re.compile(rf"{re.escape(f'.{folder.name}.')}[0-9a-f]{{32}}\.replaced")
    found = [each for each in folder.parent.iterdir() if name.fullmatch(each.name)]
    return sorted(found, key=lambda each: each.lstat().st_ctime_ns)


def restore_earlier(folder: Path) -> None:
    """Rename the newest folder of ``list_exchanged`` back if nothing is at ``folder``, as a killed process left it."""
    if os.path.lexists(folder):
        return
    for earlier in list_exchanged(folder)[-1:]:
        # Another process may do the same.
        with suppress(OSError):
            earlier.rename(folder)


def _build_exchanged_path(folder: Path) -> Path:
    """Return a free path beside ``folder`` that ``list_exchanged`` finds."""
    return folder.with_name(f".{folder.name}.{uuid4().hex}.replaced")
