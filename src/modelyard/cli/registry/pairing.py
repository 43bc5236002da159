"""Pair this machine: show a code, and wait until a person who is signed in elsewhere confirms it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import Registry
    from modelyard.wire.credentials import PairingStarted, PairingState


async def request_paired_keys(terminal: Terminal, registry: Registry) -> PairingState:
    """Print a code on standard error, wait until it is confirmed, and return both keys of this machine.

    Raises:
        PairingNotFound: the code expired before it was confirmed.
    """
    started = await registry.start_pairing()
    # As a warning, so that --quiet shows it too: the code must be entered somewhere.
    terminal.output.warn(f"Code: {started.user_code}")
    terminal.output.warn(
        f"Confirm it at {started.verification_uri}?code={started.user_code}"
        f" or with: modelyard machine add {started.user_code}"
    )
    return await _wait_for_confirmation(registry, started)


async def _wait_for_confirmation(registry: Registry, started: PairingStarted) -> PairingState:
    """Poll the registry, at most once a second, until the code is confirmed, and return the machine's keys.

    Raises:
        PairingNotFound: the code expired before it was confirmed.
    """
    import asyncio

    from modelyard.wire.credentials import PairingPoll
    from modelyard.wire.problems import PairingNotFound

    end = time.monotonic() + started.expires_in
    while time.monotonic() < end:
        answer = await registry.poll_pairing(PairingPoll(device_code=started.device_code))
        if answer.status == "approved" and answer.raw_key:
            return answer
        await asyncio.sleep(max(1, started.interval))
    raise PairingNotFound("The code expired before it was confirmed.")
