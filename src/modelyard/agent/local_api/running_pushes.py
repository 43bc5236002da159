"""The pushes that are running, and the results of finished ones that no request has returned yet."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from http import HTTPStatus

from modelyard.agent.local_api.http import LocalProblem
from modelyard.agent.local_api.shapes import PushedModel, PushedWorkflow, PushProgress
from modelyard.client.transfers.push_results import AwaitingVerification, PushEvent
from modelyard.transfer.progress import Hashed, Sent

MAX_PUSHES = 4
# A result that no request returned, for example because the page was closed, is kept for so long.
KEPT_SECONDS = 300.0
MAX_KEPT_RESULTS = 50

PushWork = Callable[["RunningPush"], Coroutine[None, None, PushedModel | PushedWorkflow]]


@dataclass(eq=False)
class RunningPush:
    """A push, how far it is, and when it finished."""

    progress: PushProgress = field(
        default_factory=lambda: PushProgress(step="preparing", done_bytes=0, total_bytes=None)
    )
    task: asyncio.Task[PushedModel | PushedWorkflow] | None = None
    finished_at: float | None = None

    def report(self, event: PushEvent) -> None:
        """Record an event of the push."""
        match event:
            case Hashed(done=done, total=total):
                self.progress = PushProgress(step="hashing", done_bytes=done, total_bytes=total)
            case Sent(done=done, total=total):
                self.progress = PushProgress(step="sending", done_bytes=done, total_bytes=total)
            case AwaitingVerification():
                self.progress = self.progress.model_copy(update={"step": "verifying"})
            case _:
                pass


class RunningPushes:
    """The pushes of one agent by key. Belongs to its event loop."""

    def __init__(self, get_time: Callable[[], float] = time.monotonic) -> None:
        self._get_time = get_time
        self._pushes: dict[Hashable, RunningPush] = {}

    def find(self, key: Hashable) -> RunningPush | None:
        """Return the push with this key if it runs or its result was not taken yet.

        Results that nobody took for too long are removed first.
        """
        self._remove_old_results()
        return self._pushes.get(key)

    def start(self, key: Hashable, work: PushWork) -> RunningPush:
        """Start a push; one with this key is replaced.

        Raises:
            LocalProblem: too many pushes are running.
        """
        running = sum(push.finished_at is None for push in self._pushes.values())
        if running >= MAX_PUSHES:
            text = f"{running} pushes are running. Try again when one of them is done."
            raise LocalProblem(HTTPStatus.SERVICE_UNAVAILABLE, "too-many-pushes", "Other pushes are running", text)
        push = self._pushes[key] = RunningPush()
        push.task = asyncio.create_task(work(push))
        push.task.add_done_callback(lambda task: self._record_finish(push, task))
        return push

    def remove(self, key: Hashable, push: RunningPush) -> None:
        """Remove a push whose result was taken; does nothing if it was removed before."""
        if self._pushes.get(key) is push:
            del self._pushes[key]

    def cancel_all(self) -> None:
        """Cancel all pushes; the next push of the same file continues where it stopped."""
        for push in self._pushes.values():
            if push.task is not None:
                push.task.cancel()

    def _record_finish(self, push: RunningPush, task: asyncio.Task[PushedModel | PushedWorkflow]) -> None:
        """Record when a push finished, and remove the results of others that nobody took for too long."""
        push.finished_at = self._get_time()
        if not task.cancelled():
            task.exception()  # asyncio logs exceptions that are not retrieved; no request may ask for this one
        self._remove_old_results()

    def _remove_old_results(self) -> None:
        """Remove results that are older than ``KEPT_SECONDS``, and all but the newest ``MAX_KEPT_RESULTS``."""
        finished = [(push.finished_at, key) for key, push in self._pushes.items() if push.finished_at is not None]
        finished.sort(key=lambda each: each[0], reverse=True)
        oldest = self._get_time() - KEPT_SECONDS
        for position, (finished_at, key) in enumerate(finished):
            if position >= MAX_KEPT_RESULTS or finished_at < oldest:
                del self._pushes[key]
