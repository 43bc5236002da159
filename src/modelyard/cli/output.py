"""Where words go: answers to standard output, everything else to standard error; human, JSON or quiet."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from modelyard.cli.words import harmless

Style = Literal["human", "json", "quiet"]


class Output:
    """One command's voice.

    ``human`` speaks to people, ``json`` puts exactly one JSON document on standard output, ``quiet`` only ids or paths,
    one a line. What a registry said passes ``harmless`` on its way to the terminal, whoever prints it.
    """

    def __init__(self, style: Style) -> None:
        self.style = style

    @property
    def draws(self) -> bool:
        """Whether progress may move on the screen."""
        return self.style == "human" and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def answer(self, *, document: object, lines: Iterable[str], quiet: Iterable[str] = ()) -> None:
        """Say what was asked for, in the one form that was asked for."""
        if self.style == "json":
            self._print(json.dumps(jsonable(document), indent=2, ensure_ascii=not _speaks_unicode()))
            return
        for line in quiet if self.style == "quiet" else lines:
            self._print(harmless(line))

    def done(self, line: str, **facts: object) -> None:
        """Say that an action is done."""
        self.answer(document={"is_success": True} | facts, lines=[line])

    def note(self, text: str) -> None:
        """Something useful beside the answer; the quiet do not hear it."""
        if self.style != "quiet":
            self._complain(text)

    def warn(self, text: str) -> None:
        """Something that everybody should know."""
        self._complain(text)

    def fail(self, sentence: str, fix: Sequence[str], facts: Mapping[str, object]) -> None:
        """Say why the command did not work: words to standard error, for ``json`` the document as well."""
        if self.style == "json":
            self._print(json.dumps({"error": jsonable(facts)}, indent=2))
        self._complain(sentence)
        for line in fix:
            self._complain(f"  {line}")

    def _print(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def _complain(self, text: str) -> None:
        for line in text.split("\n"):
            sys.stderr.write(harmless(line) + "\n")
        sys.stderr.flush()


def _speaks_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def jsonable(value: Any) -> Any:
    """The value as JSON holds it: shapes as objects, everything else that JSON does not know as text."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(name): jsonable(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(each) for each in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
