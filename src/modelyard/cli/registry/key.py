"""``key``: list, show, create, rotate and revoke the keys of programs and machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.commands import CLIENT_COMMANDS
from modelyard.cli.registry.listing import ListFormat, find_and_change, print_details, print_list
from modelyard.cli.terminal.formatting import format_age, format_time
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.credentials import Credential

key = typer.Typer(no_args_is_help=True, help=CLIENT_COMMANDS["key"].help)


def add_to(app: typer.Typer) -> None:
    """Add the group to the command tree."""
    app.add_typer(key, name="key")


KeyName = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="The key's first 11 characters, its id or the first 8 digits of that, or its name: modelyard key ls",
    ),
]


@key.command("create")
def create_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A name that says what the key is for.")],
    kind: Annotated[
        str, typer.Option(help="integration (sk-, for programs) or agent (ak-, for machines).")
    ] = "integration",
    access: Annotated[str | None, typer.Option(help="read or write, for integrations; write by default.")] = None,
    expires_in_days: Annotated[
        int | None, typer.Option("--expires", help="Days until it expires, 1 to 365; by default it never expires.")
    ] = None,
) -> None:
    """Create a key. It is shown only once: store it where only its program can read it.

    Example: modelyard key create "nightly training" --expires 90
    """
    from modelyard.wire.credentials import NewCredential

    values = {"kind": kind, "display_name": name, "expires_in_days": expires_in_days, "access": access}
    new = NewCredential.model_validate({field: value for field, value in values.items() if value is not None})
    terminal = terminal_of(context)
    created = terminal.call_registry(lambda registry: registry.create_credential(new))
    terminal.output.answer(document=created, lines=[created.raw_key], quiet=[created.raw_key])
    terminal.output.note(f"This key is shown only once. {_get_usage_hint(kind)}")


def _get_usage_hint(kind: str) -> str:
    """Return a sentence that names the environment variables from which a key of this kind is read."""
    if kind == "agent":
        return "A machine takes it from MODELYARD_AGENT_KEY, with MODELYARD_AGENT_URL."
    return "Programs take it from MODELYARD_TOKEN."


@key.command("ls")
def list_keys(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Expired and revoked keys too.")] = False,
) -> None:
    """List the team's keys, or only those of the devices and machines that you paired if you are not an admin."""
    from modelyard.client.resolve_people import list_all_credentials

    terminal = terminal_of(context)
    keys = terminal.call_registry(list_all_credentials)
    layout: ListFormat[Credential] = ListFormat(
        "credentials",
        ("KEY", "NAME", "KIND", "ACCESS", "STATE", "USED", "EXPIRES", "ID"),
        _build_row,
        lambda key: key.id,
        "No keys.",
    )
    print_list(terminal, [key for key in keys if everything or key.key_status in ("active", "stopped")], layout)


def _build_row(key: Credential) -> tuple[str, ...]:
    """Return the cells of a key: prefix, name, kind, access, state, last use, expiry and id."""
    return (
        f"{key.key_prefix}…",
        key.display_name,
        key.kind,
        key.access,
        key.key_status,
        format_age(key.last_used_at),
        format_time(key.expires_at) or "never",
        str(key.id),
    )


@key.command("show")
def show_key(context: typer.Context, key: KeyName) -> None:
    """Show one key: its access, when it was last used and when it expires. Its secret is not stored."""
    from modelyard.client.resolve_people import find_credential

    terminal = terminal_of(context)
    found = terminal.call_registry(lambda registry: find_credential(registry, key))
    pairs = [
        ("id", str(found.id)),
        ("key", f"{found.key_prefix}…"),
        ("name", found.display_name),
        ("kind", found.kind),
        ("access", found.access),
        ("state", found.key_status),
        ("used", format_age(found.last_used_at)),
        ("expires", format_time(found.expires_at) or "never"),
    ]
    print_details(terminal, found, found.id, pairs)


@key.command("rotate")
def rotate_key(
    context: typer.Context,
    key: KeyName,
    grace_hours: Annotated[
        int, typer.Option("--grace-hours", min=0, max=168, help="How long the old secret still works; 0 to 168.")
    ] = 24,
) -> None:
    """Give a key a new secret, which is shown only once. From then on the key counts as yours.

    Example: modelyard key rotate "nightly training" --grace-hours 2
    """
    from modelyard.client.resolve_people import find_credential
    from modelyard.wire.credentials import RotatedCredential, Rotation

    async def rotate(registry: RegistryApi) -> RotatedCredential:
        """Find the key and rotate it."""
        found = await find_credential(registry, key)
        return await registry.rotate_credential(found.id, Rotation(grace_hours=grace_hours))

    terminal = terminal_of(context)
    rotated = terminal.call_registry(rotate)
    terminal.output.answer(document=rotated, lines=[rotated.raw_key], quiet=[rotated.raw_key])
    old = f"works until {format_time(rotated.previous_key_until)}" if grace_hours else "does not work any more"
    terminal.output.note(f"This key is shown only once; the old one {old}. {_get_usage_hint(rotated.kind)}")


@key.command("rm")
def revoke_key(context: typer.Context, key: KeyName) -> None:
    """Revoke a key: it stops working at once and cannot be restored."""
    from modelyard.client.resolve_people import find_credential

    terminal = terminal_of(context)
    found = find_and_change(
        terminal,
        lambda registry: find_credential(registry, key),
        lambda registry, found: registry.revoke_credential(found.id),
    )
    terminal.output.done(f"Revoked {found.key_prefix}… ('{found.display_name}').", id=found.id)
