"""Find the last roll-out of a collection, and wait until it goes on."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Protocol

from modelyard.client.api.paging import Paging
from modelyard.client.api.registry import RegistryApi
from modelyard.client.waiting.polling import ask_until_answered, generate_pauses
from modelyard.transfer.errors import Unreachable
from modelyard.wire.collections import Collection
from modelyard.wire.collections.rollouts import RUNNING_ROLLOUT_STATES, Rollout
from modelyard.wire.problems import RolloutNotFound, Unavailable

_LAST_LOOK_SECONDS = 5.0
_FIRST_POLL_SECONDS, _MAX_POLL_SECONDS = 0.2, 3.0


async def get_last_rollout(registry: RegistryApi, collection: Collection) -> Rollout:
    """Return the newest roll-out of a collection.

    Raises:
        RolloutNotFound: it has none.
    """
    newest = await registry.list_rollouts(collection.id, Paging(per_page=1))
    if not newest.rollout_list:
        raise RolloutNotFound(f"'{collection.name}' has no roll-out.")
    return await registry.get_rollout(collection.id, newest.rollout_list[0].id)


class WaitReporter(Protocol):
    """Receives the changes of a roll-out, and failures to read it, during a wait."""

    def on_change(self, rollout: Rollout) -> None:
        """Receive the roll-out, at first and whenever anything in it changes."""

    def on_failure(self, sentence: str) -> None:
        """Receive why the registry does not answer, once a minute."""


async def wait_for_rollout(
    registry: RegistryApi, rollout: Rollout, reporter: WaitReporter, timeout_seconds: float | None = None
) -> Rollout:
    """Wait until a roll-out has ended, or needs a person, also while the registry does not answer.

    After ``timeout_seconds`` it is looked at once more, and returned as it was seen last: if it has not ended then,
    ``needs_person`` is false of it.
    """
    last = rollout
    reporter.on_change(last)
    pauses = generate_pauses(_FIRST_POLL_SECONDS, _MAX_POLL_SECONDS)

    def look() -> Awaitable[Rollout]:
        """Ask the registry for the roll-out."""
        return registry.get_rollout(rollout.collection_id, rollout.id)

    try:
        async with asyncio.timeout(timeout_seconds):
            while not needs_person(last):
                await asyncio.sleep(next(pauses))
                before, last = last, await ask_until_answered(look, reporter.on_failure)
                if last != before:
                    reporter.on_change(last)
    except TimeoutError:
        with suppress(TimeoutError, Unreachable, Unavailable):
            async with asyncio.timeout(_LAST_LOOK_SECONDS):
                before, last = last, await look()
            if last != before:
                reporter.on_change(last)
    return last


def needs_person(rollout: Rollout) -> bool:
    """Return whether nothing more happens by itself.

    That is: it has ended, it waits for an approval, all canaries are offline or gone, or only failed machines lack the
    version. Other offline ones may come back.
    """
    if rollout.state not in RUNNING_ROLLOUT_STATES or rollout.state == "waiting_for_approval":
        return True
    if rollout.obstacle is not None:
        return True
    if rollout.state == "canary" or rollout.progress is None:
        return False
    groups = rollout.progress.canaries, rollout.progress.others
    return any(each.failed for each in groups) and not any(each.waiting or each.offline for each in groups)
