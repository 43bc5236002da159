"""``account``: change your names, and list and end your sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.commands import CLIENT_COMMANDS
from modelyard.cli.registry.listing import ListFormat, find_and_change, print_list
from modelyard.cli.terminal.formatting import format_age, format_time
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from modelyard.wire.accounts import AccountSession

account = typer.Typer(no_args_is_help=True, help=CLIENT_COMMANDS["account"].help)


def add_to(app: typer.Typer) -> None:
    """Add the group to the command tree."""
    app.add_typer(account, name="account")


@account.command("rename")
def rename_account(
    context: typer.Context,
    first_name: Annotated[str | None, typer.Option("--first", help="Your first name.")] = None,
    last_name: Annotated[str | None, typer.Option("--last", help="Your last name.")] = None,
) -> None:
    """Change your names, as all of your teams see them from now on.

    What is recorded already, such as who registered a model, keeps the name that you had then.

    Example: modelyard account rename --first Ada --last King
    """
    from modelyard.wire.accounts import ProfileUpdate

    given = {"first_name": first_name, "last_name": last_name}
    change = ProfileUpdate.model_validate({name: value for name, value in given.items() if value is not None})
    if not change.model_fields_set:
        raise typer.BadParameter("Name what to change: --first or --last.")
    terminal = terminal_of(context)
    terminal.call_registry(lambda registry: registry.update_me(change))
    terminal.output.done("Your names are changed.")
    terminal.output.note("Models, versions and events that are recorded already keep the name that you had then.")


@account.command("sessions")
def list_sessions(context: typer.Context) -> None:
    """List your sessions on all machines and in all browsers, newest first."""
    from modelyard.client.resolve_people import list_all_sessions

    terminal = terminal_of(context)
    layout: ListFormat[AccountSession] = ListFormat(
        "session_list",
        ("ID", "SIGNED IN", "USED", "PROGRAM", ""),
        _build_row,
        lambda session: session.id,
        "No sessions.",
    )
    print_list(terminal, terminal.call_registry(list_all_sessions), layout)


def _build_row(session: AccountSession) -> tuple[str, ...]:
    """Return the cells of a session: id, sign-in, last use, program, and whether it is this one."""
    return (
        str(session.id),
        format_time(session.created_at),
        format_age(session.last_used_at),
        session.user_agent or "unknown",
        "(this one)" if session.is_current else "",
    )


@account.command("end-session")
def end_session(
    context: typer.Context,
    session: Annotated[str, typer.Argument(help="The session's id or its first 8 digits: modelyard account sessions")],
) -> None:
    """End one of your sessions: the browser or machine has to sign in again."""
    from modelyard.client.resolve_people import find_session

    terminal = terminal_of(context)
    ended = find_and_change(
        terminal,
        lambda registry: find_session(registry, session),
        lambda registry, found: registry.end_session(found.id),
    )
    terminal.output.done("The session has ended.", id=str(ended.id))
