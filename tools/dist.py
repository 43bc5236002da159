"""Builds what a release publishes into a folder: wheel, sdist, two bills of materials and SHA256SUMS.

The same commit gives the same bytes: times in the archives are the commit's, and the bills carry none.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from modelyard import __version__
from tools.node import WEB, install_packages, prepare_environment
from tools.page import BUILT
from tools.repository import ROOT

DIST_PYTHON = ROOT / ".venv-dist" / "bin" / "python"
# What a bill of materials says of the moment and the place where it was written.
_CHANGING_FIELDS = ("serialNumber",)
_CHANGING_METADATA = ("timestamp",)


def main() -> None:
    """Build everything into the folder of ``--output``, after removing what an earlier run left there."""
    parser = argparse.ArgumentParser(description="Build wheel, sdist, bills of materials and hashes.")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", metavar="FOLDER")
    folder: Path = parser.parse_args().output.resolve()
    clear_output(folder)
    build_packages(folder)
    write_python_bill(folder / f"modelyard-{__version__}.python.cdx.json")
    write_page_bill(folder / f"modelyard-{__version__}.page.cdx.json")
    check_packages(folder)
    write_hashes(folder)
    print("\n".join(sorted(path.name for path in folder.iterdir())))


def clear_output(folder: Path) -> None:
    """Create the folder, or remove what an earlier run wrote there.

    Raises:
        SystemExit: it contains anything else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = [*folder.iterdir()]
    foreign = sorted(path.name for path in entries if not is_output(path))
    if foreign:
        sys.exit(f"'{folder}' also contains {', '.join(foreign)}. Choose an empty folder, or remove them.")
    for path in entries:
        path.unlink()


def is_output(path: Path) -> bool:
    """Return whether this is a file that a build writes, by its name."""
    return path.is_file() and (path.name.startswith("modelyard-") or path.name == "SHA256SUMS")


def read_commit_time() -> str:
    """Return SOURCE_DATE_EPOCH if it is set, else the time of the last commit, in seconds since 1970."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return os.environ["SOURCE_DATE_EPOCH"]
    command = ["git", "log", "-1", "--format=%ct"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def build_packages(folder: Path) -> None:
    """Build sdist and wheel; both contain the page, which is built first, in any case."""
    shutil.rmtree(BUILT, ignore_errors=True)
    environment = os.environ | {"SOURCE_DATE_EPOCH": read_commit_time()}
    # The wheel first: it builds the page, which the sdist then takes along.
    for target in ("wheel", "sdist"):
        command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)


def write_python_bill(path: Path) -> None:
    """Write the CycloneDX bill of the Python packages that a server is tested with, from its lock."""
    command = [str(DIST_PYTHON), "-m", "cyclonedx_py", "requirements", "--pyproject", "pyproject.toml"]
    command += ["--output-format", "JSON", "--output-reproducible", "requirements/server.txt"]
    _write_bill(path, subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def write_page_bill(path: Path) -> None:
    """Write the CycloneDX bill of the npm packages whose code is in the page, from its lock."""
    environment = prepare_environment()
    install_packages(environment)
    command = ["npm", "sbom", "--sbom-format=cyclonedx", "--sbom-type=application", "--omit=dev"]
    _write_bill(path, subprocess.run(command, cwd=WEB, env=environment, check=True, capture_output=True).stdout)


def _write_bill(path: Path, content: bytes) -> None:
    """Write a bill without what changes from run to run."""
    bill: dict[str, Any] = json.loads(content)
    for name in _CHANGING_FIELDS:
        bill.pop(name, None)
    for name in _CHANGING_METADATA:
        bill.get("metadata", {}).pop(name, None)
    path.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")


def check_packages(folder: Path) -> None:
    """Check the metadata of both packages as the package index does; raise CalledProcessError if it would refuse."""
    packages = [str(path) for path in sorted(folder.iterdir()) if path.suffix in (".whl", ".gz")]
    subprocess.run([str(DIST_PYTHON), "-m", "twine", "check", "--strict", *packages], cwd=ROOT, check=True)


def write_hashes(folder: Path) -> None:
    """Write SHA256SUMS, as ``sha256sum --check`` reads it."""
    files = sorted(folder.iterdir())
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
