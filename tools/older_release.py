"""Installs an older commit beside this checkout: its files from git, and an environment from its own locks.

python -m tools.older_release            the last release, for `make older-release`
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools.repository import ROOT

# The last release; set both when the next one is published (docs/release.md).
RELEASE: Final = "0.3.0"
COMMIT: Final = "7b960018daca9e2347ee4e8915e0aa7ea162159b"


class NotInstalled(Exception):
    """The commit could not be installed; the text says what to do."""


def install_commit(commit: str = COMMIT) -> Path:
    """Install a commit in a folder of the repository, unless it is there already; return its interpreter.

    The first time takes a minute and needs the package index.

    Raises:
        NotInstalled: this clone does not have the commit, or its packages could not be installed.
    """
    found = _resolve(commit)
    folder = ROOT / f".venv-older-{found}"
    if not folder.exists():
        _extract(found, folder)
    # Of the older checkout, which knows what it needs; it does nothing once that is done.
    if subprocess.run(["make", "--silent", "setup"], cwd=folder, env=_build_environment(), check=False).returncode != 0:
        raise NotInstalled(
            f"Commit {found} could not be installed in {folder}: see above. Its packages come from the package index, "
            "once. Run the command again when that can be reached."
        )
    return folder / ".venv" / "bin" / "python"


def _build_environment() -> dict[str, str]:
    """Return the environment without the variables by which make tells its own run to what it starts."""
    return {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}


def _resolve(commit: str) -> str:
    """Return the first 12 characters of a commit's hash; ``commit`` may be a name too.

    Raises:
        NotInstalled: this clone does not have it.
    """
    command = ["git", "rev-parse", "--quiet", "--verify", "--short=12", f"{commit}^{{commit}}"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise NotInstalled(
            f"This clone does not have commit {commit}. Fetch all commits: git fetch --unshallow (in a clone that is "
            "not shallow: git fetch), and run the command again."
        )
    return found.stdout.strip()


def _extract(commit: str, folder: Path) -> None:
    """Write the files of a commit into a new folder, which exists only if all of them are there."""
    draft = folder.with_name(f"{folder.name}-{os.getpid()}")
    draft.mkdir()
    try:
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "--extract", "--directory", draft], input=archive, check=True)
        (draft / ".gitignore").write_text("*\n", encoding="utf-8")
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def main() -> None:
    """Install the last release; exit with 1 and the reason if that is not possible."""
    try:
        install_commit()
    except NotInstalled as error:
        sys.exit(f"Release {RELEASE}: {error}")


if __name__ == "__main__":
    main()
