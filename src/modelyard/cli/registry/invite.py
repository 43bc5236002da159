"""``invite``: list, show, create, withdraw and accept invitations to a team."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.commands import CLIENT_COMMANDS
from modelyard.cli.registry.accounts import PasswordFromInput, note_if_unencrypted, read_password, save_session
from modelyard.cli.registry.listing import ListFormat, find_and_change, print_details, print_list
from modelyard.cli.registry.team import find_saved_profile
from modelyard.cli.terminal.formatting import format_time, quote_word
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.accounts import Me, OwnTeam
    from modelyard.wire.teams import Invitation, InvitationPreview

invite = typer.Typer(no_args_is_help=True, help=CLIENT_COMMANDS["invite"].help)


def add_to(app: typer.Typer) -> None:
    """Add the group to the command tree."""
    app.add_typer(invite, name="invite")


InvitationName = Annotated[
    str,
    typer.Argument(
        metavar="INVITATION", help="The address that was invited, or the invitation's id or its first 8 digits."
    ),
]

NewName = Annotated[
    str | None,
    typer.Option(help="For a new account; prompted for if left out, and required with --password-stdin."),
]


@invite.command("create")
def create_invitation(
    context: typer.Context,
    email: Annotated[str, typer.Argument(help="The address of the person.")],
    role: Annotated[str, typer.Option(help="admin, member or viewer.")] = "member",
) -> None:
    """Invite a person, and print a link and a command to send to them. Either works once, for 7 days."""
    from modelyard.client.api.urls import is_loopback
    from modelyard.wire.teams import CreatedInvitation, NewInvitation

    async def create(registry: RegistryApi) -> tuple[str, CreatedInvitation]:
        """Create the invitation, and return its address for others and the invitation with its token."""
        new = NewInvitation.model_validate({"email_address": email, "invitation_role": role})
        created = await registry.create_invitation(new)
        return created.public_url or registry.url, created

    terminal = terminal_of(context)
    url, created = terminal.call_registry(create)
    lines = [
        f"Invited {email} as {role}. Send them this link, or the command:",
        f"  {url}/join#{created.invitation_token}",
        f"  modelyard --url {url} invite accept {created.invitation_token}",
    ]
    terminal.output.answer(document=created, lines=lines, quiet=[created.invitation_token])
    if is_loopback(url):
        terminal.output.warn(
            f"On other computers, neither works: {url} is this computer's address for itself. Put an address that they "
            "reach in its place. The operator of the registry makes it the address of all links with "
            "MODELYARD_PUBLIC_URL, and has it listen there with --host."
        )


@invite.command("ls")
def list_invitations(context: typer.Context) -> None:
    """List open invitations."""
    from modelyard.client.resolve_people import list_all_invitations

    terminal = terminal_of(context)
    layout: ListFormat[Invitation] = ListFormat(
        "invitation_list",
        ("E-MAIL", "ROLE", "INVITED BY", "UNTIL", "ID"),
        _build_row,
        lambda invitation: invitation.id,
        "No open invitations.",
    )
    print_list(terminal, terminal.call_registry(list_all_invitations), layout)


def _build_row(invitation: Invitation) -> tuple[str, ...]:
    """Return the cells of an invitation: address, role, inviter, expiry and id."""
    return (
        invitation.email_address,
        invitation.invitation_role,
        invitation.invited_by.display_name,
        format_time(invitation.expires_at),
        str(invitation.id),
    )


@invite.command("show")
def show_invitation(context: typer.Context, invitation: InvitationName) -> None:
    """Show one open invitation. Its token is not stored."""
    from modelyard.client.resolve_people import find_invitation

    terminal = terminal_of(context)
    found = terminal.call_registry(lambda registry: find_invitation(registry, invitation))
    pairs = [
        ("id", str(found.id)),
        ("e-mail", found.email_address),
        ("role", found.invitation_role),
        ("invited by", found.invited_by.display_name),
        ("invited", format_time(found.created_at)),
        ("expires", format_time(found.expires_at)),
    ]
    print_details(terminal, found, found.id, pairs)


@invite.command("rm")
def delete_invitation(context: typer.Context, invitation: InvitationName) -> None:
    """Withdraw an invitation: its link and its command do not work any more."""
    from modelyard.client.resolve_people import find_invitation

    terminal = terminal_of(context)
    found = find_and_change(
        terminal,
        lambda registry: find_invitation(registry, invitation),
        lambda registry, found: registry.delete_invitation(found.id),
    )
    terminal.output.done(f"Withdrew the invitation of {found.email_address}.", id=found.id)


@invite.command("accept")
def accept_invitation(
    context: typer.Context,
    token: Annotated[str, typer.Argument(help="The token of the invitation, which begins with in-.")],
    first_name: NewName = None,
    last_name: NewName = None,
    password_stdin: PasswordFromInput = False,
) -> None:
    """Join a team: with the account that you are signed in with, or else with the one of the invited address.

    It names the team and the registry. If the address has no account yet, it asks for your name and a new password;
    else for its password. Then you are signed in.

    Example: modelyard --url http://models.example:8400 invite accept in-7Yq…
    """
    from modelyard.client.session import get_selected_url

    terminal = terminal_of(context)
    saved = find_saved_profile(terminal)
    if saved is not None and saved.refresh_token is not None:
        _accept_signed_in(terminal, token)
        return
    url = get_selected_url(terminal.settings)
    if url is None:
        raise typer.BadParameter("No registry is given. Add its address: modelyard --url URL invite accept TOKEN")
    _accept_signed_out(terminal, url, token, (first_name, last_name), password_stdin)


def _accept_signed_in(terminal: Terminal, token: str) -> None:
    """Accept as the signed-in user, and say which team it is; an invitation that they have accepted is no error."""
    from modelyard.wire.problems import InvitationNotFound
    from modelyard.wire.teams import Acceptance, InvitationToken

    async def accept(registry: RegistryApi) -> InvitationPreview | None:
        """Return what the invitation is for, or None if it was used before, and accept it."""
        try:
            preview = await registry.preview_invitation(InvitationToken(invitation_token=token))
        except InvitationNotFound:
            preview = None
        await registry.accept_invitation(Acceptance(invitation_token=token))
        return preview

    joined = terminal.call_registry(accept)
    name = "NAME" if joined is None else quote_word(joined.team_name)
    team = "the team" if joined is None else f"the team '{joined.team_name}' as {joined.invitation_role}"
    terminal.output.done(f"You have joined {team}. To switch to it: modelyard team switch {name}")


def _accept_signed_out(
    terminal: Terminal, url: str, token: str, names: tuple[str | None, str | None], password_stdin: bool
) -> None:
    """Say what the invitation is for, accept it with the account of its address or a new one, and sign in."""
    from modelyard.wire.teams import Acceptance, InvitationToken

    invitation = InvitationToken(invitation_token=token)
    preview = terminal.call_anonymously(url, lambda registry: registry.preview_invitation(invitation))
    terminal.output.note(
        f"Invitation to the team '{preview.team_name}' as {preview.invitation_role}, for {preview.email_address}, at "
        f"the registry {url}"
    )
    note_if_unencrypted(terminal, url)

    if preview.has_account:
        secret = read_password(password_stdin, f"Password of {preview.email_address}")
        acceptance = Acceptance(invitation_token=token)
        save_session(terminal, url, preview.email_address, secret, partial(_find_team, preview), acceptance)
    else:
        _create_account(terminal, url, token, preview, names, password_stdin)
    terminal.output.done(f"You have joined the team '{preview.team_name}', and are signed in.", url=url)


def _find_team(preview: InvitationPreview, me: Me) -> OwnTeam | None:
    """Return the team that the invitation is for; None if it is not among a person's."""
    return next((team for team in me.team_list if team.id == preview.team_id), None)


