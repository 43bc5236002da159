"""``team``: list and switch the user's teams, and show and change the current one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.commands import CLIENT_COMMANDS
from modelyard.cli.registry.creator_keys import KeysTo, StopKeys, apply_with_keys
from modelyard.cli.registry.listing import ListFormat, print_details, print_list
from modelyard.cli.registry.loaders.loader import loader
from modelyard.cli.terminal.formatting import format_size, format_time
from modelyard.cli.terminal.terminal import Terminal, Yes, terminal_of
from modelyard.comfyui.quoting import counted
from modelyard.wire.search.sizes import parse_size

if TYPE_CHECKING:
    from uuid import UUID

    from modelyard.client.api.registry import RegistryApi
    from modelyard.client.profile import Profile
    from modelyard.wire.accounts import Me, OwnTeam
    from modelyard.wire.teams import Team

_PICKLE_POLICIES = {
    "block": "refused",
    "scan": "accepted if a scan finds nothing",
    "trusted": "accepted if a scan finds nothing, or an admin has allowed them",
    "convert": "kept to be converted",
}
team = typer.Typer(no_args_is_help=True, help=CLIENT_COMMANDS["team"].help)


def add_to(app: typer.Typer) -> None:
    """Add the group to the command tree."""
    team.add_typer(loader, name="loader")
    app.add_typer(team, name="team")


@team.command("ls")
def list_teams(context: typer.Context) -> None:
    """List the teams that you are in, with your role in each."""

    async def load(registry: RegistryApi) -> tuple[str | None, Me]:
        """Return the id of the current team, and the user with their teams."""
        return registry.team, await registry.me()

    terminal = terminal_of(context)
    current, me = terminal.call_registry(load)

    def build_row(team: OwnTeam) -> tuple[str, ...]:
        """Return the cells of a team: name, role, whether it is the current one, and id."""
        return team.display_name, team.member_role, "yes" if str(team.id) == current else "", str(team.id)

    layout: ListFormat[OwnTeam] = ListFormat(
        "team_list", ("NAME", "ROLE", "CURRENT", "ID"), build_row, lambda team: team.id, "No teams."
    )
    print_list(terminal, me.team_list, layout, {"team_id": current})


@team.command("show")
def show_team(context: typer.Context) -> None:
    """Show the current team: its size, its quota and its settings."""
    terminal = terminal_of(context)
    _print_team(terminal, terminal.call_registry(lambda registry: registry.current_team()))


def _print_team(terminal: Terminal, shown: Team) -> None:
    """Print a team's id, name, stored bytes, quota, settings and creation time."""
    quota = "no limit" if shown.quota_bytes is None else format_size(shown.quota_bytes)
    pairs = [
        ("id", str(shown.id)),
        ("name", shown.display_name),
        ("stored", f"{format_size(shown.stored_bytes)}, quota: {quota}"),
        ("versions kept", f"the newest {shown.kept_versions}, and all of {counted(shown.kept_version_days, 'day')}"),
        ("machines", f"may {'' if shown.machines_may_request else 'not '}request models"),
        ("hugging face", f"clients {'may' if shown.hub_may_import else 'may not'} import what the team does not have"),
        ("loaders", counted(len(shown.loader_list), "input") + " of custom nodes"),
        ("pickle files", _PICKLE_POLICIES[shown.pickle_policy]),
        ("since", format_time(shown.created_at)),
    ]
    print_details(terminal, shown, shown.id, pairs)
    if shown.quota_bytes is not None and shown.stored_bytes > shown.quota_bytes:
        terminal.output.warn(
            f"The team stores {format_size(shown.stored_bytes - shown.quota_bytes)} more than its quota. Nothing is "
            "removed by itself, and machines keep their models, but pushes and imports of new content are refused. "
            "Delete models (modelyard rm; space is free when the trash is emptied, after 7 days unless the operator "
            "has set another time), or ask an admin to raise the quota:\n"
            "  " + terminal.format_command("team", "settings", "--quota", f"{-(-shown.stored_bytes // 10**9)}GB")
        )


@team.command("create")
def create_team(context: typer.Context, name: Annotated[str, typer.Argument(help="The team's name.")]) -> None:
    """Create a team, own it, and switch to it."""
    from modelyard.wire.teams import NewTeam

    terminal = terminal_of(context)
    created = terminal.call_registry(lambda registry: registry.create_team(NewTeam(display_name=name)))
    profile = find_saved_profile(terminal)
    if profile is not None:
        terminal.profiles.save(profile.model_copy(update={"team_id": created.id, "team_name": name}))
    terminal.output.answer(
        document=created, lines=[f"Created the team '{name}' ({created.id})."], quiet=[str(created.id)]
    )


def find_saved_profile(terminal: Terminal) -> Profile | None:
    """Return the profile that the global options select; None if there is none, or the environment has a token."""
    from modelyard.client.session import get_saved_profile

    return get_saved_profile(terminal.settings, terminal.profiles)


@team.command("rename")
def rename_team(context: typer.Context, name: Annotated[str, typer.Argument(help="The new name.")]) -> None:
    """Rename the current team."""
    _update_team(terminal_of(context), {"display_name": name})


