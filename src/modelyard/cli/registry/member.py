"""``member``: list, show and remove the members of the current team, and change their roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.commands import CLIENT_COMMANDS
from modelyard.cli.registry.creator_keys import KeysTo, StopKeys, apply_with_keys
from modelyard.cli.registry.listing import ListFormat, print_details, print_list
from modelyard.cli.terminal.formatting import format_time
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from uuid import UUID

    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.teams import Member

member = typer.Typer(no_args_is_help=True, help=CLIENT_COMMANDS["member"].help)


def add_to(app: typer.Typer) -> None:
    """Add the group to the command tree."""
    app.add_typer(member, name="member")


MemberName = Annotated[
    str, typer.Argument(metavar="MEMBER", help="An e-mail address, a user's id or its first 8 digits, or a name.")
]


@member.command("ls")
def list_members(context: typer.Context) -> None:
    """List the members and their roles."""
    from modelyard.client.resolve_people import list_all_members

    terminal = terminal_of(context)
    layout: ListFormat[Member] = ListFormat(
        "member_list",
        ("E-MAIL", "NAME", "ROLE", "SINCE", "ID"),
        _build_row,
        lambda member: member.user_id,
        "No members.",
    )
    print_list(terminal, terminal.call_registry(list_all_members), layout)


def _build_row(member: Member) -> tuple[str, ...]:
    """Return the cells of a member: address, name, role, since when, and id."""
    return (
        member.email_address,
        member.display_name,
        member.member_role,
        format_time(member.joined_at),
        str(member.user_id),
    )


@member.command("show")
def show_member(context: typer.Context, member: MemberName) -> None:
    """Show one member: name, role, and since when."""
    from modelyard.client.resolve_people import find_member

    terminal = terminal_of(context)
    found = terminal.call_registry(lambda registry: find_member(registry, member))
    pairs = [
        ("id", str(found.user_id)),
        ("e-mail", found.email_address),
        ("name", found.display_name),
        ("role", found.member_role),
        ("since", format_time(found.joined_at)),
    ]
    print_details(terminal, found, found.user_id, pairs)


@member.command("role")
def change_role(
    context: typer.Context,
    member: MemberName,
    role: Annotated[str, typer.Argument(help="admin, member or viewer.")],
    keys_to: KeysTo = None,
    stop_keys: StopKeys = False,
) -> None:
    """Change a member's role.

    When an admin gets a lower role, the keys that they made for programs and machines are handed over or revoked, and
    open invitations that they made are withdrawn.
    """
    from modelyard.client.resolve_people import find_member
    from modelyard.wire.teams import RoleChange

    terminal = terminal_of(context)
    found = terminal.call_registry(lambda registry: find_member(registry, member))
    new_role = RoleChange.model_validate({"member_role": role})

    async def change(registry: RegistryApi, new_owner: UUID | None, stop: bool) -> None:
        """Change the role, and hand the member's keys to ``new_owner`` or revoke them."""
        await registry.change_role(found.user_id, new_role, keys_to=new_owner, stop_keys=stop)

    apply_with_keys(terminal, change, keys_to, stop_keys)
    terminal.output.done(f"The role of {found.email_address} is now {role}.", user_id=found.user_id)


@member.command("rm")
def remove_member(
    context: typer.Context, member: MemberName, keys_to: KeysTo = None, stop_keys: StopKeys = False
) -> None:
    """Remove a member; their devices stop working too.

    Keys that an admin made for programs and machines are handed over or revoked. Open invitations that they made are
    withdrawn.
    """
    from modelyard.client.resolve_people import find_member

    terminal = terminal_of(context)
    found = terminal.call_registry(lambda registry: find_member(registry, member))

    async def remove(registry: RegistryApi, new_owner: UUID | None, stop: bool) -> None:
        """Remove the member, and hand their keys to ``new_owner`` or revoke them."""
        await registry.remove_member(found.user_id, keys_to=new_owner, stop_keys=stop)

    apply_with_keys(terminal, remove, keys_to, stop_keys)
    terminal.output.done(f"Removed {found.email_address} from the team.", user_id=found.user_id)
