"""The question before a model gets a type that is new to the team, and the option that answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelyard.cli.terminal.terminal import Terminal

NewType = Annotated[bool, typer.Option("--new-type", help="Use a type that is new to the team without a question.")]


def confirm_new_types(
    terminal: Terminal, model_types: Iterable[str], *, is_accepted: bool, is_dry_run: bool = False
) -> None:
    """Ask whether to use those of the types that are not known and that no model of the team has.

    In a dry run, only say that it would be asked.

    Raises:
        BadParameter: standard input is not a terminal, or the output is JSON, so that no question can be asked.
        Abort: the answer is no.
    """
    from modelyard.client.new_types import list_new_types, list_unknown_types

    unknown = [] if is_accepted else list_unknown_types(model_types)
    new = terminal.call_registry(lambda registry: list_new_types(registry, unknown)) if unknown else []
    if not new:
        return
    names = ", ".join(f"'{each}'" for each in new)
    sentence = f"No folder {names} is known, and no model of the team has this type. Machines would create the folder."
    if not terminal.can_ask:
        raise typer.BadParameter(f"{sentence} To use it all the same, add --new-type.")
    terminal.output.note(f"{sentence} It would be asked first." if is_dry_run else sentence)
    if is_dry_run:
        return
    typer.confirm("Use it all the same?", abort=True, err=True)
