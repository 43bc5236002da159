"""The root of the command tree: lists the server's commands in its help, and suggests names for a mistyped one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from typer.core import TyperGroup

from modelyard.cli.server_commands import SERVER_COMMANDS


class RootGroup(TyperGroup):
    """The group of all commands. Groups below it suggest names by Typer's own rule."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Resolve the command that ``args`` begins with.

        Raises:
            UsageError: there is none of that name; the message has up to three similar names, the server's included.
        """
        name = args[0]
        if name not in self.commands:
            similar = get_close_matches(name, [*self.commands, *SERVER_COMMANDS])
            if similar:
                ctx.fail(f"No such command '{name}'. Did you mean {' or '.join(map(repr, similar))}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the client's commands, then the server's, which are not part of this tree."""
        super().format_commands(ctx, formatter)
        with formatter.section("On a server"):
            formatter.write_dl(list(SERVER_COMMANDS.items()))
