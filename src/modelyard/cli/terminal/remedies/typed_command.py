"""The words of a command that failed, from which remedies repeat the command and name what it was about."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from modelyard.cli.terminal.formatting import quote_word

# A word from which on all are arguments.
_END_OF_OPTIONS = "--"


class _Piece(NamedTuple):
    """One argument, or one option with its value, as it was typed; ``parameter`` is the option's, if it is one."""

    words: tuple[str, ...]
    parameter: Any = None


@dataclass(frozen=True)
class TypedCommand:
    """The words of a command after ``modelyard``, and what the program takes them for.

    ``names`` are those of the command, such as ``["version", "rm"]``; ``values`` pairs of a parameter, of the program
    or of the command, and its value.
    """

    words: Sequence[str]
    names: Sequence[str]
    values: Sequence[tuple[Any, Any]]

    def find_value(self, name: str) -> str | None:
        """Return the value of the argument or option that the help calls ``name``; None unless there is exactly one.

        That of a ``MODEL[@N]`` is without its version.
        """
        typed = self.list_values(name)
        return typed[0] if len(typed) == 1 else None

    def list_values(self, name: str) -> list[str]:
        """Return all values of what the help calls ``name``, see ``find_value``."""
        return [
            re.sub(r"@\d+$", "", value) if "@" in str(each.metavar) else value
            for each, _ in self.values
            if get_help_name(each) == name
            for value in self.get_values(each)
        ]

    def list_option_values(self, option: str) -> list[str]:
        """Return the values of an option that may be repeated; empty if it was not typed."""
        parameter = self._find_option(option)
        return [] if parameter is None else self.get_values(parameter)

    def get_values(self, parameter: Any) -> list[str]:
        """Return the values of an argument or option as texts."""
        value = next((value for each, value in self.values if each is parameter), None)
        return [str(each) for each in (value if isinstance(value, list | tuple) else [value]) if each is not None]

    def repeat(self, options: Sequence[tuple[str, str]] = (), file: Path | None = None) -> str | None:
        """Return the command as it can be pasted, with options added or their values replaced.

        With ``file``, that file is in place of all arguments. None if the command has no such option.
        """
        pieces = list(self._split())
        if file is not None:
            pieces = self._replace_arguments(pieces, f"./{file}" if str(file).startswith("-") else str(file))
        for option, value in options:
            parameter = self._find_option(option)
            if parameter is None or is_flag(parameter) is bool(value):
                return None
            pieces = [each for each in pieces if each.parameter is not parameter]
            end = next((at for at, each in enumerate(pieces) if each.words == (_END_OF_OPTIONS,)), len(pieces))
            pieces.insert(end, _Piece((option, value) if value else (option,), parameter))
        return " ".join(["modelyard", *(quote_word(word) for piece in pieces for word in piece.words)])

    def select_argument(self, argument: str) -> TypedCommand:
        """Return the same command with one of its arguments only."""
        words = [word for piece in self._replace_arguments(list(self._split()), argument) for word in piece.words]
        values = [(each, [argument] if each.param_type_name == "argument" else value) for each, value in self.values]
        return replace(self, words=words, values=values)

    def _replace_arguments(self, pieces: Sequence[_Piece], argument: str) -> list[_Piece]:
        """Return the pieces with one argument in place of all that follow the command's names."""
        places = [at for at, each in enumerate(pieces) if each.parameter is None and each.words != (_END_OF_OPTIONS,)][
            len(self.names) :
        ]
        kept = [each for at, each in enumerate(pieces) if at not in places[1:]]
        if places:
            kept[places[0]] = _Piece((argument,))
        return kept

    def _split(self) -> Iterator[_Piece]:
        """Yield the words of the command, each option together with its value."""
        words = iter(self.words)
        for word in words:
            if word == _END_OF_OPTIONS:
                yield _Piece((word,))
                yield from (_Piece((each,)) for each in words)
            elif not word.startswith("-") or word == "-":
                yield _Piece((word,))
            else:
                yield self._read_option(word, words)

    def _read_option(self, word: str, following: Iterator[str]) -> _Piece:
        """Return an option with its value, which is in the same word or in the one that follows."""
        name, separator, _ = word.partition("=")
        parameter = self._find_option(name if word.startswith("--") else word[:2])
        is_complete = bool(separator) if word.startswith("--") else len(word) > 2
        if parameter is None or is_flag(parameter) or is_complete:
            return _Piece((word,), parameter or word)
        return _Piece((word, *(value for value in [next(following, None)] if value is not None)), parameter)

    def _find_option(self, name: str) -> Any:
        """Return the parameter that an option such as ``--to`` or ``-o`` sets; None if there is none."""
        return next((each for each, _ in self.values if name in (*each.opts, *each.secondary_opts)), None)


def is_flag(parameter: Any) -> bool:
    """Return whether a parameter is an option without a value."""
    return bool(getattr(parameter, "is_flag", False))


def get_help_name(parameter: Any) -> str:
    """Return what the help calls the value of a parameter, without ``...`` and brackets, such as ``MODEL``."""
    return re.sub(r"\W.*", "", (parameter.metavar or parameter.name).lstrip("[")).upper()


def read_typed_command(program: Any, words: Sequence[str], moved: Sequence[str]) -> TypedCommand:
    """Return what ``program``, the root of the command tree, takes words for, which name a command; it runs nothing.

    ``moved`` are the same words with the global options first.
    """
    context = program.make_context("modelyard", [*moved], resilient_parsing=True)
    names: list[str] = []
    values = _list_values(context)
    while hasattr(context.command, "resolve_command"):
        # The first word after the group's own options is apart from the others.
        name, command, rest = context.command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context, resilient_parsing=True)
        names.append(str(name))
        values += _list_values(context)
    return TypedCommand(words, names, values)


def _list_values(context: Any) -> list[tuple[Any, Any]]:
    """Return the parameters of a command with their values."""
    return [(each, context.params.get(each.name)) for each in context.command.params]
