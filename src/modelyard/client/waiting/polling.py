"""Repeated requests: the pauses between them, also while the registry does not answer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from modelyard.transfer.errors import Unreachable
from modelyard.wire.problems import Unavailable

Result = TypeVar("Result")

_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.5, 15.0
_NOTIFY_EVERY_SECONDS = 60.0


async def ask_until_answered(ask: Callable[[], Awaitable[Result]], notify: Callable[[str], None]) -> Result:
    """Await ``ask`` again and again until the registry answers, without an end, and return its result.

    Only ``Unreachable`` and ``Unavailable`` count as no answer. The pauses grow to 15 seconds. ``notify`` gets a
    sentence at the first failure, and then every minute.
    """
    clock = asyncio.get_running_loop().time
    pauses = generate_pauses(_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS)
    notify_at = clock()
    while True:
        try:
            return await ask()
        except (Unreachable, Unavailable) as failure:
            if clock() >= notify_at:
                notify_at = clock() + _NOTIFY_EVERY_SECONDS
                notify(f"The registry does not answer: {failure} It is asked again until it does.")
        await asyncio.sleep(next(pauses))


def generate_pauses(first_seconds: float, max_seconds: float) -> Iterator[float]:
    """Yield the seconds between two requests, growing from the first to a maximum."""
    seconds = first_seconds
    while True:
        yield seconds
        seconds = min(seconds * 1.5, max_seconds)
