"""``invite``: asking people into the team, and following such a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.accounts import PasswordFromInput, asked_password
from modelyard.cli.teams import saved_profile_of
from modelyard.cli.terminal import terminal_of
from modelyard.cli.words import table, time_words

if TYPE_CHECKING:
    from modelyard.client.registry import Registry

invite = typer.Typer(no_args_is_help=True, help="Invitations: create, list, withdraw, accept.")


@invite.command("create")
def create_invitation(
    context: typer.Context,
    email: Annotated[str, typer.Argument(help="The address of the person.")],
    role: Annotated[str, typer.Option(help="admin, member or viewer.")] = "member",
) -> None:
    """Invite a person: hand the printed link or command over yourself. It works once, for 7 days."""
    from modelyard.wire.teams import InvitationMade, NewInvitation

    async def created(registry: Registry) -> tuple[str, InvitationMade]:
        new = NewInvitation.model_validate({"email_address": email, "invitation_role": role})
        return registry.url, await registry.create_invitation(new)

    terminal = terminal_of(context)
    url, made = terminal.ask(created)
    lines = [
        f"Invited {email} as {role}. They open this link, or accept with the command:",
        f"  {url}/join#{made.invitation_token}",
        f"  modelyard --url {url} invite accept {made.invitation_token}",
    ]
    terminal.output.answer(document=made, lines=lines, quiet=[made.invitation_token])


@invite.command("ls")
def list_invitations(context: typer.Context) -> None:
    """List open invitations."""
    from modelyard.client.people import all_invitations

    terminal = terminal_of(context)
    found = terminal.ask(all_invitations)
    rows = [(each.email_address, each.invitation_role, time_words(each.expires_at), str(each.id)) for each in found]
    lines = table(("E-MAIL", "ROLE", "UNTIL", "ID"), rows) if rows else ["No open invitations."]
    terminal.output.answer(document={"invitation_list": found}, lines=lines, quiet=[str(each.id) for each in found])


@invite.command("rm")
def delete_invitation(
    context: typer.Context,
    invitation: Annotated[str, typer.Argument(help="The address that was invited, or the invitation's id.")],
) -> None:
    """Withdraw an invitation."""
    from modelyard.client.people import find_invitation
    from modelyard.wire.teams import Invitation

    async def withdrawn(registry: Registry) -> Invitation:
        found = await find_invitation(registry, invitation)
        await registry.delete_invitation(found.id)
        return found

    terminal = terminal_of(context)
    found = terminal.ask(withdrawn)
    terminal.output.done(f"The invitation of {found.email_address} is withdrawn.", id=found.id)


@invite.command("accept")
def accept_invitation(
    context: typer.Context,
    token: Annotated[str, typer.Argument(help="The token that was handed over.")],
    first_name: Annotated[str | None, typer.Option(help="For a new account; asked for if left out.")] = None,
    last_name: Annotated[str | None, typer.Option(help="For a new account; asked for if left out.")] = None,
    password_stdin: PasswordFromInput = False,
) -> None:
    """Join a team: with your account if you are signed in to that registry, else with a new one.

    Example: modelyard --url http://models.example:8400 invite accept in-7Yq…
    """
    from modelyard.client.connecting import wanted_url
    from modelyard.wire.teams import Acceptance

    terminal = terminal_of(context)
    saved = saved_profile_of(terminal)
    if saved is not None and saved.refresh_token is not None:
        terminal.ask(lambda registry: registry.accept_invitation(Acceptance(invitation_token=token)))
        terminal.output.done("You have joined the team. Work in it: modelyard team switch NAME")
        return
    url = wanted_url(terminal.settings)
    if url is None:
        raise typer.BadParameter("Say which registry: modelyard --url URL invite accept TOKEN")
    acceptance = Acceptance(
        invitation_token=token,
        first_name=first_name or typer.prompt("First name", err=True),
        last_name=last_name or typer.prompt("Last name", err=True),
        user_password=asked_password(password_stdin, "A new password", twice=True),
    )
    terminal.ask_anonymously(url, lambda registry: registry.accept_invitation(acceptance))
    terminal.output.done(f"Your account is made. Sign in: modelyard login {url} EMAIL")
