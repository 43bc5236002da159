"""``team``, ``members``: who works together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.terminal import Terminal, terminal_of
from modelyard.cli.words import fields, size_words, table, time_words
from modelyard.client.sizes import size_of

if TYPE_CHECKING:
    from modelyard.client.profile import Profile
    from modelyard.client.registry import Registry
    from modelyard.wire.teams import Team

team = typer.Typer(no_args_is_help=True, help="The team: show, create, rename, switch, settings, transfer, delete.")
members = typer.Typer(no_args_is_help=True, help="The members: list, change a role, remove, leave.")

MemberName = Annotated[str, typer.Argument(metavar="MEMBER", help="An e-mail address, a user's id or a name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@team.command("show")
def show_team(context: typer.Context) -> None:
    """Show the team, what it holds and its settings."""
    terminal = terminal_of(context)
    _show(terminal, terminal.ask(lambda registry: registry.current_team()))


def _show(terminal: Terminal, found: Team) -> None:
    quota = "no limit" if found.quota_bytes is None else size_words(found.quota_bytes)
    pairs = [
        ("id", str(found.id)),
        ("name", found.display_name),
        ("holds", f"{size_words(found.stored_bytes)}, quota: {quota}"),
        ("pickle files", "scanned" if found.pickle_policy == "scan" else "refused"),
        ("since", time_words(found.created_at)),
    ]
    terminal.output.answer(document=found, lines=fields(pairs), quiet=[str(found.id)])


@team.command("create")
def create_team(context: typer.Context, name: Annotated[str, typer.Argument(help="The team's name.")]) -> None:
    """Create a team, own it, and switch to it."""
    from modelyard.wire.teams import NewTeam

    terminal = terminal_of(context)
    created = terminal.ask(lambda registry: registry.create_team(NewTeam(display_name=name)))
    profile = saved_profile_of(terminal)
    if profile is not None:
        terminal.profiles.save(profile.model_copy(update={"team_id": created.id, "team_name": name}))
    terminal.output.answer(
        document=created, lines=[f"Created the team '{name}' ({created.id})."], quiet=[str(created.id)]
    )


def saved_profile_of(terminal: Terminal) -> Profile | None:
    from modelyard.client.connecting import saved_profile

    return saved_profile(terminal.settings, terminal.profiles)


@team.command("rename")
def rename_team(context: typer.Context, name: Annotated[str, typer.Argument(help="The new name.")]) -> None:
    """Give the team another name."""
    _change(terminal_of(context), {"display_name": name})


@team.command("settings")
def set_team(
    context: typer.Context,
    pickle_policy: Annotated[
        str | None,
        typer.Option(help="block refuses .ckpt, .pt and their like, which can run code; scan lets clean ones pass."),
    ] = None,
    quota: Annotated[
        str | None, typer.Option(help="How much the team may hold, such as 2TB; none for no limit.")
    ] = None,
) -> None:
    """Change the team's settings.

    Example: modelyard team settings --pickle-policy scan --quota 2TB
    """
    change: dict[str, Any] = {}
    if pickle_policy is not None:
        change["pickle_policy"] = pickle_policy
    if quota is not None:
        change["quota_bytes"] = None if quota == "none" else size_of(quota)
    _change(terminal_of(context), change)


def _change(terminal: Terminal, change: dict[str, Any]) -> None:
    from modelyard.wire.teams import TeamChange

    async def changed(registry: Registry) -> Team:
        if change:
            await registry.update_team(TeamChange(**change))
        return await registry.current_team()

    _show(terminal, terminal.ask(changed))


@team.command("switch")
def switch_team(context: typer.Context, name: Annotated[str, typer.Argument(help="A team's name or id.")]) -> None:
    """Work in another of your teams from now on."""
    from modelyard.client.connecting import team_in
    from modelyard.wire.problems import Unauthenticated

    terminal = terminal_of(context)
    me = terminal.ask(lambda registry: registry.me())
    chosen = team_in(me.team_list, name)
    profile = saved_profile_of(terminal)
    if profile is None:
        raise Unauthenticated("There is no saved sign-in to switch. With a key from MODELYARD_TOKEN, use --team.")
    terminal.profiles.save(profile.model_copy(update={"team_id": chosen.id, "team_name": chosen.display_name}))
    terminal.output.done(f"Working in '{chosen.display_name}' as {chosen.member_role}.", team_id=chosen.id)


@team.command("transfer")
def transfer_team(context: typer.Context, member: MemberName, yes: Yes = False) -> None:
    """Make another member the owner; you become an admin."""
    from modelyard.client.people import find_member
    from modelyard.wire.teams import Transfer

    terminal = terminal_of(context)
    found = terminal.ask(lambda registry: find_member(registry, member))
    if not yes:
        typer.confirm(f"Make {found.email_address} the owner of this team?", abort=True, err=True)
    terminal.ask(lambda registry: registry.transfer_team(Transfer(new_owner_id=found.user_id)))
    terminal.output.done(f"{found.email_address} owns the team now.", owner_id=found.user_id)


@team.command("delete")
def delete_team(context: typer.Context, yes: Yes = False) -> None:
    """Delete the team with all its models. For 7 days the registry's operator can bring it back."""
    terminal = terminal_of(context)
    found = terminal.ask(lambda registry: registry.current_team())
    if not yes:
        typed = typer.prompt(f"Type the team's name ({found.display_name}) to delete it and its models", err=True)
        if typed != found.display_name:
            raise typer.Abort
    terminal.ask(lambda registry: registry.delete_team())
    profile = saved_profile_of(terminal)
    if profile is not None and profile.team_id == found.id:
        terminal.profiles.save(profile.model_copy(update={"team_id": None, "team_name": None}))
    terminal.output.done(
        f"Deleted the team '{found.display_name}'. For 7 days the registry's operator can bring it back: "
        f"modelyard restore-team {found.id}"
    )


