"""A file system whose server never answers, as a network share does whose server has gone: real, by way of FUSE."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_DETACH = 2


@contextmanager
def dead_mount(folder: Path) -> Iterator[None]:
    """Whoever asks anything of ``folder`` waits until the block ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as failure:
        pytest.fail(f"Missing: /dev/fuse: {failure.strerror}")
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    try:
        if libc.mount(b"dead", os.fsencode(folder), b"fuse", 0, options) != 0:
            pytest.fail(f"Missing: the right to mount (run as root): {os.strerror(ctypes.get_errno())}")
        yield
    finally:
        # Closing the device is the death of the server: whoever waits is answered with an error.
        os.close(device)
        libc.umount2(os.fsencode(folder), _DETACH)
