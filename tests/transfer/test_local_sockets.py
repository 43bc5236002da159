"""Sockets in the file system: what is at their paths, and which folders are private enough."""

import os
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.transfer.portable.local_sockets import (
    MAX_SOCKET_PATH_BYTES,
    open_private_socket,
    remove_private_socket,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such sockets")


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="sock-") as folder:
        yield Path(folder)


@pytest.fixture
def runtime(short: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's runtime folder."""
    folder = short / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def long_path(short: Path) -> Path:
    """A path that no socket can have."""
    folder = short / ("n" * MAX_SOCKET_PATH_BYTES)
    folder.mkdir()
    return folder / "agent.sock"


def connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(path.resolve()))


def test_open_short_path_listens_there_and_replaces_a_socket_that_is_left(short: Path) -> None:
    path = short / "agent.sock"
    open_private_socket(path, 1).close()
    with open_private_socket(path, 1):
        assert not path.is_symlink()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        connect(path)
    remove_private_socket(path)
    assert not os.path.lexists(path)


def test_open_long_path_links_to_a_private_folder_of_the_runtime_folder(runtime: Path, long_path: Path) -> None:
    open_private_socket(long_path, 1).close()
    with open_private_socket(long_path, 1):
        target = long_path.readlink()
        assert target.parents[1] == runtime / "modelyard"
        assert [stat.S_IMODE(folder.stat().st_mode) for folder in (target.parent, target.parents[1])] == [0o700, 0o700]
        connect(long_path)
    remove_private_socket(long_path)
    assert not os.path.lexists(long_path)
    assert list((runtime / "modelyard").iterdir()) == []


@pytest.mark.parametrize("runtime_dir", ["", "relative", "/no/such/folder", "/" + "r" * MAX_SOCKET_PATH_BYTES])
def test_open_long_path_without_a_usable_runtime_folder_links_to_the_temporary_folder(
    short: Path, long_path: Path, monkeypatch: pytest.MonkeyPatch, runtime_dir: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime_dir)
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    with open_private_socket(long_path, 1):
        assert long_path.readlink().parents[1] == short / f"modelyard-{os.getuid()}"
        connect(long_path)


@pytest.mark.parametrize("kind", ["another user's", "open to others", "a file at its subfolder"])
def test_open_long_path_with_a_runtime_folder_that_is_not_private_links_to_the_temporary_folder(
    runtime: Path, short: Path, long_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    if kind == "another user's":
        if os.getuid() != 0:
            pytest.skip("Only root can give a folder to another user.")
        os.chown(runtime, 12345, 12345)
    elif kind == "open to others":
        runtime.chmod(0o755)
    else:
        (runtime / "modelyard").touch()
    with open_private_socket(long_path, 1):
        assert long_path.readlink().parents[1] == short / f"modelyard-{os.getuid()}"
        connect(long_path)


@pytest.mark.parametrize("kind", ["open to others", "link"])
def test_open_long_path_refuses_folders_that_are_not_private(
    runtime: Path, short: Path, long_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    for folder in (runtime / "modelyard", short / f"modelyard-{os.getuid()}"):
        if kind == "link":
            (folder.parent / "elsewhere").mkdir(mode=0o700)
            folder.symlink_to("elsewhere")
        else:
            folder.mkdir()
            folder.chmod(0o755)
    with pytest.raises(OSError, match="only this user"):
        open_private_socket(long_path, 1)
    assert not os.path.lexists(long_path)


@pytest.mark.parametrize("kind", ["open to others", "link"])
def test_remove_leaves_what_a_link_through_folders_of_others_leads_to(
    runtime: Path, long_path: Path, kind: str
) -> None:
    open_private_socket(long_path, 1).close()
    target = long_path.readlink()
    folder = target.parents[1]
    if kind == "link":
        moved = folder.rename(runtime / "elsewhere")
        folder.symlink_to(moved)
    else:
        folder.chmod(0o777)
    remove_private_socket(long_path)
    assert target.exists()
    assert not os.path.lexists(long_path)


def test_open_path_of_a_file_is_refused(short: Path) -> None:
    path = short / "agent.sock"
    path.write_text("mine")
    with pytest.raises(OSError, match="not a socket"):
        open_private_socket(path, 1)
    assert path.read_text() == "mine"
