"""``source-token``: list, set and remove the tokens that imports send to sources."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.commands import CLIENT_COMMANDS
from modelyard.cli.registry.listing import ListFormat, print_list
from modelyard.cli.terminal.formatting import format_time
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from modelyard.wire.imports.tokens import SourceToken, SourceTokenList, SourceTokenState

source_token = typer.Typer(no_args_is_help=True, help=CLIENT_COMMANDS["source-token"].help)

Host = Annotated[
    str, typer.Argument(metavar="HOST", help="The exact host, such as huggingface.co, with :PORT if that is not 443.")
]


_STATES: dict[SourceTokenState, str] = {
    "used": "used",
    "unreadable": "unreadable: set it again",
    "off": "off: no key",
}


def add_to(app: typer.Typer) -> None:
    """Add the group to the command tree."""
    app.add_typer(source_token, name="source-token")


@source_token.command("ls")
def list_source_tokens(context: typer.Context) -> None:
    """List the hosts for which the team has a token. The tokens themselves are never shown."""
    terminal = terminal_of(context)
    found: SourceTokenList = terminal.call_registry(lambda registry: registry.list_source_tokens())
    layout: ListFormat[SourceToken] = ListFormat(
        "source_token_list",
        ("HOST", "SET BY", "SET", "STATE"),
        lambda token: (
            token.host,
            token.set_by.display_name,
            format_time(token.set_at),
            _STATES[token.token_state],
        ),
        lambda token: token.host,
        "No tokens.",
    )
    print_list(terminal, found.source_token_list, layout, {"is_enabled": found.is_enabled})
    if not found.is_enabled:
        terminal.output.note(
            "This registry stores and sends no tokens: its operator has not set MODELYARD_SECRETS_KEY or "
            "MODELYARD_SECRETS_KEY_FILE."
        )


@source_token.command("set")
def set_source_token(context: typer.Context, host: Host) -> None:
    """Set the token that imports send to a host, and to no other; it replaces the one before.

    The token is asked for without being shown, or read from standard input. Use one that can only read.

    Examples: modelyard source-token set huggingface.co; modelyard source-token set civitai.com < token.txt
    """
    from modelyard.wire.imports.tokens import NewSourceToken

    new = NewSourceToken(token=_read_token(host))
    terminal = terminal_of(context)
    terminal.call_registry(lambda registry: registry.set_source_token(host, new))
    terminal.output.done(f"Imports send the token to {host}.", host=host)


def _read_token(host: str) -> str:
    """Return the token from standard input, or asked for without being shown."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    answer: str = typer.prompt(f"Token for {host}", hide_input=True, err=True)
    return answer.strip()


@source_token.command("rm")
def delete_source_token(context: typer.Context, host: Host) -> None:
    """Remove the token for a host. It stays valid at the source: revoke it there, too, if it leaked."""
    terminal = terminal_of(context)
    terminal.call_registry(lambda registry: registry.delete_source_token(host))
    terminal.output.done(f"Imports send no token to {host} any more.", host=host)
