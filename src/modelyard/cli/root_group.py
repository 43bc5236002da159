"""The root of the command tree, which imports and builds a command when it is run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_group

from modelyard.cli.commands import CLIENT_COMMANDS, COMMAND_GROUPS, HIDDEN_COMMANDS, SERVER_COMMANDS
from modelyard.cli.terminal.output import Output
from modelyard.wire.texts.validation_messages import reword_message

_MODULES = {name: command.module for name, command in CLIENT_COMMANDS.items()} | HIDDEN_COMMANDS


@cache
def _build_commands(module: str) -> dict[str, Any]:
    """Import a module of commands and build them, once in a process: modules add commands to their own groups."""
    app = typer.Typer(rich_markup_mode=None)
    import_module(f"modelyard.cli.{module}").add_to(app)
    root: Any = get_group(app)
    complete_help(root)
    return dict(root.commands)


def complete_help(command: Any) -> None:
    """Make the help of a command, and of all below it, show whole summaries, and types as people call them."""
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name = (parameter.metavar or parameter.name).upper().removesuffix("...")
            parameter.metavar = re.sub(r"^\[(.*)\]$", r"\1", name)
            parameter.get_usage_pieces = partial(_build_usage_pieces, parameter)
        show_type = parameter.display_type
        parameter.display_type = partial(_display_element_type, show_type)
    for below in getattr(command, "commands", {}).values():
        # Typer cuts a help text in a list to one line, but not a short one.
        below.short_help = below.short_help or " ".join((below.help or "").partition("\n\n")[0].split())
        complete_help(below)


def _build_usage_pieces(argument: Any, ctx: Any) -> list[str]:  # noqa: ARG001 - Typer's signature
    """Return what an argument is in the usage line: its name as messages have it, in brackets if it may be left out."""
    name = argument.metavar if argument.nargs == 1 else f"{argument.metavar}..."
    return [name if argument.required else f"[{name}]"]


def _display_element_type(show_type: Callable[[Any], str], ctx: Any) -> str:
    """Return the type of a parameter, such as ``<str>``; for one that may be repeated, that of each value."""
    return re.sub(r"^<list\[(.*)\]>$", r"<\1>", show_type(ctx))


@contextmanager
def _printing_usage_errors(*, is_json: bool) -> Iterator[None]:
    """Reword usage errors, and with ``is_json`` print them as JSON on standard output; Typer prints them for people."""
    try:
        yield
    except TyperException as refused:
        refused.message = reword_message(refused.message)
        if is_json:
            error = {"error_code": type(refused).__name__, "detail": refused.format_message()}
            document = {"error": error | {"exit_code": refused.exit_code, "fix": []}}
            Output("json").answer(document=document, lines=[])
        raise


@contextmanager
def _requiring_answers() -> Iterator[None]:
    """Turn the end of standard input at a question into a usage error: a script has to answer by an option."""
    try:
        yield
    except typer.Abort as aborted:
        if not isinstance(aborted.__context__, EOFError):
            raise
        typer.echo(err=True)
        raise typer.BadParameter(
            "The question got no answer. Answer it in a terminal, or by an option or argument, which --help lists."
        ) from None


class RootGroup(TyperGroup):
    """The group of all commands of the client. Groups below it are built at once, and suggest names by Typer's rule."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's signature
        """Return the names of all commands, in the order of the help."""
        return [name for names in COMMAND_GROUPS.values() for name in names]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - Typer's signature
        """Import and build a command; None if there is none of this name."""
        module = _MODULES.get(cmd_name)
        if module is None:
            return None
        if cmd_name not in self.commands:
            self.commands.update(_build_commands(module))
        return self.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Resolve the command that ``args`` begins with.

        Raises:
            UsageError: there is none of that name; the message has what it is called here, or up to three similar
                names or commands whose help has the word, the server's included.
        """
        name = args[0]
        if name not in _MODULES:
            from modelyard.cli.command_search import suggest

            if suggestion := suggest(name, self):
                ctx.fail(f"No such command '{name}'.{suggestion}")
        return super().resolve_command(ctx, args)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the global options; a usage error is printed as JSON too, with ``--json``."""
        with _printing_usage_errors(is_json="--json" in args):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C at a question ends it as Ctrl-C does elsewhere, not as an aborted command.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed at a question.
            BadParameter: a value is not valid, or a question got no answer; the message is in plain words.
        """
        try:
            with _printing_usage_errors(is_json=bool(ctx.params.get("json"))), _requiring_answers():
                return super().invoke(ctx)
        except typer.Abort as aborted:
            if not isinstance(aborted.__context__, KeyboardInterrupt):
                raise
            # The cursor is behind the question.
            typer.echo(err=True)
            raise KeyboardInterrupt from None

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer's signature
        """Write the client's commands by group, then the server's, which are not part of this tree."""
        width = max(map(len, [*CLIENT_COMMANDS, *SERVER_COMMANDS]))
        for title, names in COMMAND_GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), CLIENT_COMMANDS[name].help) for name in names])
        with formatter.section("On a server"):
            formatter.write_dl([(name.ljust(width), text) for name, text in SERVER_COMMANDS.items()])
