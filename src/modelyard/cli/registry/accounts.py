"""``login``, ``logout``, ``whoami``, ``password``: sign in and out, and show and change the account."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal.formatting import format_fields
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi
    from modelyard.client.profile import Profile
    from modelyard.wire.accounts import Me, OwnTeam, Tokens
    from modelyard.wire.teams import Acceptance

PasswordFromInput = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command tree."""
    for command in (login, logout, whoami, password):
        app.command()(command)


def read_password(from_input: bool, question: str = "Password", *, twice: bool = False) -> str:
    """Read the next line of standard input, or prompt for a password without showing it, ``twice`` to confirm it."""
    if from_input:
        return sys.stdin.readline().rstrip("\r\n")
    answer: str = typer.prompt(question, hide_input=True, confirmation_prompt=twice, err=True)
    return answer


def login(
    context: typer.Context,
    url: Annotated[str | None, typer.Argument(help="The registry's address; by default the last one.")] = None,
    email: Annotated[str | None, typer.Argument(help="Your e-mail address; by default the last one there.")] = None,
    password_stdin: PasswordFromInput = False,
    device: Annotated[
        bool, typer.Option("--device", help="Show a code for a person who is signed in elsewhere to confirm.")
    ] = False,
) -> None:
    """Sign in to a registry and store the session on this machine.

    On a machine without a browser or a keyboard, --device shows a code. A person who is signed in elsewhere confirms
    it in the web page or with modelyard machine add CODE. This machine then acts for them.

    Examples: modelyard login http://models.example:8400 ada@studio.example; modelyard login http://models.example:8400
    --device
    """
    from modelyard.client.api.urls import normalize_url

    terminal = terminal_of(context)
    given = url or terminal.settings.url
    last = terminal.profiles.find(None if given is None else normalize_url(given))
    if device:
        if email is not None or password_stdin:
            raise typer.BadParameter("--device takes no e-mail address and no password.")
        if given is None and last is None:
            raise typer.BadParameter("Name the registry: modelyard login URL --device")
        _log_in_by_device(terminal, normalize_url(given or (last.url if last else "")))
        return
    known_email = email or (last.email_address if last else None)
    if password_stdin and known_email is None:
        raise typer.BadParameter(f"Name the e-mail address: modelyard login {given or 'URL'} EMAIL --password-stdin")
    address = normalize_url(given or (last.url if last else typer.prompt("Registry", err=True)))
    _log_in_by_password(terminal, address, known_email, password_stdin, last)


def _log_in_by_device(terminal: Terminal, address: str) -> None:
    """Pair this machine with a registry, waiting for the confirmation; store its keys as the current profile."""
    from modelyard.cli.registry.pairing import request_paired_keys
    from modelyard.client.profile import Profile

    keys = terminal.call_anonymously(address, lambda registry: request_paired_keys(terminal, registry))
    terminal.profiles.save(Profile(url=address, token=keys.raw_key or "", agent_key=keys.agent_key))
    terminal.output.done(f"This machine is paired with {address}. Try: modelyard whoami", url=address)


def _log_in_by_password(
    terminal: Terminal, address: str, email: str | None, password_stdin: bool, last: Profile | None
) -> None:
    """Sign in with a password, and store the session as the current profile.

    The team defaults to that of the profile ``last``; an e-mail address that is missing is prompted for.
    """
    name = email or typer.prompt("E-mail", err=True)
    note_if_unencrypted(terminal, address)
    secret = read_password(password_stdin)
    profile = save_session(terminal, address, name, secret, lambda me: _select_team(me, terminal.settings.team, last))
    lines = [f"Signed in to {profile.url} as {profile.email_address}."]
    if profile.team_name is None:
        terminal.output.note("No team is selected. To select one: modelyard team switch NAME")
    else:
        lines.append(f"Team: {profile.team_name}")
    document = {"url": profile.url, "email_address": profile.email_address, "team_id": profile.team_id}
    terminal.output.answer(document=document, lines=lines)


def note_if_unencrypted(terminal: Terminal, address: str) -> None:
    """Say so if others on the network can read the password that will be sent to this address."""
    from modelyard.client.api.urls import is_unencrypted_remote

    if is_unencrypted_remote(address):
        terminal.output.note(f"{address} is not encrypted (http): others on the network can read password and files.")


def save_session(
    terminal: Terminal,
    address: str,
    email: str,
    secret: str,
    select_team: Callable[[Me], OwnTeam | None],
    invitation: Acceptance | None = None,
) -> Profile:
    """Sign in with a password; store the session with the selected team as the current profile, and return it.

    The ``invitation`` is accepted in between. A session that cannot be stored is ended.
    """
    from modelyard.client.api.auth import build_session_profile
    from modelyard.client.profile import Profile
    from modelyard.client.session import sign_out

    tokens, me = terminal.call_anonymously(
        address, lambda registry: _request_session(registry, email, secret, invitation)
    )
    team = select_team(me)
    profile = build_session_profile(
        Profile(
            url=address,
            token=tokens.access_token,
            email_address=me.email_address,
            team_id=None if team is None else team.id,
            team_name=None if team is None else team.display_name,
        ),
        tokens,
    )
    try:
        terminal.profiles.save(profile)
    except OSError:
        terminal.run(sign_out(profile))
        raise
    return profile


