"""Work on a file system that may never answer: a dead network mount keeps whoever asks it, for ever."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

Result = TypeVar("Result")


class NotAnswering(Exception):
    """The file system at ``path`` did not move for too long."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path


class Patience:
    """Runs work in threads and leaves those that stand still for ``seconds``; they are remembered, not piled up.

    Work that moves may take as long as it likes. A thread that is left ends when the file system answers, and does not
    keep the program from ending.
    """

    def __init__(self, seconds: float = 30.0) -> None:
        self._seconds = seconds
        self._left: dict[Path, threading.Thread] = {}

    def run(self, path: Path, work: Callable[[Callable[[], None]], Result]) -> Result:
        """The result of ``work``, which calls its argument whenever it got on; blocking.

        Raises:
            NotAnswering: it stood still, or an earlier call on this path still does. What ``work`` raises passes.
        """
        left = self._left.get(path)
        if left is not None and left.is_alive():
            raise NotAnswering(path)
        task = _Task(work)
        thread = threading.Thread(target=task.run, name=f"modelyard looks at {path.name}", daemon=True)
        thread.start()
        while not task.finished.wait(self._seconds):
            if not task.has_moved():
                self._left[path] = thread
                raise NotAnswering(path)
        self._left.pop(path, None)
        return task.result()


class _Task(Generic[Result]):
    def __init__(self, work: Callable[[Callable[[], None]], Result]) -> None:
        self.finished = threading.Event()
        self._work = work
        self._moves = 0
        self._seen = 0
        self._result: list[Result] = []
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._result.append(self._work(self._move))
        except BaseException as failure:  # noqa: BLE001 whatever it is, it is raised in the waiting thread
            self._failure = failure
        finally:
            self.finished.set()

    def has_moved(self) -> bool:
        """Whether the work got on since the last time that this was asked."""
        moved, self._seen = self._moves != self._seen, self._moves
        return moved

    def result(self) -> Result:
        if self._failure is not None:
            raise self._failure
        return self._result[0]

    def _move(self) -> None:
        self._moves += 1
