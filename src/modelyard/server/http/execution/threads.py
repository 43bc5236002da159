"""Threads for synchronous operations: a function runs in one while its caller waits on the event loop."""

import asyncio
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import SimpleQueue
from time import monotonic
from typing import Any, TypeVar

from anyio import CancelScope

# After this time without work a thread ends, when others get work.
IDLE_SECONDS = 10.0
# CPython's own 5 ms are a long time for a request that waits a dozen times for the database: after each response it
# waits for the interpreter as long, if another request computes (bench/neighbours: lookups on PostgreSQL).
SWITCH_SECONDS = 0.0005

Result = TypeVar("Result")
Call = tuple[Context, Callable[[], Any], asyncio.Future[Any]]


def set_switch_interval() -> None:
    """Let a thread that computes give up the interpreter after ``SWITCH_SECONDS`` if another one waits for it."""
    sys.setswitchinterval(SWITCH_SECONDS)


class OperationThreads:
    """As many threads as there are calls at a time, and reused; the caller limits their number. Of one event loop.

    ``anyio.to_thread`` does the same for any library, with queues written in Python, and two more turns of the loop.
    """

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._idle: deque[_Worker] = deque()
        weakref.finalize(self, _stop_all, self._idle)

    async def run(self, operation: Callable[[], Result]) -> Result:
        """Run a function in a thread, in a copy of the caller's context, and return its result.

        Threads that idle too long end. The caller's cancellation takes effect when the function has ended.
        """
        worker = self._idle.pop() if self._idle else _Worker(self._idle)
        self._stop_unused()
        ended: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        worker.calls.put((copy_context(), operation, ended))
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            await _wait_for_end(ended)
            raise

    def _stop_unused(self) -> None:
        """Stop the threads that have had no work for ``idle_seconds``; the first ones have waited longest."""
        while self._idle and monotonic() - self._idle[0].idle_since > self._idle_seconds:
            self._idle.popleft().calls.put(None)


class _Worker:
    """A thread that runs one function after the other; it is in ``idle`` while it has none."""

    def __init__(self, idle: "deque[_Worker]") -> None:
        self.calls: SimpleQueue[Call | None] = SimpleQueue()
        self.idle_since = 0.0
        self._idle = idle
        # The requests wait for their operations, also when the server stops.
        threading.Thread(target=self._run, name="operation", daemon=True).start()

    def _run(self) -> None:
        """Run the functions of the queue one after the other, and send each result to its event loop.

        Ends at a None in the queue, or if the event loop of a result is closed.
        """
        while (call := self.calls.get()) is not None:
            context, operation, ended = call
            result: Any = None
            error: BaseException | None = None
            try:
                result = context.run(_raise_no_stop_iteration, operation)
            except BaseException as raised:  # noqa: BLE001 - it is raised where the result is waited for
                error = raised
            loop = ended.get_loop()
            try:
                loop.call_soon_threadsafe(self._finish, ended, result, error)
            except RuntimeError:
                if loop.is_closed():
                    return
                raise
            # What it refers to must not live until the next call.
            del call, context, operation, ended, loop, result, error

    def _finish(self, ended: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        """Become idle, and deliver the result of a function; runs on the event loop."""
        self.idle_since = monotonic()
        self._idle.append(self)
        if ended.cancelled():
            return
        if error is None:
            ended.set_result(result)
        else:
            ended.set_exception(error)


def _raise_no_stop_iteration(operation: Callable[[], Result]) -> Result:
    """Return the result of a function; a ``StopIteration``, which no future accepts, becomes a ``RuntimeError``."""
    try:
        return operation()
    except StopIteration as error:
        raise RuntimeError("The operation raised StopIteration.") from error


def _stop_all(idle: deque[_Worker]) -> None:
    """Stop the idle threads of an application that is gone."""
    while idle:
        idle.pop().calls.put(None)


async def _wait_for_end(ended: asyncio.Future[Any]) -> None:
    """Wait until a function has ended, whatever is cancelled meanwhile; its result or exception is dropped.

    Without the shield, a cancelled scope of anyio would cancel this again at each turn of the loop.
    """
    with CancelScope(shield=True):
        while not ended.done():
            try:
                await asyncio.wait({ended})
            except asyncio.CancelledError:
                continue
    if not ended.cancelled():
        ended.exception()
