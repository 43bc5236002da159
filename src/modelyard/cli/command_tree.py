"""The program, its global options, and the handling of failures: their messages and exit codes."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.main import get_command

from modelyard import __version__
from modelyard.build import format_version
from modelyard.cli.root_group import RootGroup
from modelyard.cli.terminal.interrupting import INTERRUPTED, build_interruption_text
from modelyard.cli.terminal.output import Output, Style
from modelyard.cli.terminal.terminal import Terminal

if TYPE_CHECKING:
    from modelyard.cli.terminal.remedies.typed_command import TypedCommand

EPILOG = "The options --url, --team, --json and --quiet can be anywhere in a command."
# The global options, and how many values follow each.
_GLOBAL = {"--url": 1, "--team": 1, "--json": 0, "--quiet": 0, "-q": 0}

app = typer.Typer(
    name="modelyard",
    cls=RootGroup,
    help="A registry for a team's ComfyUI models: push files, list them, and pull them on any machine.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_requested: bool) -> None:
    """Print the version and exit, if the option is given."""
    if is_requested:
        typer.echo(f"modelyard {format_version(__version__)}")
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    *,
    url: Annotated[
        str | None, typer.Option(help="The registry's address; by default MODELYARD_URL or the current profile's.")
    ] = None,
    team: Annotated[
        str | None, typer.Option(help="A team's id or name; by default MODELYARD_TEAM or the current profile's.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only ids or paths on standard output.")] = False,
    version: Annotated[  # noqa: ARG001 - typer calls its callback
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Store a ``Terminal`` with the global options in the context, for ``terminal_of``; not for shell completion."""
    if context.resilient_parsing:
        return
    from modelyard.client.settings import parse_team_id, read_settings

    style: Style = "json" if json else "quiet" if quiet else "human"
    settings, output = read_settings(os.environ, url, team), Output(style)
    if team is not None and settings.has_team_key and parse_team_id(team) is not None:
        output.warn("MODELYARD_TOKEN has a key, which acts in its own team only: --team does not change that.")
    context.obj = Terminal(settings, output, url, context.obj, team)


@cache
def _build_root() -> Any:
    """Build the root of the command tree, once in a process."""
    return get_command(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; print failures that a user can act on, and raise bugs."""
    words = move_global_options_first(arguments)
    read_typed = partial(_read_typed, tuple(arguments))
    _escape_unencodable_output()
    try:
        _build_root()(words, prog_name="modelyard", standalone_mode=True, obj=read_typed)
    except SystemExit as ended:
        # Typer ends with this code after Ctrl-C, and with 1 after a broken pipe; it prints nothing for either.
        exit_code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        return _report_interruption(words) if exit_code == INTERRUPTED else exit_code
    except KeyboardInterrupt:
        return _report_interruption(words)
    except Exception as error:  # noqa: BLE001 - failures that are not in the table are raised again
        return _report_failure(error, "json" if "--json" in words else "human", read_typed())
    return 0


def _report_interruption(words: Sequence[str]) -> int:
    """Print on standard error that the command was interrupted, and return exit code 130."""
    sys.stderr.write(build_interruption_text(words))
    return INTERRUPTED


def _read_typed(arguments: Sequence[str]) -> TypedCommand:
    """Return what the program takes the arguments for."""
    from modelyard.cli.terminal.remedies.typed_command import read_typed_command

    return read_typed_command(_build_root(), arguments, move_global_options_first(arguments))


def _report_failure(error: Exception, style: Style, typed: TypedCommand) -> int:
    """Print a failure and its remedies, and return its exit code; re-raise an error of an unknown class."""
    from modelyard.cli.terminal.errors import explain_failure

    explanation = explain_failure(error, typed)
    if explanation is None:
        raise error
    Output(style).fail(explanation.sentence, explanation.fix, explanation.facts)
    return explanation.exit_code


def move_global_options_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the global options and their values moved to the front, except after ``--``.

    An option that follows a command with an option of the same name is the command's.
    """
    front: list[str] = []
    remaining: list[str] = []
    words = iter(arguments)
    command: Any = _build_root()
    for word in words:
        name, separator, _ = word.partition("=")
        if word == "--":
            remaining += [word, *words]
        elif name in _GLOBAL and (_GLOBAL[name] or not separator) and not _has_option(command, name):
            front += [word, *islice(words, 0 if separator else _GLOBAL[name])]
        else:
            remaining.append(word)
            command = _find_below(command, word)
    return front + remaining


def _find_below(command: Any, name: str) -> Any:
    """Return the command of this name in a group; the command itself if it is none, or has no such command."""
    return (command.get_command(None, name) if hasattr(command, "commands") else None) or command


def _has_option(command: Any, name: str) -> bool:
    """Return whether a command, which is no group, has an option of this name."""
    return not hasattr(command, "commands") and any(name in each.opts for each in command.params)


def _escape_unencodable_output() -> None:
    """Make the standard streams escape characters that their encoding lacks, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
