import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.transfer.portable.locks import try_lock


def open_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


def test_try_lock_second_descriptor_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    first, second = open_file(tmp_path / "file"), open_file(tmp_path / "file")
    assert try_lock(first)
    assert not try_lock(second)
    os.close(first)
    assert try_lock(second)
    os.close(second)


def test_try_lock_after_kill_of_the_holder_succeeds(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\n"
        "from modelyard.transfer.portable.locks import try_lock\n"
        "print(try_lock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)), flush=True)\n"
        "time.sleep(60)\n"
    )
    descriptor = open_file(tmp_path / "file")
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "file"], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert not try_lock(descriptor)
        holder.kill()
    assert try_lock(descriptor)
    os.close(descriptor)


def test_try_lock_of_what_cannot_be_locked_raises_with_the_error_of_the_system(tmp_path: Path) -> None:
    descriptor = open_file(tmp_path / "file")
    os.close(descriptor)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)) as refused:
        try_lock(descriptor)
    assert refused.value.errno == errno.EBADF


def test_first_lock_writes_no_file_to_find_the_folder_of_temporary_files(tmp_path: Path) -> None:
    program = """
import os, sys, tempfile
def fail():
    raise AssertionError("a file is written into each candidate")
tempfile._get_default_tempdir = fail
from modelyard.transfer.portable.locks import try_lock
assert try_lock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT))
assert tempfile.tempdir is None
"""
    subprocess.run([sys.executable, "-c", program, tmp_path / "lock"], check=True)


def test_first_locks_of_many_threads_leave_the_folder_of_temporary_files_as_it_is(tmp_path: Path) -> None:
    program = """
import sys, tempfile, threading
from modelyard.transfer.portable.locks import import_portalocker
sys.setswitchinterval(1e-6)
start = threading.Barrier(8)
def run():
    start.wait()
    import_portalocker()
threads = [threading.Thread(target=run) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert tempfile.gettempdir() == sys.argv[1], tempfile.gettempdir()
"""
    subprocess.run([sys.executable, "-c", program, tmp_path], env=os.environ | {"TMPDIR": str(tmp_path)}, check=True)
