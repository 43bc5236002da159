"""The files of this repository as git sees them: tracked, or new and not ignored."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def tracked_files(*suffixes: str, root: Path = ROOT) -> list[Path]:
    """List existing files with one of these suffixes, sorted; without suffixes, all of them."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    files = [root / name for name in sorted(set(listing.split("\0"))) if name]
    return [file for file in files if file.is_file() and (not suffixes or file.suffix in suffixes)]


def text_of(file: Path) -> str | None:
    """Return a file's text, or None if it is not UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
