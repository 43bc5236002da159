"""The threads of one transfer, as awaitables that can be cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

Result = TypeVar("Result")

# A thread in the middle of a name lookup cannot be interrupted; it finds out by itself and closes what it opened.
_PATIENCE_SECONDS = 2.0


def _nothing() -> None:
    """Interrupt work that is too short to interrupt."""


class Crew:
    """A fixed number of threads of our own, so that a transfer that waits never starves the loop's shared ones."""

    def __init__(self, size: int) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="transfer")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def run(
        self,
        work: Callable[[], Result],
        interrupt: Callable[[], None] = _nothing,
        *,
        patience: float | None = _PATIENCE_SECONDS,
    ) -> Result:
        """The result of ``work``, done in a thread.

        If the caller is cancelled, ``interrupt`` is called to make ``work`` end early, and the cancellation goes on
        when it did, or after ``patience`` seconds (None: however long that takes).
        """
        running = self._pool.submit(work)
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            interrupt()
            if not running.cancel():
                await _ended(running, patience)
            raise


async def _ended(running: Future[Result], patience: float | None) -> None:
    ending = asyncio.wrap_future(running)
    # What interrupted work raises interests nobody, and asyncio complains of failures that nobody looked at.
    ending.add_done_callback(lambda future: future.cancelled() or future.exception())
    await asyncio.wait([ending], timeout=patience)


async def together(*works: Coroutine[None, None, None]) -> None:
    """Run all at once; the first to fail ends the others, and its failure comes out bare."""
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
    if failure is not None:
        raise failure
