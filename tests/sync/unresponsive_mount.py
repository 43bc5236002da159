"""A FUSE file system that never responds, like a network share whose server has gone."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_DETACH = 2


@contextmanager
def unresponsive_mount(folder: Path) -> Iterator[None]:
    """Mount a file system at ``folder`` on which every call blocks until the block ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as failure:
        pytest.skip(f"mounting by FUSE needs root and /dev/fuse: {failure.strerror}")
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    try:
        if libc.mount(b"dead", os.fsencode(folder), b"fuse", 0, options) != 0:
            pytest.skip(f"mounting needs root: {os.strerror(ctypes.get_errno())}")
        yield
    finally:
        # Closing the device ends the server: calls that wait fail with an error.
        os.close(device)
        libc.umount2(os.fsencode(folder), _DETACH)
