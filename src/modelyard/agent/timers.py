"""Waiting with wake-ups: a timer for heartbeats, and an event with a timeout."""

import asyncio
import time
from contextlib import suppress

from modelyard.agent.schedule import HeartbeatSchedule


async def wait_for_event(event: asyncio.Event, timeout_seconds: float) -> None:
    """Wait until an event is set or the time is over, then clear the event; does not tell which."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_seconds):
            await event.wait()
    event.clear()


class HeartbeatTimer:
    """A heartbeat schedule that any part of the agent can advance. Belongs to one event loop."""

    def __init__(self) -> None:
        self.schedule = HeartbeatSchedule()
        self._requested = asyncio.Event()

    def request(self) -> None:
        """Make a heartbeat due soon; see ``HeartbeatSchedule.request``."""
        self.schedule.request()
        self._requested.set()

    def request_now(self) -> None:
        """Make a heartbeat due at once, because the registry is back."""
        self.schedule.request_now(time.monotonic())
        self._requested.set()

    async def wait_until_due(self) -> None:
        """Wait until a heartbeat is due; a request meanwhile can make it due earlier.

        Sends and records nothing: the caller sends the heartbeat and records its outcome in the schedule.
        """
        while True:
            await wait_for_event(self._requested, self.schedule.get_wait(time.monotonic()))
            if self.schedule.get_wait(time.monotonic()) == 0:
                return
