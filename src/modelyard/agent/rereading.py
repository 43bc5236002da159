"""Reading models again while nothing else is to be done, so that a disk that damaged one is noticed."""

import asyncio
import logging
from collections.abc import Callable

from modelyard.agent.rounds import Rounds
from modelyard.agent.situation import Situation
from modelyard.client.sync.holding.state import StateFailed

log = logging.getLogger("modelyard.agent")

LOOK_SECONDS = 60.0


class Rereading:
    """``look_now`` is called when a file is not what it was."""

    def __init__(self, situation: Situation, rounds: Rounds, look_now: Callable[[], None]) -> None:
        self._situation = situation
        self._rounds = rounds
        self._look_now = look_now
        self.look_seconds = LOOK_SECONDS

    async def run(self) -> None:
        """Read what is due, one file after the other, until cancelled."""
        while self._situation.settings.reread_days:
            await asyncio.sleep(self.look_seconds)
            try:
                while self._has_time() and (is_right := await self._rounds.read_one_again()) is not None:
                    if not is_right:
                        log.warning("A file that was placed or found here is not what it was. The folders are read.")
                        self._look_now()
                        break
            except StateFailed as failure:
                log.warning("%s", failure)

    def _has_time(self) -> bool:
        situation = self._situation
        is_at_rest = situation.phase in {"idle", "waiting"}
        return is_at_rest and not situation.is_acting and not situation.surroundings.is_rendering
