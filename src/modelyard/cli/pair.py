"""``pair``: a machine without a keyboard gets its keys; ``pair confirm``: a person lets it in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal import Terminal, terminal_of

if TYPE_CHECKING:
    from modelyard.client.profile import Profile
    from modelyard.client.registry import Registry
    from modelyard.wire.credentials import PairingAnswer, PairingStarted

pair = typer.Typer(
    invoke_without_command=True,
    help="Sign this machine in: it shows a code, and a person who is signed in elsewhere confirms it.\n\n"
    "Example: modelyard pair --url http://models.example:8400",
)


@pair.callback()
def pair_machine(context: typer.Context) -> None:
    if context.invoked_subcommand is not None:
        return
    from modelyard.client.connecting import wanted_url

    terminal = terminal_of(context)
    last = terminal.profiles.find(wanted_url(terminal.settings))
    url = wanted_url(terminal.settings) or (None if last is None else last.url)
    if url is None:
        raise typer.BadParameter("Say which registry: modelyard pair --url URL")
    profile = terminal.ask_anonymously(url, lambda registry: _paired(terminal, registry))
    terminal.profiles.save(profile)
    terminal.output.done(f"This machine is paired with {profile.url}. Try: modelyard whoami", url=profile.url)


async def _paired(terminal: Terminal, registry: Registry) -> Profile:
    from modelyard.client.profile import Profile

    answer = await paired_keys(terminal, registry)
    return Profile(url=registry.url, token=answer.raw_key or "", agent_key=answer.agent_key)


async def paired_keys(terminal: Terminal, registry: Registry) -> PairingAnswer:
    """Show a code and wait for a person to confirm it; both keys of this machine.

    Raises:
        PairingNotFound: nobody did in time.
    """
    started = await registry.start_pairing()
    # Not a note: even the quiet have to type the code somewhere.
    terminal.output.warn(f"Code: {started.user_code}")
    terminal.output.warn(
        f"Confirm it at {started.verification_uri}?code={started.user_code}"
        f" or with: modelyard pair confirm {started.user_code}"
    )
    return await _approved(registry, started)


async def _approved(registry: Registry, started: PairingStarted) -> PairingAnswer:
    import asyncio

    from modelyard.wire.credentials import PairingPoll
    from modelyard.wire.problems import PairingNotFound

    end = time.monotonic() + started.expires_in
    while time.monotonic() < end:
        answer = await registry.poll_pairing(PairingPoll(device_code=started.device_code))
        if answer.status == "approved" and answer.raw_key:
            return answer
        await asyncio.sleep(max(1, started.interval))
    raise PairingNotFound("Nobody has confirmed the code in time.")


@pair.command("confirm")
def confirm_pairing(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="The code on the machine's screen.")],
    name: Annotated[str | None, typer.Option(help="A name for the machine, for the list of keys.")] = None,
) -> None:
    """Let a machine in that shows this code. It acts for you, in your current team."""
    from modelyard.wire.credentials import PairingConfirmation

    confirmation = PairingConfirmation(user_code=code, **({} if name is None else {"device_name": name}))
    terminal = terminal_of(context)
    terminal.ask(lambda registry: registry.confirm_pairing(confirmation))
    terminal.output.done(
        "The machine is paired. It acts for you; end that with: modelyard keys revoke KEY (modelyard keys ls)"
    )
