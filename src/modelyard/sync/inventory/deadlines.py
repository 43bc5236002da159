"""Run file system calls that may never return, such as those on a dead network mount, with a limit on stalls."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

Result = TypeVar("Result")


class FilesystemNotResponding(Exception):
    """A file system call at ``path`` made no progress for longer than the allowed time."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path


class StallDeadline:
    """Runs blocking calls in threads and abandons a call that makes no progress for ``seconds``.

    A call that makes progress may take any time. While an abandoned thread still runs, further calls for exactly its
    path fail immediately. It ends when the file system responds, and does not keep the process alive.
    """

    def __init__(self, seconds: float = 30.0) -> None:
        self._seconds = seconds
        self._stalled: dict[Path, threading.Thread] = {}

    def run(self, path: Path, work: Callable[[Callable[[], None]], Result]) -> Result:
        """Run ``work`` in a thread and return its result; blocking.

        ``path`` only identifies the call. ``work`` gets a callback that it calls whenever it made progress. Exceptions
        of ``work`` are re-raised here.

        Raises:
            FilesystemNotResponding: ``work`` stalled, or an earlier call for this path still does.
        """
        stalled = self._stalled.get(path)
        if stalled is not None and stalled.is_alive():
            raise FilesystemNotResponding(path)
        call = _Call(work)
        thread = threading.Thread(target=call.run, name=f"modelyard-read-{path.name}", daemon=True)
        thread.start()
        while not call.finished.wait(self._seconds):
            if not call.has_progressed():
                self._stalled[path] = thread
                raise FilesystemNotResponding(path)
        self._stalled.pop(path, None)
        return call.get_result()


class _Call(Generic[Result]):
    """A call that runs in a thread, with its progress and its result or exception."""

    def __init__(self, work: Callable[[Callable[[], None]], Result]) -> None:
        self.finished = threading.Event()
        self._work = work
        self._progress_count = 0
        self._seen_count = 0
        self._results: list[Result] = []
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Run the work and store its result or exception."""
        try:
            self._results.append(self._work(self._record_progress))
        except BaseException as failure:  # noqa: BLE001 whatever it is, it is raised in the waiting thread
            self._failure = failure
        finally:
            self.finished.set()

    def has_progressed(self) -> bool:
        """Return whether the work made progress since the last call of this method, and note the progress seen."""
        has_progressed, self._seen_count = self._progress_count != self._seen_count, self._progress_count
        return has_progressed

    def get_result(self) -> Result:
        """Return the result of the finished work, or raise the exception that it raised."""
        if self._failure is not None:
            raise self._failure
        return self._results[0]

    def _record_progress(self) -> None:
        """Record that the work made progress; called from its thread."""
        self._progress_count += 1
