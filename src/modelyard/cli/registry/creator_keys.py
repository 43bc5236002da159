"""Options and a prompt for the keys that a member made, when the member leaves or gets a lower role."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.wire.problems import KeysWouldStop

if TYPE_CHECKING:
    from uuid import UUID

    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi

KeysTo = Annotated[
    str | None,
    typer.Option("--keys-to", metavar="ADMIN", help="Hand the keys that they made to this admin or owner."),
]
StopKeys = Annotated[bool, typer.Option("--stop-keys", help="Revoke the keys that they made.")]
# Called with the registry, the new owner of the keys if there is one, and whether to revoke them.
Change = Callable[["RegistryApi", "UUID | None", bool], Awaitable[None]]


def apply_with_keys(terminal: Terminal, change: Change, keys_to: str | None, stop_keys: bool) -> None:
    """Apply a change to a member, and prompt for what to do with their keys if the registry requires a choice.

    Raises:
        BadParameter: both options are given.
        KeysWouldStop: no option makes the choice, and standard input is not a terminal or the output is JSON.
    """
    if keys_to is not None and stop_keys:
        raise typer.BadParameter("Give --keys-to or --stop-keys, not both.")
    try:
        terminal.call_registry(lambda registry: _apply(registry, change, keys_to, stop_keys))
    except KeysWouldStop as refused:
        if not terminal.can_ask:
            raise
        keys_to, stop_keys = _prompt_for_choice(terminal, refused)
        terminal.call_registry(lambda registry: _apply(registry, change, keys_to, stop_keys))
    if keys_to is not None:
        terminal.output.note(
            "They may still know the secrets of the keys that were handed over. New ones: modelyard key rotate KEY"
        )


async def _apply(registry: RegistryApi, change: Change, keys_to: str | None, stop_keys: bool) -> None:
    """Find the new owner of the keys, if one is given, see ``find_member``; apply the change."""
    from modelyard.client.resolve_people import find_member

    new_owner = None if keys_to is None else (await find_member(registry, keys_to)).user_id
    await change(registry, new_owner, stop_keys)


def _prompt_for_choice(terminal: Terminal, refused: KeysWouldStop) -> tuple[str | None, bool]:
    """List at most 100 keys and prompt for their new owner; return the answer, or None and True to revoke them."""
    terminal.output.note("These keys work only while the person who created them is an admin:")
    for key in refused.facts.get("key_list", []):
        terminal.output.note(f"  {key['key_prefix']}…  {key['kind']}  {key['display_name']}")
    answer: str = typer.prompt("E-mail address of the admin who takes them over, or 'stop' to revoke them", err=True)
    return (None, True) if answer == "stop" else (answer, False)
