"""``keys``: what programs and machines sign in with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal import terminal_of
from modelyard.cli.words import age_words, table, time_words

if TYPE_CHECKING:
    from modelyard.client.registry import Registry
    from modelyard.wire.credentials import Credential

keys = typer.Typer(no_args_is_help=True, help="Keys for programs and machines: create, list, revoke.")


@keys.command("create")
def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    kind: Annotated[
        str, typer.Option(help="integration (sk-, for programs) or agent (ak-, for machines).")
    ] = "integration",
    access: Annotated[
        str | None, typer.Option(help="read or write; for integrations, write unless said otherwise.")
    ] = None,
    expires_in_days: Annotated[
        int | None, typer.Option("--expires", help="Days until it ends, 1 to 365; else never.")
    ] = None,
) -> None:
    """Create a key. It is shown this once: keep it where only its program can read it.

    Example: modelyard keys create "nightly training" --expires 90
    """
    from modelyard.wire.credentials import NewCredential

    asked = {"kind": kind, "display_name": name, "expires_in_days": expires_in_days, "access": access}
    new = NewCredential.model_validate({field: value for field, value in asked.items() if value is not None})
    terminal = terminal_of(context)
    made = terminal.ask(lambda registry: registry.create_credential(new))
    terminal.output.answer(document=made, lines=[made.raw_key], quiet=[made.raw_key])
    takes = (
        "A machine takes it from MODELYARD_AGENT_KEY, with MODELYARD_AGENT_URL."
        if kind == "agent"
        else "Programs take it from MODELYARD_TOKEN."
    )
    terminal.output.note(f"This key is shown once. {takes}")


@keys.command("ls")
def list_keys(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Expired and revoked ones as well.")] = False,
) -> None:
    """List the team's keys, or your own devices if you are no admin."""
    from modelyard.client.people import all_credentials

    terminal = terminal_of(context)
    found = [each for each in terminal.ask(all_credentials) if everything or each.key_status == "active"]
    rows = [
        (
            f"{each.key_prefix}…",
            each.display_name,
            each.kind,
            each.access,
            each.key_status,
            age_words(each.last_used_at),
            time_words(each.expires_at) or "never",
            str(each.id),
        )
        for each in found
    ]
    lines = table(("KEY", "NAME", "KIND", "ACCESS", "STATE", "USED", "ENDS", "ID"), rows) if rows else ["No keys."]
    terminal.output.answer(document={"credentials": found}, lines=lines, quiet=[str(each.id) for each in found])


@keys.command("revoke")
def revoke_key(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="The key's id, its first 11 characters, or its name.")],
) -> None:
    """Make a key worthless at once."""
    from modelyard.client.people import find_credential

    async def revoked(registry: Registry) -> Credential:
        found = await find_credential(registry, key)
        await registry.revoke_credential(found.id)
        return found

    terminal = terminal_of(context)
    found = terminal.ask(revoked)
    terminal.output.done(f"Revoked {found.key_prefix}… ('{found.display_name}').", id=found.id)
