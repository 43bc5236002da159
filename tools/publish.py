"""Publishes a release to the package index: checks that this commit is one, builds the packages, uploads them.

The account comes from twine's own settings (``~/.pypirc``, or TWINE_USERNAME and TWINE_PASSWORD).
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from modelyard import __version__
from tools.dist import DIST_PYTHON
from tools.repository import ROOT


def main() -> None:
    """Publish, or only check with ``--check``; exit with 1 if this commit is no release, and say why."""
    parser = argparse.ArgumentParser(description="Check, build and upload a release.")
    parser.add_argument("--check", action="store_true", help="only check whether this commit can be published")
    only_check: bool = parser.parse_args().check
    if problems := find_problems(ROOT, __version__):
        sys.exit("Not published:\n" + "\n".join(f"- {problem}" for problem in problems))
    if not only_check:
        subprocess.run([sys.executable, "-m", "tools.dist"], cwd=ROOT, check=True)
        packages = [str(path) for suffix in ("whl", "tar.gz") for path in (ROOT / "dist").glob(f"*.{suffix}")]
        subprocess.run([str(DIST_PYTHON), "-m", "twine", "upload", *packages], cwd=ROOT, check=True)


def find_problems(root: Path, version: str) -> list[str]:
    """Return why the checked-out commit is not the release of this version; an empty list if it is."""
    problems = []
    if read_git(root, "status", "--porcelain"):
        problems.append("There are uncommitted changes. Commit or stash them.")
    if f"v{version}" not in read_git(root, "tag", "--points-at", "HEAD").split():
        problems.append(f"The commit has no tag v{version}. Create it: git tag -a v{version}")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        problems.append(f"CHANGELOG.md has no section of {version} with its date.")
    unreleased = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## )", changelog, re.MULTILINE | re.DOTALL)
    if unreleased and unreleased[1].strip():
        problems.append("CHANGELOG.md has changes under [Unreleased]. Move them into the section of the release.")
    return problems


def read_git(root: Path, *arguments: str) -> str:
    """Return the output of a git command in the folder."""
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
