"""Thread pools for transfers whose blocking work can be awaited and cancelled."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

Result = TypeVar("Result")

# A thread inside a DNS lookup cannot be interrupted; it notices the stop later and closes what it opened.
_CANCEL_TIMEOUT_SECONDS = 2.0


def _do_nothing() -> None:
    """Do nothing: the interrupt function for work that is too short to be interrupted."""


class ThreadPool:
    """A fixed number of threads, separate from the event loop's default pool so that slow transfers do not block it.

    The end of the context cancels queued work and does not wait for running work.
    """

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
        interrupt: Callable[[], None] = _do_nothing,
        *,
        timeout_seconds: float | None = _CANCEL_TIMEOUT_SECONDS,
    ) -> Result:
        """Run ``work`` in a thread and return its result.

        If the caller is cancelled, ``interrupt`` is called to make ``work`` end early, and the cancellation continues
        when ``work`` has ended, or after ``timeout_seconds`` seconds (None: no limit). What ``work`` then returns or
        raises is dropped. Work that waits for a thread is never started.
        """
        running = self._pool.submit(work)
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            interrupt()
            if not running.cancel():
                await _wait_until_ended(running, timeout_seconds)
            raise


async def _wait_until_ended(running: Future[Result], timeout_seconds: float | None) -> None:
    """Wait until work in a thread has ended, or for so many seconds; its exception is dropped."""
    ending = asyncio.wrap_future(running)
    # Retrieve the exception of interrupted work, or asyncio logs it as never retrieved.
    ending.add_done_callback(lambda future: future.cancelled() or future.exception())
    await asyncio.wait([ending], timeout=timeout_seconds)


async def run_concurrently(*works: Coroutine[None, None, None]) -> None:
    """Run coroutines concurrently; the first failure cancels the others and is re-raised alone, not as a group."""
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
    if failure is not None:
        raise failure


async def run_all(tasks: Sequence[Awaitable[Result]]) -> list[Result]:
    """Await all at once and return the results in order; the first exception cancels the others.

    The exception is raised as it is, not in a group.
    """
    results: dict[int, Result] = {}

    async def run(index: int, task: Awaitable[Result]) -> None:
        """Await one task and store its result."""
        results[index] = await task

    await run_concurrently(*(run(index, task) for index, task in enumerate(tasks)))
    return [results[index] for index in range(len(tasks))]
