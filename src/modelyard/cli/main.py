"""The command tree, the global options, and the one place where a failure becomes words and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from itertools import islice
from typing import Annotated

import typer

from modelyard import __version__
from modelyard.cli import (
    accounts,
    agent,
    agents,
    audit,
    doctor,
    invitations,
    keys,
    models,
    pair,
    pull,
    push,
    sync,
    teams,
)
from modelyard.cli.output import Output
from modelyard.cli.terminal import Terminal

EPILOG = (
    "The options --url, --team, --json and --quiet may stand anywhere in a command. On a server: modelyard serve, "
    "modelyard migrate, modelyard reset-password, modelyard collect-garbage, modelyard restore-team."
)
INTERRUPTED = 130
# The global options, and how many values follow each.
_GLOBAL = {"--url": 1, "--team": 1, "--json": 0, "--quiet": 0, "-q": 0}

app = typer.Typer(
    name="modelyard",
    help="Keep a team's ComfyUI models in one registry: push files, list them, pull them on any machine.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"modelyard {__version__}")
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    *,
    url: Annotated[
        str | None, typer.Option(help="The registry's address; else MODELYARD_URL, else the profile.")
    ] = None,
    team: Annotated[
        str | None, typer.Option(help="A team's id or name; else MODELYARD_TEAM, else the profile.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only ids or paths on standard output.")] = False,
    version: Annotated[  # noqa: ARG001 - typer calls its callback
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if context.resilient_parsing:
        return
    from modelyard.client.settings import read_settings

    context.obj = Terminal(
        read_settings(os.environ, url, team), Output("json" if json else "quiet" if quiet else "human")
    )


for each in (accounts, push, pull, models, sync, doctor):
    each.add_to(app)
app.add_typer(teams.team, name="team")
app.add_typer(teams.members, name="members")
app.add_typer(invitations.invite, name="invite")
app.add_typer(keys.keys, name="keys")
app.add_typer(pair.pair, name="pair")
app.add_typer(agent.agent, name="agent")
app.add_typer(agents.agents, name="agents")
audit.add_to(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code; failures that people can act on are told in words."""
    words = globals_first(arguments)
    _speak_any_text()
    try:
        app(words, prog_name="modelyard", standalone_mode=True)
    except SystemExit as ended:
        # Typer answers Ctrl-C with this code, and a reader that went away with 1; both without a word.
        exit_code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        return _interrupted(words) if exit_code == INTERRUPTED else exit_code
    except KeyboardInterrupt:
        return _interrupted(words)
    except Exception as error:  # noqa: BLE001 - what is not in the table is raised again
        return _told(error, "json" if "--json" in words else "human")
    return 0


def _interrupted(words: Sequence[str]) -> int:
    moves_files = not {"push", "pull", "sync"}.isdisjoint(words)
    kept = " What has arrived is kept: the same command goes on from there." if moves_files else ""
    sys.stderr.write(f"Interrupted.{kept}\n")
    return INTERRUPTED


def _told(error: Exception, style: str) -> int:
    from modelyard.cli.explain import explained

    told = explained(error)
    if told is None:
        raise error
    Output("json" if style == "json" else "human").fail(told.sentence, told.fix, told.facts)
    return told.exit_code


def globals_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with the global options in front, wherever they stood before a ``--``."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in _GLOBAL:
            front += [word, *islice(words, _GLOBAL[word])]
        elif word.startswith(("--url=", "--team=")):
            front.append(word)
        else:
            rest.append(word)
    return front + rest


def _speak_any_text() -> None:
    """Spell out what the terminal's encoding lacks, rather than fail in the middle of an answer."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
