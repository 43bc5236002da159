"""Parsers of the hand-written pages: the commands, settings, API paths, test names and problem names in them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tools.repository import ROOT

# Without the reference pages, which are generated and have tests of their own.
GUIDES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_VARIABLE_ASSIGNMENT = re.compile(r"[A-Z_]+=.*")


def read_page(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def find_commands(text: str) -> list[list[str]]:
    """Find every ``modelyard …`` command in ``sh`` and ``console`` blocks and inline code; return their arguments."""
    block_commands = [words for line in _iterate_shell_lines(text) for words in _split_commands(line)]
    inline = [span for span in _INLINE.findall(_FENCE.sub("", text)) if span.startswith("modelyard ")]
    return block_commands + [words for span in inline for words in _split_commands(span)]


def _iterate_shell_lines(text: str) -> Iterator[str]:
    """Yield the lines that a reader types: of ``sh`` blocks, and after ``$`` in ``console`` blocks."""
    for language, block in _FENCE.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        if language == "sh":
            yield from lines
        elif language == "console":
            yield from (line.removeprefix("$ ") for line in lines if line.startswith("$ "))


def _split_commands(line: str) -> Iterator[list[str]]:
    """Split a shell line at ``|``, ``&`` and ``;``; yield the arguments of each ``modelyard`` command."""
    if "modelyard" not in line:
        return
    splitter = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    splitter.whitespace_split = True
    words: list[str] = []
    for word in [*splitter, "|"]:
        if set(word) <= set("|&;"):
            while words and _VARIABLE_ASSIGNMENT.fullmatch(words[0]):
                words = words[1:]
            if words and words[0] == "modelyard":
                yield words[1:]
            words = []
        else:
            words.append(word)


def find_settings(text: str) -> set[str]:
    return set(re.findall(r"\bMODELYARD_[A-Z_]+\b", text))


def find_api_paths(text: str) -> set[str]:
    """Return every ``/api/v1/…`` path, without its query."""
    return {address.rstrip("/.") for address in re.findall(r"/api/v1/[\w/${}.-]+", text)}


def find_test_names(text: str) -> set[str]:
    return set(re.findall(r"`(test_\w+)`", text))


def find_problem_names(text: str) -> set[str]:
    """Return the code spans in the last column of tables whose last column is called ``problem``."""
    names: set[str] = set()
    for table in re.findall(r"^\|[^\n]*\| problem \|\n(?:\|[^\n]*\n?)+", text, re.MULTILINE):
        for row in table.splitlines()[2:]:
            names |= set(_INLINE.findall(row.rsplit("|", 2)[1]))
    return names