async def _request_session(
    registry: RegistryApi, email: str, secret: str, invitation: Acceptance | None
) -> tuple[Tokens, Me]:
    """Sign in with an anonymous client, accept the invitation if there is one, and return tokens and user.

    Stores nothing on this machine. If one of them fails, the session is ended again.
    """
    from modelyard.client.api.registry import RegistryApi
    from modelyard.transfer.errors import TransferFailed
    from modelyard.wire.accounts import Login, Logout
    from modelyard.wire.problems import Problem

    tokens = await registry.log_in(Login(email_address=email, user_password=secret))
    async with RegistryApi(registry.url, tokens.access_token) as signed_in:
        try:
            if invitation is not None:
                await signed_in.accept_invitation(invitation)
            return tokens, await signed_in.me()
        except (Problem, TransferFailed):
            with suppress(Problem, TransferFailed):
                await registry.log_out(Logout(refresh_token=tokens.refresh_token))
            raise


def _select_team(me: Me, name: str | None, last: Profile | None) -> OwnTeam | None:
    """Return the team of this name or id; without one the only team, or that of the profile ``last``, else None."""
    from modelyard.client.session import find_team

    if name is not None:
        return find_team(me.team_list, name)
    if len(me.team_list) == 1:
        return me.team_list[0]
    return next((team for team in me.team_list if last is not None and team.id == last.team_id), None)


def logout(
    context: typer.Context,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="End your sessions on other machines too.")] = False,
) -> None:
    """End the session, or revoke this device's key, and delete the registry's profile on this machine.

    The profile is deleted even if the registry does not answer or does not accept the session any more.
    """
    from modelyard.client.session import get_selected_url, sign_out

    terminal = terminal_of(context)
    saved = terminal.profiles.find(get_selected_url(terminal.settings))
    if saved is None:
        terminal.output.done("You are not signed in here.")
        return
    terminal.profiles.remove(saved.url)
    is_ended = terminal.run(sign_out(saved, everywhere=everywhere))
    if not is_ended:
        terminal.output.warn(f"{saved.url} could not be reached or refused; the session there will expire by itself.")
    terminal.output.done(f"Signed out of {saved.url}.", url=saved.url)


def whoami(context: typer.Context) -> None:
    """Show the registry, who you are there, and your teams."""
    terminal = terminal_of(context)
    if (terminal.settings.token or "").startswith("sk-"):
        prefix = (terminal.settings.token or "")[:11]
        url = terminal.call_registry(_check_key)
        terminal.output.answer(
            document={"url": url, "key_prefix": prefix},
            lines=format_fields([("registry", url), ("key", f"{prefix}…")]),
            quiet=[prefix],
        )
        return
    url, team_id, me = terminal.call_registry(_load_identity)
    teams = [
        f"{each.display_name}  {each.member_role}  {each.id}{'  (current)' if str(each.id) == team_id else ''}"
        for each in me.team_list
    ]
    rows = [("registry", url), ("user", f"{me.display_name} <{me.email_address}>"), *(("team", line) for line in teams)]
    document = {"url": url, "team_id": team_id} | me.model_dump(mode="json")
    terminal.output.answer(document=document, lines=format_fields(rows), quiet=[me.email_address])


async def _check_key(registry: RegistryApi) -> str:
    """List models, which fails for an invalid key, and return the registry's address."""
    await registry.list_models()
    return registry.url


async def _load_identity(registry: RegistryApi) -> tuple[str, str | None, Me]:
    """Return the registry's address, the id of the current team, and the user."""
    return registry.url, registry.team, await registry.me()


def password(
    context: typer.Context,
    password_stdin: PasswordFromInput = False,
    reset_token: Annotated[
        str, typer.Option(metavar="TOKEN", help="The token that the operator got from modelyard reset-password.")
    ] = "",
) -> None:
    """Change your password; your other sessions end. --password-stdin reads the old and the new one, a line each.

    If you forgot the old one, the operator can create a token for you, with which no old password is needed: modelyard
    --url URL password --reset-token TOKEN
    """
    from modelyard.wire.accounts import PasswordChange, PasswordReset

    terminal = terminal_of(context)
    if reset_token:
        reset = PasswordReset(
            reset_token=reset_token, new_password=read_password(password_stdin, "New password", twice=True)
        )
        terminal.call_anonymously(terminal.settings.url or "", lambda registry: registry.reset_password(reset))
    else:
        old = read_password(password_stdin, "Current password")
        new = read_password(password_stdin, "New password", twice=True)
        change = PasswordChange(current_password=old, new_password=new)
        terminal.call_registry(lambda registry: registry.change_password(change))
    terminal.output.done("Your password is changed.")