@members.command("ls")
def list_members(context: typer.Context) -> None:
    """List the members and their roles."""
    from modelyard.client.people import all_members

    terminal = terminal_of(context)
    found = terminal.ask(all_members)
    rows = [
        (
            member.email_address,
            member.display_name,
            member.member_role,
            time_words(member.joined_at),
            str(member.user_id),
        )
        for member in found
    ]
    lines = table(("E-MAIL", "NAME", "ROLE", "SINCE", "ID"), rows)
    terminal.output.answer(
        document={"member_list": found}, lines=lines, quiet=[str(member.user_id) for member in found]
    )


@members.command("role")
def change_role(
    context: typer.Context, member: MemberName, role: Annotated[str, typer.Argument(help="admin, member or viewer.")]
) -> None:
    """Change what a member may do."""
    from modelyard.client.people import find_member
    from modelyard.wire.teams import Member, RoleChange

    async def changed(registry: Registry) -> Member:
        found = await find_member(registry, member)
        await registry.change_role(found.user_id, RoleChange.model_validate({"member_role": role}))
        return found

    terminal = terminal_of(context)
    found = terminal.ask(changed)
    terminal.output.done(f"{found.email_address} is {role} now.", user_id=found.user_id)


@members.command("rm")
def remove_member(context: typer.Context, member: MemberName) -> None:
    """Remove a member; their devices stop working too."""
    from modelyard.client.people import find_member
    from modelyard.wire.teams import Member

    async def removed(registry: Registry) -> Member:
        found = await find_member(registry, member)
        await registry.remove_member(found.user_id)
        return found

    terminal = terminal_of(context)
    found = terminal.ask(removed)
    terminal.output.done(f"{found.email_address} is no member any more.", user_id=found.user_id)


@members.command("leave")
def leave_team(context: typer.Context, yes: Yes = False) -> None:
    """Leave the team. Your devices in it stop working."""
    terminal = terminal_of(context)
    if not yes:
        typer.confirm("Leave this team?", abort=True, err=True)

    async def left(registry: Registry) -> None:
        await registry.remove_member((await registry.me()).id)

    terminal.ask(left)
    terminal.output.done("You have left the team. Choose another: modelyard team switch NAME")
