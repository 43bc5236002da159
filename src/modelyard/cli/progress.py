"""Progress on the screen: bars that move on a terminal, a plain line now and then elsewhere, nothing for the quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from modelyard.cli.output import Output
from modelyard.cli.words import duration_words, harmless, size_words
from modelyard.client.push import PushEvent, Reading
from modelyard.transfer.progress import Hashed, Received, Resumed, Retrying, Sent, Verified

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LINE_EVERY_SECONDS = 5.0
_NAME_COLUMNS = 40


class Picture(Protocol):
    """What draws the events of transfers."""

    def hear(self, event: PushEvent) -> None: ...

    def forget(self, path: Path) -> None:
        """This file is done."""

    def above(self, say: Callable[[], None]) -> None:
        """Let ``say`` print without its words and the drawing getting into each other."""


@dataclass(frozen=True)
class Stage:
    """How far one file is in one stage of its way."""

    verb: str
    done: int
    total: int


def stage_of(event: PushEvent) -> Stage | None:
    """The stage that an event speaks of; None for events that are no progress."""
    match event:
        case Hashed():
            return Stage("hashing", event.done, event.total)
        case Sent():
            return Stage("sending", event.done, event.total)
        case Received():
            return Stage("pulling", event.done, event.total)
        case Verified() if event.done < event.total:
            return Stage("verifying", event.done, event.total)
        case _:
            return None


def remark_of(event: PushEvent) -> str | None:
    """What an event says beside progress."""
    match event:
        case Resumed():
            return f"{event.path.name}: going on after {size_words(event.kept)} of {size_words(event.total)}"
        case Retrying():
            return f"{event.path.name}: {event.why} Again in {event.wait_seconds:.0f} s."
        case _:
            return None


class Bars:
    """Moving bars on standard error."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[Path, TaskID] = {}
        self._verbs: dict[Path, str] = {}

    def hear(self, event: PushEvent) -> None:
        remark = remark_of(event)
        if remark is not None:
            self._progress.console.print(harmless(remark), markup=False, highlight=False, soft_wrap=True)
        if isinstance(event, Reading):
            self._show(event.path, Stage("registry reads", 1, 1))
        stage = stage_of(event)
        # The hash follows right behind the bytes: its bar would only flicker.
        if stage is not None and not (
            stage.verb == "verifying" and self._verbs.get(event.path) == "pulling" and self._is_moving(event.path)
        ):
            self._show(event.path, stage)

    def forget(self, path: Path) -> None:
        task = self._tasks.pop(path, None)
        self._verbs.pop(path, None)
        if task is not None:
            self._progress.remove_task(task)

    def above(self, say: Callable[[], None]) -> None:
        # Printed while bars move, a line would be cut to the terminal's width.
        self._progress.stop()
        say()
        self._progress.start()

    def _is_moving(self, path: Path) -> bool:
        return not next(task.finished for task in self._progress.tasks if task.id == self._tasks[path])

    def _show(self, path: Path, stage: Stage) -> None:
        words = f"{stage.verb:<14} {_short(path.name)}"
        if path not in self._tasks:
            self._tasks[path] = self._progress.add_task(words, total=stage.total, completed=stage.done)
        elif self._verbs[path] != stage.verb:
            self._progress.reset(self._tasks[path], total=stage.total, completed=stage.done, description=words)
        else:
            self._progress.update(self._tasks[path], total=stage.total, completed=stage.done)
        self._verbs[path] = stage.verb


class Lines:
    """A line for each file every few seconds, for logs."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._told: dict[Path, tuple[str, float, int]] = {}  # verb, when, bytes

    def hear(self, event: PushEvent) -> None:
        remark = remark_of(event)
        if remark is not None:
            self._say(remark)
        stage, now = stage_of(event), self._clock()
        if stage is None:
            return
        verb, when, before = self._told.get(event.path, ("", now, 0))
        if verb != stage.verb:
            self._told[event.path] = (stage.verb, now, stage.done)
        elif now - when >= _LINE_EVERY_SECONDS:
            self._told[event.path] = (stage.verb, now, stage.done)
            self._say(progress_line(event.path.name, stage, (stage.done - before) / (now - when)))

    def forget(self, path: Path) -> None:
        self._told.pop(path, None)

    def above(self, say: Callable[[], None]) -> None:
        say()


class Silence:
    """Draws nothing."""

    def hear(self, event: PushEvent) -> None: ...

    def forget(self, path: Path) -> None: ...

    def above(self, say: Callable[[], None]) -> None:
        say()


def progress_line(name: str, stage: Stage, rate: float) -> str:
    """``ink.safetensors: sending 1.2 GB of 6.8 GB (18 %), 110 MB/s, 52 s left``."""
    share = f"{100 * stage.done // max(stage.total, 1)} %"
    line = f"{name}: {stage.verb} {size_words(stage.done)} of {size_words(stage.total)} ({share})"
    if rate <= 0:
        return f"{line}, waiting"
    return f"{line}, {size_words(round(rate))}/s, {duration_words((stage.total - stage.done) / rate)} left"


def _short(name: str) -> str:
    clean = harmless(name)
    return clean if len(clean) <= _NAME_COLUMNS else f"{clean[: _NAME_COLUMNS - 13]}…{clean[-12:]}"


@contextmanager
def drawing(output: Output) -> Iterator[Picture]:
    """Whatever draws progress for this output, until the block ends."""
    if output.style == "quiet":
        yield Silence()
    elif not output.draws:
        yield Lines(output.note)
    else:
        with _bars() as progress:
            yield Bars(progress)


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        transient=True,
        # Answers that go to a file or a pipe must not land on the terminal.
        redirect_stdout=sys.stdout.isatty(),
    )
