"""``login``, ``logout``, ``whoami``, ``password``: who works at this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal import terminal_of
from modelyard.cli.words import fields

if TYPE_CHECKING:
    from modelyard.client.profile import Profile
    from modelyard.client.registry import Registry
    from modelyard.wire.accounts import Me, OwnTeam, Tokens

PasswordFromInput = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


def add_to(app: typer.Typer) -> None:
    for command in (login, logout, whoami, password):
        app.command()(command)


def asked_password(from_input: bool, question: str = "Password", *, twice: bool = False) -> str:
    """A password from the terminal, not shown, or the first line of standard input."""
    if from_input:
        return sys.stdin.readline().rstrip("\r\n")
    answer: str = typer.prompt(question, hide_input=True, confirmation_prompt=twice, err=True)
    return answer


def login(
    context: typer.Context,
    url: Annotated[str | None, typer.Argument(help="The registry's address; left out: the last one.")] = None,
    email: Annotated[str | None, typer.Argument(help="Your e-mail address; left out: the last one.")] = None,
    password_stdin: PasswordFromInput = False,
) -> None:
    """Sign in to a registry and remember it on this machine.

    Example: modelyard login http://models.example:8400 ada@studio.example
    """
    from modelyard.client.address import checked_url, is_open_to_listeners
    from modelyard.client.bearer import with_tokens
    from modelyard.client.profile import Profile

    terminal = terminal_of(context)
    wanted = url or terminal.settings.url
    last = terminal.profiles.find(None if wanted is None else checked_url(wanted))
    address = checked_url(wanted or (last.url if last else typer.prompt("Registry", err=True)))
    name = email or (last.email_address if last else None) or typer.prompt("E-mail", err=True)
    if is_open_to_listeners(address):
        terminal.output.note(f"{address} is plain http: others on the network can read the password and the files.")
    word = asked_password(password_stdin)
    tokens, me = terminal.ask_anonymously(address, lambda registry: _signed_in(registry, name, word))
    team = _team(me, terminal.settings.team, last)
    profile = with_tokens(
        Profile(
            url=address,
            token=tokens.access_token,
            email_address=me.email_address,
            team_id=None if team is None else team.id,
            team_name=None if team is None else team.display_name,
        ),
        tokens,
    )
    terminal.profiles.save(profile)
    lines = [f"Signed in to {profile.url} as {profile.email_address}."]
    if profile.team_name is None:
        terminal.output.note("You are in several teams or none. Choose one: modelyard team switch NAME")
    else:
        lines.append(f"Team: {profile.team_name}")
    facts = {"url": profile.url, "email_address": profile.email_address, "team_id": profile.team_id}
    terminal.output.answer(document=facts, lines=lines)


async def _signed_in(registry: Registry, email: str, word: str) -> tuple[Tokens, Me]:
    from modelyard.client.registry import Registry as Opened
    from modelyard.wire.accounts import Login

    tokens = await registry.log_in(Login(email_address=email, user_password=word))
    async with Opened(registry.url, tokens.access_token) as signed_in:
        return tokens, await signed_in.me()


def _team(me: Me, wanted: str | None, before: Profile | None) -> OwnTeam | None:
    """The team that is asked for, else the only one, else the one of the last sign-in."""
    from modelyard.client.connecting import team_in

    if wanted is not None:
        return team_in(me.team_list, wanted)
    if len(me.team_list) == 1:
        return me.team_list[0]
    return next((team for team in me.team_list if before is not None and team.id == before.team_id), None)


def logout(
    context: typer.Context,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="End your sessions on other machines too.")] = False,
) -> None:
    """End the session, or revoke this device's key, and forget the registry here.

    The registry is forgotten even when it does not answer or knows the session no longer.
    """
    from modelyard.client.connecting import sign_out, wanted_url

    terminal = terminal_of(context)
    saved = terminal.profiles.find(wanted_url(terminal.settings))
    if saved is None:
        terminal.output.done("You are not signed in here.")
        return
    terminal.profiles.remove(saved.url)
    told = terminal.run(sign_out(saved, everywhere=everywhere))
    if not told:
        terminal.output.warn(f"{saved.url} could not be told; the session there ends by itself.")
    terminal.output.done(f"Signed out of {saved.url}.", url=saved.url)


def whoami(context: typer.Context) -> None:
    """Show the registry, who you are there, and your teams."""
    terminal = terminal_of(context)
    if (terminal.settings.token or "").startswith("sk-"):
        prefix = (terminal.settings.token or "")[:11]
        url = terminal.ask(_checked)
        terminal.output.answer(
            document={"url": url, "key_prefix": prefix},
            lines=fields([("registry", url), ("key", f"{prefix}…")]),
            quiet=[prefix],
        )
        return
    url, team_id, me = terminal.ask(_myself)
    teams = [
        f"{each.display_name}  {each.member_role}  {each.id}{'  (current)' if str(each.id) == team_id else ''}"
        for each in me.team_list
    ]
    rows = [("registry", url), ("user", f"{me.display_name} <{me.email_address}>"), *(("team", line) for line in teams)]
    document = {"url": url, "team_id": team_id} | me.model_dump(mode="json")
    terminal.output.answer(document=document, lines=fields(rows), quiet=[me.email_address])


async def _checked(registry: Registry) -> str:
    """The registry's address, once it has taken the key."""
    await registry.list_models()
    return registry.url


async def _myself(registry: Registry) -> tuple[str, str | None, Me]:
    return registry.url, registry.team, await registry.me()


def password(
    context: typer.Context,
    password_stdin: PasswordFromInput = False,
    reset_token: Annotated[str, typer.Option(metavar="TOKEN", help="From the operator's reset-password.")] = "",
) -> None:
    """Change your password; your other sessions end. --password-stdin reads the old and the new one, a line each.

    Who forgot the old one asks the operator for a token and needs no old password: modelyard --url URL password
    --reset-token TOKEN.
    """
    from modelyard.wire.accounts import PasswordChange, PasswordReset

    terminal = terminal_of(context)
    if reset_token:
        reset = PasswordReset(
            reset_token=reset_token, new_password=asked_password(password_stdin, "New password", twice=True)
        )
        terminal.ask_anonymously(terminal.settings.url or "", lambda registry: registry.reset_password(reset))
    else:
        old = asked_password(password_stdin, "Password until now")
        new = asked_password(password_stdin, "New password", twice=True)
        change = PasswordChange(current_password=old, new_password=new)
        terminal.ask(lambda registry: registry.change_password(change))
    terminal.output.done("Your password is changed.")
