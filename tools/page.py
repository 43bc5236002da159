"""Builds the web page into the package that serves it, unless it is built from the same sources already."""

import hashlib
import sys
import time
from pathlib import Path

from tools.node import WEB, install_packages, prepare_environment, run_quietly
from tools.repository import ROOT

BUILT = ROOT / "src" / "modelyard" / "server" / "page" / "built"
# The digest of what the page beside it was built from. Each build empties the folder first, so one by hand removes it.
STAMP = BUILT / ".built-from"
# Of web/, what is in no page: tests and results of them, and types that only checks read.
_NOT_SOURCES = frozenset({"node_modules", "results", "tests", "bench", "screenshots", "comfyui"})
_CHECKED_ONLY = "schema.d.ts"


def main() -> None:
    """Build the page if its sources have changed; with ``--is-current``, only exit with 0 if they have not."""
    digest = compute_digest(WEB)
    is_current = is_built_from(digest)
    if "--is-current" in sys.argv[1:]:
        sys.exit(not is_current)
    if not is_current:
        build_page(digest)


def is_built_from(digest: str, stamp: Path = STAMP) -> bool:
    """Return whether the page beside the stamp was built from sources with this digest."""
    return stamp.is_file() and stamp.read_text() == digest


def compute_digest(web: Path) -> str:
    """Return the SHA-256 of names and contents of all files in this folder that the page is built from."""
    digest = hashlib.sha256()
    for file in sorted(_list_sources(web)):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(web)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _list_sources(web: Path) -> list[Path]:
    """Return the files that the page is built from: also new ones, which git does not have yet."""
    folders = [entry for entry in web.iterdir() if entry.is_dir() and entry.name not in _NOT_SOURCES]
    entries = [*web.iterdir(), *(entry for folder in folders for entry in folder.rglob("*"))]
    return [entry for entry in entries if entry.is_file() and entry.name != _CHECKED_ONLY]


def build_page(digest: str) -> None:
    """Install the packages of the page's lock, build the page, and record what it was built from."""
    environment = prepare_environment()
    install_packages(environment)
    began = time.monotonic()
    print("Building the web page …", end=" ", flush=True)
    run_quietly(["npm", "run", "build"], environment)
    STAMP.write_text(digest)
    print(f"done in {time.monotonic() - began:.0f} s.", flush=True)


if __name__ == "__main__":
    main()
