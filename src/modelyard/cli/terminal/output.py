"""Print results on standard output and everything else on standard error, for people, as JSON, or quietly."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import typer

from modelyard.cli.terminal.colors import Line
from modelyard.cli.terminal.formatting import escape_unprintable

Style = Literal["human", "json", "quiet"]


class Output:
    """The output of one command in one style.

    ``human`` prints lines for people, ``json`` exactly one JSON document on standard output, ``quiet`` only ids or
    paths, one a line. All text passes ``escape_unprintable``, since some of it comes from a registry.
    """

    def __init__(self, style: Style) -> None:
        self.style = style

    @property
    def shows_bars(self) -> bool:
        """Whether progress bars can be shown: for people, at a terminal that can move its cursor."""
        return self.style == "human" and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    @property
    def width(self) -> int | None:
        """The columns of the terminal that standard output is; None for a file or a pipe, where nothing is cut."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    @property
    def shows_colors(self) -> bool:
        """Whether standard output is a terminal with colours; see https://no-color.org for ``NO_COLOR``."""
        return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def answer(self, *, document: object, lines: Iterable[str | Line], quiet: Iterable[str] = ()) -> None:
        """Print a command's result on standard output: the document, the quiet lines or the lines, by style."""
        if self.style == "json":
            self._print(json.dumps(to_json(document), indent=2, ensure_ascii=not _is_stdout_utf8()))
            return
        for line in quiet if self.style == "quiet" else lines:
            self._print(self._paint(line) if isinstance(line, Line) else escape_unprintable(line))

    def _paint(self, line: Line) -> str:
        """Return a line with unprintable characters escaped, and with colours where they are shown."""
        if not self.shows_colors:
            return escape_unprintable(str(line))
        spans = [(escape_unprintable(span.text), span.color) for span in line.spans]
        return "".join(text if color is None else typer.style(text, fg=color) for text, color in spans).rstrip()

    def done(self, line: str, **facts: object) -> None:
        """Print that an action is done: the line, or ``is_success`` and the facts as JSON; nothing with --quiet."""
        self.answer(document={"is_success": True} | facts, lines=[line])

    def note(self, text: str) -> None:
        """Print a hint on standard error, unless the style is quiet."""
        if self.style != "quiet":
            self._print_error(text)

    def warn(self, text: str) -> None:
        """Print a text on standard error in every style."""
        self._print_error(text)

    def fail(self, sentence: str, fix: Sequence[str], facts: Mapping[str, object]) -> None:
        """Print a failure and its remedies on standard error, and for ``json`` its facts on standard output."""
        if self.style == "json":
            self._print(json.dumps({"error": to_json(facts)}, indent=2))
        self._print_error(sentence)
        for line in fix:
            self._print_error(f"  {line}")

    def _print(self, line: str) -> None:
        """Print a line, in which unprintable characters are escaped already, on standard output and flush it."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def _print_error(self, text: str) -> None:
        """Print a text on standard error, with unprintable characters escaped line by line."""
        for line in text.split("\n"):
            sys.stderr.write(escape_unprintable(line) + "\n")
        sys.stderr.flush()


def _is_stdout_utf8() -> bool:
    """Return whether standard output can encode any character."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def to_json(value: Any) -> Any:
    """Convert a value to what ``json.dumps`` accepts: wire types to objects, collections to arrays, others to text."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(name): to_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(each) for each in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
