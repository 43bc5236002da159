"""Pair this machine: show a code, and wait until a person who is signed in elsewhere confirms it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.credentials import PairingStarted, PairingState


def describe_name_in_use(name: str) -> str:
    """Return the warning that a machine is paired with a name that the team has already."""
    return (
        f"The team has a machine named {name} already. If it is another one, this one is refused while that one runs;"
        f" once that one has stopped, this one may take the name, and that one's key ends. To keep both, give this one"
        f" another name before it runs as {name}: modelyard agent run --agent-id NAME, or install it again with"
        " --agent-id NAME."
    )


async def request_paired_keys(
    terminal: Terminal, registry: RegistryApi, *, is_for_agent: bool = False, agent_id: str | None = None
) -> PairingState:
    """Print a code on standard error, wait until it is confirmed, and return this machine's keys: the agent's, or both.

    ``agent_id`` is the name of the machine without another one from the confirmation, which then says if the team has
    it already. A registry of an older release always makes both keys.

    Raises:
        PairingNotFound: the code expired before it was confirmed; its fact ``command`` starts again.
    """
    from modelyard.wire.problems import PairingNotFound

    started = await registry.start_pairing(is_for_agent=is_for_agent, agent_id=agent_id)
    # As a warning, so that --quiet shows it too: the code must be entered somewhere.
    terminal.output.warn(f"Code: {started.user_code}")
    terminal.output.warn(
        f"Confirm it at {started.verification_uri}?code={started.user_code}"
        f" or with: modelyard machine add {started.user_code}"
    )
    try:
        return await _wait_for_confirmation(terminal, registry, started)
    except PairingNotFound as failure:
        url = registry.url
        failure.facts["command"] = (
            f"modelyard agent pair --url {url}" if is_for_agent else f"modelyard login {url} --device"
        )
        raise


async def _wait_for_confirmation(terminal: Terminal, registry: RegistryApi, started: PairingStarted) -> PairingState:
    """Poll the registry, at most once a second, until the code is confirmed, and return the machine's keys.

    A registry that does not answer is asked again, also after the code has expired: it gives the keys of a confirmed
    code again for as long as the code was valid.

    Raises:
        PairingNotFound: the code expired before it was confirmed, or the keys in the registry's answer were lost.
    """
    import asyncio

    from modelyard.client.waiting.polling import ask_until_answered
    from modelyard.wire.credentials import PairingPoll
    from modelyard.wire.problems import PairingNotFound

    poll = PairingPoll(device_code=started.device_code, repeat=True)
    try:
        async with asyncio.timeout(2 * started.expires_in):
            while True:
                answer = await ask_until_answered(lambda: registry.poll_pairing(poll), terminal.output.warn)
                if answer.status == "approved" and (answer.raw_key or answer.agent_key):
                    return answer
                await asyncio.sleep(max(1, started.interval))
    except TimeoutError:
        raise PairingNotFound(
            "The registry did not answer any more, so this machine has no key. If the code was confirmed,"
            " the registry may list a key of this machine: revoke it (modelyard key ls, modelyard key rm KEY)."
        ) from None