@team.command("settings")
def change_settings(
    context: typer.Context,
    pickle_policy: Annotated[
        str | None,
        typer.Option(
            help="block refuses .ckpt, .pt and similar files, which can run code; scan accepts clean ones; trusted "
            "also those that an admin allows; convert keeps them only to convert them."
        ),
    ] = None,
    quota: Annotated[
        str | None, typer.Option(help="How much the team may store, such as 2TB; none for no limit.")
    ] = None,
    keep_versions: Annotated[
        int | None, typer.Option(metavar="N", help="How many of the newest versions of each model are kept.")
    ] = None,
    keep_version_days: Annotated[
        int | None, typer.Option(metavar="N", help="For how many days every version is kept.")
    ] = None,
    machines_may_request: Annotated[
        bool | None,
        typer.Option(
            "--machines-may-request/--no-machines-may-request",
            help="Whether users of a machine may fetch any model of the team there, without an account.",
        ),
    ] = None,
    hub_may_import: Annotated[
        bool | None,
        typer.Option(
            "--hub-may-import/--no-hub-may-import",
            help="Whether a file that a client of the Hugging Face endpoint asks for is imported if the team does not "
            "have it.",
        ),
    ] = None,
) -> None:
    """Change the current team's settings, and show them.

    Example: modelyard team settings --pickle-policy scan --quota 2TB
    """
    given = {
        "pickle_policy": pickle_policy,
        "kept_versions": keep_versions,
        "kept_version_days": keep_version_days,
        "machines_may_request": machines_may_request,
        "hub_may_import": hub_may_import,
    }
    change: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if quota is not None:
        change["quota_bytes"] = None if quota == "none" else parse_size(quota)
    _update_team(terminal_of(context), change)


def _update_team(terminal: Terminal, change: dict[str, Any]) -> None:
    """Apply a change to the current team, unless it is empty, and print the team."""
    from modelyard.wire.teams import TeamUpdate

    async def update(registry: RegistryApi) -> Team:
        """Apply the change, if there is one, and return the team."""
        if change:
            await registry.update_team(TeamUpdate(**change))
        return await registry.current_team()

    _print_team(terminal, terminal.call_registry(update))


@team.command("switch")
def switch_team(context: typer.Context, name: Annotated[str, typer.Argument(help="A team's name or id.")]) -> None:
    """Make another of your teams the current one."""
    from modelyard.client.session import find_team
    from modelyard.wire.problems import Unauthenticated

    terminal = terminal_of(context)
    me = terminal.call_registry(lambda registry: registry.me())
    chosen = find_team(me.team_list, name)
    profile = find_saved_profile(terminal)
    if profile is None:
        raise Unauthenticated(
            "You are not signed in with a profile, so no team can be stored. With a token, use --team instead."
        )
    terminal.profiles.save(profile.model_copy(update={"team_id": chosen.id, "team_name": chosen.display_name}))
    terminal.output.done(
        f"The current team is now '{chosen.display_name}'. Your role in it: {chosen.member_role}.", team_id=chosen.id
    )


@team.command("transfer")
def transfer_team(
    context: typer.Context,
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="An e-mail address, a user's id or a name.")],
    yes: Yes = False,
) -> None:
    """Make another member the owner; you become an admin."""
    from modelyard.client.resolve_people import find_member
    from modelyard.wire.teams import Transfer

    terminal = terminal_of(context)
    found = terminal.call_registry(lambda registry: find_member(registry, member))
    if not yes:
        typer.confirm(f"Make {found.email_address} the owner of this team?", abort=True, err=True)
    terminal.call_registry(lambda registry: registry.transfer_team(Transfer(new_owner_id=found.user_id)))
    terminal.output.done(f"{found.email_address} is now the owner of the team.", owner_id=found.user_id)


@team.command("leave")
def leave_team(context: typer.Context, yes: Yes = False, keys_to: KeysTo = None, stop_keys: StopKeys = False) -> None:
    """Leave the current team. Your devices in it stop working.

    Keys that you made for programs and machines are handed over or revoked. Open invitations that you made are
    withdrawn.
    """
    terminal = terminal_of(context)
    if not yes:
        typer.confirm("Leave this team?", abort=True, err=True)

    async def leave(registry: RegistryApi, new_owner: UUID | None, stop: bool) -> None:
        """Remove the caller from the team, and hand their keys to ``new_owner`` or revoke them."""
        await registry.remove_member((await registry.me()).id, keys_to=new_owner, stop_keys=stop)

    apply_with_keys(terminal, leave, keys_to, stop_keys)
    terminal.output.done("You have left the team. To use another one: modelyard team switch NAME")


@team.command("rm")
def delete_team(context: typer.Context, yes: Yes = False) -> None:
    """Delete the current team with all its models. For 7 days the registry's operator can restore it."""
    terminal = terminal_of(context)
    deleted = terminal.call_registry(lambda registry: registry.current_team())
    if not yes:
        typed = typer.prompt(f"Type the team's name ({deleted.display_name}) to delete it and its models", err=True)
        if typed != deleted.display_name:
            raise typer.Abort
    terminal.call_registry(lambda registry: registry.delete_team())
    profile = find_saved_profile(terminal)
    if profile is not None and profile.team_id == deleted.id:
        terminal.profiles.save(profile.model_copy(update={"team_id": None, "team_name": None}))
    terminal.output.done(
        f"Deleted the team '{deleted.display_name}'. For 7 days the registry's operator can restore it: "
        f"modelyard restore-team {deleted.id}"
    )