def _create_account(
    terminal: Terminal,
    url: str,
    token: str,
    preview: InvitationPreview,
    names: tuple[str | None, str | None],
    password_stdin: bool,
) -> None:
    """Ask for names and a password, accept the invitation with a new account, and sign in.

    If only signing in fails, it says what is done and how to sign in, and raises the failure.

    Raises:
        BadParameter: a name is missing, and standard input has the password.
    """
    from modelyard.wire.teams import Acceptance

    if password_stdin and not all(names):
        raise typer.BadParameter("With --password-stdin, a new account needs --first-name and --last-name.")
    first, last = (
        name or typer.prompt(question, err=True)
        for name, question in zip(names, ("First name", "Last name"), strict=True)
    )
    secret = read_password(password_stdin, "A new password", twice=True)
    new = Acceptance(invitation_token=token, first_name=first, last_name=last, user_password=secret)
    terminal.call_anonymously(url, lambda registry: registry.accept_invitation(new))
    try:
        save_session(terminal, url, preview.email_address, secret, partial(_find_team, preview))
    except Exception:
        login = f"modelyard login {quote_word(url)} {quote_word(preview.email_address)}"
        terminal.output.warn(
            f"Your account {preview.email_address} is made, and you have joined the team '{preview.team_name}', but "
            f"you are not signed in. The invitation is used up; to sign in later: {login}"
        )
        raise
