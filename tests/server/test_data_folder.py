"""The data folder of a registry is closed to other users of the machine."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from modelyard.server.data_folder import FolderNotPrivate, prepare_data_folder
from tests.running import RunningServer
from tests.server.harness import make_model_file

pytestmark = pytest.mark.slow

NOBODY = 65534
READ_ALL = """
import os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        try:
            open(os.path.join(folder, name), "rb").read(1)
            print(os.path.join(folder, name))
        except OSError:
            pass
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")


@pytest.fixture
def open_parent() -> Iterator[Path]:
    """A folder that every user of the machine can enter; pytest's own folders are closed."""
    with TemporaryDirectory(dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def start_as_users_do(data: Path) -> RunningServer:
    """Return a server that makes its folder and database itself."""
    server = RunningServer(data)
    server.starts_as_users_do = True
    return server


def get_modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def list_files_readable_by_nobody(folder: Path) -> str:
    """Return the files below a folder that the user ``nobody`` can read, one a line."""
    # The system's own python: a virtual environment may be closed to others as well.
    command = ["/usr/bin/env", "-i", "/usr/bin/python3", "-c", READ_ALL, str(folder)]
    completed = subprocess.run(
        command, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True, check=True
    )
    return completed.stdout


@as_root
def test_serve_with_open_data_folder_closes_it_and_logs_a_warning(open_parent: Path) -> None:
    data = open_parent / "data"
    data.mkdir(mode=0o755)
    data.chmod(0o755)
    (open_parent / "probe").write_text("x")
    assert "probe" in list_files_readable_by_nobody(open_parent), "the check itself works"
    with start_as_users_do(data) as server:
        server.owner().register(make_model_file("ink"))
        assert list_files_readable_by_nobody(data) == ""
        data.chmod(0o755)
        # The files are closed by themselves, while the server runs, too.
        assert list_files_readable_by_nobody(data) == ""
        assert {mode & 0o077 for mode in get_modes(data).values()} == {0}
        assert "could open a path of the registry" in server.log.read_text()


@as_root
def test_serve_closes_files_that_earlier_versions_left_open(open_parent: Path) -> None:
    data = open_parent / "data"
    with RunningServer(data) as server:
        server.stop()
        data.chmod(0o755)
        (data / "modelyard.sqlite3").chmod(0o644)
        assert "modelyard.sqlite3" in list_files_readable_by_nobody(data)
        server.start()
        data.chmod(0o755)
        assert list_files_readable_by_nobody(data) == ""


def test_serve_first_start_logs_who_can_open_the_data_folder(tmp_path: Path) -> None:
    with start_as_users_do(tmp_path / "data") as server:
        assert "which is open to this user only" in server.log.read_text()


def test_prepare_new_data_folder_with_umask_0_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        prepare_data_folder(tmp_path / "new", is_shared_with_group=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("shared", "mode", "after"), [(False, 0o755, 0o700), (True, 0o777, 0o770), (True, 0o750, 0o750)]
)
def test_prepare_empty_data_folder_closes_it(tmp_path: Path, *, shared: bool, mode: int, after: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    prepare_data_folder(folder, is_shared_with_group=shared)
    assert stat.S_IMODE(folder.stat().st_mode) == after


@pytest.mark.parametrize("case", ["other files", "sticky"])
def test_prepare_folder_with_foreign_files_is_refused_unchanged(tmp_path: Path, case: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    if case == "other files":
        (folder / "thesis.odt").write_text("mine")
    mode = 0o1777 if case == "sticky" else 0o755
    folder.chmod(mode)
    with pytest.raises(FolderNotPrivate, match="Close it"):
        prepare_data_folder(folder, is_shared_with_group=False)
    assert stat.S_IMODE(folder.stat().st_mode) == mode


@as_root
def test_prepare_folder_of_other_user_is_refused_with_message(open_parent: Path) -> None:
    folder = open_parent / "data"
    folder.mkdir()
    folder.chmod(0o777)
    # A child of this process: the code may be where another user cannot read it.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(NOBODY)
        try:
            prepare_data_folder(folder, is_shared_with_group=False)
        except OSError as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as message:
        assert b"It belongs to another user" in message.read()


def test_serve_with_foreign_files_in_folder_prints_message(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o755)
    (tmp_path / "home" / "thesis.odt").write_text("mine")
    command = [sys.executable, "-m", "modelyard", "serve", "--port", "0", "--data-dir", str(tmp_path / "home")]
    completed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert completed.returncode == 1
    assert "is open to other users of this machine (mode 755)" in completed.stderr
    assert "Traceback" not in completed.stderr
