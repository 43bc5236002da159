"""What the pages written by hand say to readers: commands, settings, addresses, names of tests and of problems."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tools.repository import ROOT

# The reference is written from the code, and has tests of its own.
GUIDES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_SETTING_OF_ONE_LINE = re.compile(r"[A-Z_]+=.*")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands_in(text: str) -> list[list[str]]:
    """The arguments of every ``modelyard …`` that a reader may type, in ``sh`` and ``console`` blocks and in a line."""
    found = [words for line in _typed_lines(text) for words in _commands(line)]
    inline = [span for span in _INLINE.findall(_FENCE.sub("", text)) if span.startswith("modelyard ")]
    return found + [words for span in inline for words in _commands(span)]


def _typed_lines(text: str) -> Iterator[str]:
    for language, block in _FENCE.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        if language == "sh":
            yield from lines
        elif language == "console":
            yield from (line.removeprefix("$ ") for line in lines if line.startswith("$ "))


def _commands(line: str) -> Iterator[list[str]]:
    """The arguments of each ``modelyard`` between pipes."""
    if "modelyard" not in line:
        return
    splitter = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    splitter.whitespace_split = True
    words: list[str] = []
    for word in [*splitter, "|"]:
        if set(word) <= set("|&;"):
            while words and _SETTING_OF_ONE_LINE.fullmatch(words[0]):
                words = words[1:]
            if words and words[0] == "modelyard":
                yield words[1:]
            words = []
        else:
            words.append(word)


def settings_in(text: str) -> set[str]:
    return set(re.findall(r"\bMODELYARD_[A-Z_]+\b", text))


def addresses_in(text: str) -> set[str]:
    """Every ``/api/v1/…``, without its query."""
    return {address.rstrip("/.") for address in re.findall(r"/api/v1/[\w/${}.-]+", text)}


def proofs_in(text: str) -> set[str]:
    return set(re.findall(r"`(test_\w+)`", text))


def problems_in(text: str) -> set[str]:
    """The names in the last cells of tables whose last column is called ``problem``."""
    names: set[str] = set()
    for table in re.findall(r"^\|[^\n]*\| problem \|\n(?:\|[^\n]*\n?)+", text, re.MULTILINE):
        for row in table.splitlines()[2:]:
            names |= set(_INLINE.findall(row.rsplit("|", 2)[1]))
    return names
