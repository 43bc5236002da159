"""The words of the running command, which replace placeholders such as ``MODEL`` in remedies."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

# What arguments and options are called in the help, with ``[@N]`` and ``...`` left out.
_PLACEHOLDER = re.compile(r"(?<= )(?:MODEL|COLLECTION|MACHINE|HOST|LOCK|FILE|N)(?= |,|$)")
_typed: dict[str, str] = {}


def remember_typed_words(context: typer.Context) -> None:
    """Remember the arguments and options of a command that have one value, by their name in the help."""
    _typed.clear()
    for parameter in context.command.params:
        name = re.sub(r"\W.*", "", getattr(parameter, "metavar", None) or "")
        values = context.params.get(str(parameter.name))
        values = values if isinstance(values, list) else [values]
        if name and len(values) == 1 and values[0] is not None:
            value = str(values[0])
            # ``pull`` takes MODEL@3.
            _typed[name] = re.sub(r"@\d+$", "", value) if name == "MODEL" else value


def forget_typed_words() -> None:
    """Forget those of a command that has ended, since a program may run several."""
    _typed.clear()


def fill_placeholders(remedy: str, known: dict[str, str]) -> str:
    """Return a remedy with real words in its command; placeholders of which nothing is known stay.

    ``known`` takes precedence over what was typed.
    """
    sentence, separator, command = remedy.partition("modelyard ")
    words = {name: shlex.quote(value) for name, value in (_typed | known).items()}
    return sentence + separator + _PLACEHOLDER.sub(lambda match: words.get(match[0], match[0]), command)
