"""Find private terms that the glossary replaces: ``make lint`` fails where one is used in code, the page or documents.

``wording.txt`` beside this file has a pattern and its replacement on each line.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.repository import ROOT, text_of, tracked_files

LIST = Path(__file__).with_suffix(".txt")
SUFFIXES = (".py", ".ts", ".tsx", ".md")
# History keeps the words of its time; migrations and the database of an old release keep their names.
EXEMPT = (
    "CHANGELOG.md",
    "docs/decisions/",
    "src/modelyard/server/database/migrations/",
    "tests/server/database/first_release",
    "tests/server/database/test_upgrades.py",
    "tests/architecture/test_wording.py",
    # They insert rows as release 0.3.0 left them.
    "tests/server/database/test_version_migration.py",
    "bench/migration.py",
)


def main() -> None:
    """Print each use of a banned term with its replacement, and exit with 1 if there is one."""
    found = list(find_banned_terms(ROOT))
    print("\n".join(found) or "No banned terms.")
    sys.exit(bool(found))


def find_banned_terms(root: Path) -> Iterator[str]:
    """Yield ``file:line: "term" is called "replacement"`` for each use in the repository's tracked text files."""
    banned = read_list(LIST.read_text(encoding="utf-8"))
    for file in tracked_files(*SUFFIXES, root=root):
        name = file.relative_to(root).as_posix()
        if not name.startswith(EXEMPT):
            yield from _find_uses(name, text_of(file) or "", banned)


def read_list(text: str) -> dict[re.Pattern[str], str]:
    """Parse lines ``pattern = replacement``; empty lines and comments are skipped."""
    lines = (line.strip() for line in text.splitlines())
    pairs = [line.split(" = ", 1) for line in lines if line and not line.startswith("#")]
    # An underscore or a capital letter also ends a word: `job_leases`, `JobLease`.
    return {re.compile(rf"(?<![A-Za-z])(?i:{term})(?![a-z])"): replacement for term, replacement in pairs}


def _find_uses(name: str, text: str, banned: dict[re.Pattern[str], str]) -> Iterator[str]:
    """Yield the uses in one text in the form of ``find_banned_terms``; ``name`` is its file."""
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern, replacement in banned.items():
            if match := pattern.search(line):
                yield f'{name}:{number}: "{match[0]}" is called "{replacement}"'


if __name__ == "__main__":
    main()
