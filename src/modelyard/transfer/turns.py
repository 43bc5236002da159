"""How many requests may be under way at once, over several transfers of one event loop."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from heapq import heappop, heappush


class Turns:
    """``most`` turns; who waits gets the next free one by rank, the lowest first, then in the order of asking.

    A transfer of a low rank uses what it can, and the others what it leaves.
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError("There is at least one turn.")
        self._free = most
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits."""
        return any(not future.done() for *_, future in self._waiting)

    async def take(self, rank: int) -> None:
        """Wait for a turn; it must be given back."""
        if self._free:
            self._free -= 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (rank, next(self._order), mine))
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self.give_back()  # it came in the same moment
            raise

    def give_back(self) -> None:
        """Let the next one go."""
        while self._waiting:
            *_, future = heappop(self._waiting)
            if not future.done():
                future.set_result(None)
                return
        self._free += 1


@dataclass(frozen=True)
class Queue:
    """The turns as one transfer sees them."""

    turns: Turns
    rank: int

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A turn, while the block runs."""
        await self.turns.take(self.rank)
        try:
            yield
        finally:
            self.turns.give_back()
