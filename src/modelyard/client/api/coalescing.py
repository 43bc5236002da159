"""Calls for single items that are made at the same time, joined into one request for all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from modelyard.transfer.errors import BadResponse
from modelyard.wire.problems import BodyTooLarge, MethodNotAllowed, Problem, RouteNotFound

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# How long the first call waits for others. Tasks that begin together read their files first, some milliseconds each.
_GATHER_SECONDS = 0.01
# For so long at most, the next batch waits for a call that is sent alone, which may be retried for minutes.
_ALONE_SECONDS = 0.5
# Statuses that ``HttpChannel`` retries.
_PASSING = (502, 503, 504)


class Coalescer(Generic[Item, Answer]):
    """Joins calls for single items into batches: all that are made while the batch before is being answered.

    ``send_one`` answers one item and raises its problem; ``send_many`` returns the answer or problem of each item. An
    item that no other joins is sent by itself, as is every item to a registry without the route of ``send_many``.
    After a batch, ``pause_seconds`` pass before the next one, unless as many calls as fit into it wait already.
    """

    def __init__(
        self,
        send_one: Callable[[Item], Awaitable[Answer]],
        send_many: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | Problem]]],
        max_items: int,
        pause_seconds: float = 0.0,
    ) -> None:
        self._send_one, self._send_many, self._max_items = send_one, send_many, max_items
        self._pause_seconds = pause_seconds
        self._waiting: list[_Call[Item, Answer]] = []
        self._sender: asyncio.Task[None] | None = None
        self._alone = set[asyncio.Task[None]]()

    async def call(self, item: Item) -> Answer:
        """Return the answer for one item.

        Raises:
            Problem: the registry refused the item, or the whole batch.
            Unreachable, BadResponse: as ``HttpChannel``.
        """
        call = _Call[Item, Answer](item, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_waiting())
        return await call.answer

    async def _send_waiting(self) -> None:
        """Send batches until no call waits. Calls that were cancelled meanwhile are left out."""
        batch: list[_Call[Item, Answer]] = []
        try:
            await asyncio.sleep(_GATHER_SECONDS)
            while self._waiting:
                batch, self._waiting = self._waiting[: self._max_items], self._waiting[self._max_items :]
                batch = [call for call in batch if not call.answer.done()]
                await self._send_batch(batch)
                if len(self._waiting) < self._max_items:
                    await asyncio.sleep(self._pause_seconds)
        except asyncio.CancelledError:
            for call in [*batch, *self._waiting]:
                call.answer.cancel()
            raise
        finally:
            self._sender = None

    async def _send_batch(self, batch: Sequence["_Call[Item, Answer]"]) -> None:
        """Send calls together, and give each its answer or exception.

        What the registry could not answer now joins the next batch, as long as it answered others of this one. If not,
        each is sent alone, which is retried as every single request.
        """
        if len(batch) < 2:
            for task in self._send_alone(batch):
                await asyncio.wait([task], timeout=_ALONE_SECONDS)
            return
        try:
            answers = await self._send_many([call.item for call in batch])
            if len(answers) != len(batch):
                raise BadResponse(f"The registry answered {len(answers)} of {len(batch)} items.")
        except BodyTooLarge:
            middle = len(batch) // 2
            await self._send_batch(batch[:middle])
            await self._send_batch(batch[middle:])
        except (RouteNotFound, MethodNotAllowed):
            self._send_alone(batch)
        except Exception as failure:  # noqa: BLE001 - raised again by each call
            for call in batch:
                call.finish(failure)
        else:
            self._finish(batch, answers)

    def _finish(self, batch: Sequence["_Call[Item, Answer]"], answers: Sequence[Answer | Problem]) -> None:
        """Give calls the answers of a batch, and send those again that may pass."""
        again = [call for call, answer in zip(batch, answers, strict=True) if _may_pass(answer)]
        for call, answer in zip(batch, answers, strict=True):
            if not _may_pass(answer):
                call.finish(answer)
        if len(again) < len(batch):
            self._waiting += again
        else:
            self._send_alone(again)

    def _send_alone(self, batch: Sequence["_Call[Item, Answer]"]) -> list[asyncio.Task[None]]:
        """Begin to send each call by itself, and return the tasks that do."""
        tasks = [asyncio.create_task(self._send_single(call)) for call in batch]
        for task in tasks:
            self._alone.add(task)
            task.add_done_callback(self._alone.discard)
        return tasks

    async def _send_single(self, call: "_Call[Item, Answer]") -> None:
        """Send one call by itself, and give it its answer or exception."""
        try:
            call.finish(await self._send_one(call.item))
        except asyncio.CancelledError:
            call.answer.cancel()
            raise
        except Exception as failure:  # noqa: BLE001 - raised again by the call
            call.finish(failure)


@dataclass(frozen=True)
class _Call(Generic[Item, Answer]):
    """A call that waits for its answer."""

    item: Item
    answer: asyncio.Future[Answer]

    def finish(self, answer: Answer | Exception) -> None:
        """Return the answer from the call or raise the exception in it, unless it was cancelled meanwhile."""
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


def _may_pass(answer: object) -> bool:
    """Return whether an answer is a problem that may pass if the item is sent again."""
    return isinstance(answer, Problem) and answer.status in _PASSING
