"""An event loop in a thread of its own, for blocking calls of asynchronous code, also inside another event loop."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

Result = TypeVar("Result")


class EventLoopThread:
    """A running event loop; ``close`` ends it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # A daemon, so that a program that did not close it can end.
        self._thread = threading.Thread(target=self._loop.run_forever, name="modelyard", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run ``work`` on the loop, and return its result or raise its exception. Blocking.

        Ctrl-C cancels ``work``, waits for its end, and raises KeyboardInterrupt.
        """
        ended: Future[Result] = Future()
        tasks: list[asyncio.Task[None]] = []

        async def finish() -> None:
            """Await the work, and set its result or exception, which is not raised here, in ``ended``."""
            try:
                ended.set_result(await work)
            except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
                ended.set_exception(error)

        self._loop.call_soon_threadsafe(lambda: tasks.append(self._loop.create_task(finish())))
        try:
            return ended.result()
        except KeyboardInterrupt:
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
            wait([ended])
            raise

    def close(self) -> None:
        """End the loop and its thread; may be repeated."""
        if self._loop.is_closed():
            return
        try:
            self.run(self._loop.shutdown_asyncgens())
            self.run(self._loop.shutdown_default_executor())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
