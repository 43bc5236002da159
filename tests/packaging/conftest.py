"""What `make dist` builds, built once for all tests of this folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.repository import ROOT, tracked_files

# Any time will do; without it the time of the last commit is taken, and a copy has no commits.
BUILD_TIME = "1764115200"


def build_copy(folder: Path, umask: int) -> Path:
    """Copy the tracked files into the folder and run `make dist`'s program there; return the folder with its output.

    Packages of Node are linked, since a build does not change them.
    """
    for file in tracked_files():
        copy = folder / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    subprocess.run(["cp", "--archive", "--link", str(ROOT / "web" / "node_modules"), str(folder / "web")], check=True)
    (folder / ".venv-dist").symlink_to(ROOT / ".venv-dist")
    environment = os.environ | {"SOURCE_DATE_EPOCH": BUILD_TIME}
    command = [sys.executable, "-m", "tools.dist"]
    subprocess.run(command, cwd=folder, env=environment, umask=umask, check=True, timeout=600)
    return folder / "dist"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the packages of this checkout."""
    return build_copy(tmp_path_factory.mktemp("built"), 0o022)


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def sdist(built: Path) -> Path:
    (sdist,) = built.glob("*.tar.gz")
    return sdist
