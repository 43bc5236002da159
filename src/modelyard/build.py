"""Which build of the version this is: builds between two releases have the same version."""

import os
import subprocess
from functools import cache
from pathlib import Path

# Written into wheel and sdist by tools/wheel.py; a checkout has none.
BUILD_FILE = "BUILD"
_GIT_SECONDS = 5


@cache
def get_build_id() -> str | None:
    """Return the commit that this package was built from, shortened, with ``-dirty`` after local changes.

    In a checkout, git is asked once; without an answer the text is ``checkout``. None if the package was built without
    git, for example from an archive of the source.
    """
    recorded = Path(__file__).with_name(BUILD_FILE)
    if recorded.is_file():
        return recorded.read_text(encoding="ascii").strip()[:100] or None
    root = Path(__file__).parents[2]
    return (read_commit(root) or "checkout") if _is_checkout(root) else None


def _is_checkout(folder: Path) -> bool:
    """Return whether the folder itself is a checkout, and not one in a checkout of something else."""
    return (folder / ".git").exists()


def read_commit(root: Path) -> str | None:
    """Return the id of a checkout's commit, see ``get_build_id``; None without a checkout, or if git refuses."""
    if not _is_checkout(root):
        return None
    # Unlike `git describe --dirty`, this takes no lock, on which a `git commit` at the same time would fail.
    status = ["status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    command = ["git", "--no-optional-locks", "-C", str(root), *status]
    # A hook of git has variables that name another repository than the folder's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return _read_status(done.stdout) if done.returncode == 0 else None


def _read_status(status: str) -> str | None:
    """Return the first 12 digits of the commit, with ``-dirty`` if files differ; None before the first commit."""
    oid = "# branch.oid "
    commit = next((line.removeprefix(oid) for line in status.splitlines() if line.startswith(oid)), "(initial)")
    if commit == "(initial)":
        return None
    is_dirty = any(not line.startswith("# ") for line in status.splitlines())
    return commit[:12] + ("-dirty" if is_dirty else "")


def format_version(version: str) -> str:
    """Return the version, and beside it the build if it is known, such as ``0.3.0 (build 1f2e3d4c5b6a)``."""
    build = get_build_id()
    return version if build is None else f"{version} (build {build})"
