"""Show the progress of transfers: bars on a terminal, a line every few seconds elsewhere, nothing with --quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from modelyard.cli.terminal.formatting import escape_unprintable, format_duration, format_size
from modelyard.cli.terminal.output import Output
from modelyard.client.transfers.push import AwaitingVerification, PushEvent
from modelyard.transfer.progress import Hashed, Received, Resumed, Retrying, Sent, Verified

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LINE_EVERY_SECONDS = 5.0
_NAME_COLUMNS = 40


class ProgressView(Protocol):
    """A display of transfer events."""

    def show(self, event: PushEvent) -> None:
        """Update the display with an event."""

    def remove(self, path: Path) -> None:
        """Remove a file that is done from the display."""

    def print_above(self, write: Callable[[], None]) -> None:
        """Call ``write``, which prints whole lines, with no progress bars on the screen."""


@dataclass(frozen=True)
class Stage:
    """How many bytes of a file are done in one stage of its transfer, such as hashing or sending."""

    verb: str
    done: int
    total: int


def get_stage(event: PushEvent) -> Stage | None:
    """Return the stage of a progress event; None for other events, and for a verification that is done."""
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


def get_message(event: PushEvent) -> str | None:
    """Return the message of a resumed or retried transfer; None for all other events."""
    match event:
        case Resumed():
            share = 100 * event.kept // max(event.total, 1)
            stored = f"{format_size(event.kept)} of {format_size(event.total)}"
            return f"{event.path.name}: {share} % already stored ({stored}); continuing"
        case Retrying():
            peer = "the registry" if event.store is None else f"the store at {event.store}"
            left = f"Retrying in {event.wait_seconds:.0f} s, giving up in {format_duration(event.left_seconds)}."
            return f"{event.path.name}: waiting for {peer}. {event.why} {left}"
        case _:
            return None


class Bars:
    """Progress bars on standard error, one for each file."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[Path, TaskID] = {}
        self._verbs: dict[Path, str] = {}

    def show(self, event: PushEvent) -> None:
        """Update the bar of the event's file; print the message of a resumed or retried transfer above the bars."""
        message = get_message(event)
        if message is not None:
            self._progress.console.print(escape_unprintable(message), markup=False, highlight=False, soft_wrap=True)
        if isinstance(event, AwaitingVerification):
            self._show_stage(event.path, Stage("registry reads", 1, 1))
        if isinstance(event, Retrying) and (task := self._tasks.get(event.path)) is not None:
            self._verbs[event.path] = "waiting"
            self._progress.update(task, description=_format_description("waiting", event.path))
        stage = get_stage(event)
        # During a download the hash is computed right behind it: a bar of its own would only flicker.
        if stage is not None and not (
            stage.verb == "verifying" and self._verbs.get(event.path) == "pulling" and self._is_unfinished(event.path)
        ):
            self._show_stage(event.path, stage)

    def remove(self, path: Path) -> None:
        """Remove the bar of a file, if it has one."""
        task = self._tasks.pop(path, None)
        self._verbs.pop(path, None)
        if task is not None:
            self._progress.remove_task(task)

    def print_above(self, write: Callable[[], None]) -> None:
        """Hide the bars while ``write`` prints: a line beside bars would be cut to the width of the screen."""
        self._progress.stop()
        write()
        self._progress.start()

    def _is_unfinished(self, path: Path) -> bool:
        """Return whether a file's bar, which must exist, is not full."""
        return not next(task.finished for task in self._progress.tasks if task.id == self._tasks[path])

    def _show_stage(self, path: Path, stage: Stage) -> None:
        """Update the bar of a file; create it if it has none, and reset it at the start of another stage."""
        description = _format_description(stage.verb, path)
        if path not in self._tasks:
            self._tasks[path] = self._progress.add_task(description, total=stage.total, completed=stage.done)
        elif self._verbs[path] != stage.verb:
            self._progress.reset(self._tasks[path], total=stage.total, completed=stage.done, description=description)
        else:
            self._progress.update(self._tasks[path], total=stage.total, completed=stage.done)
        self._verbs[path] = stage.verb


class Lines:
    """A line for each file every 5 seconds, for logs and pipes."""

    def __init__(self, print_line: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._print_line = print_line
        self._clock = clock
        self._last_lines: dict[Path, tuple[str, float, int]] = {}  # verb, time and bytes of each file's last line

    def show(self, event: PushEvent) -> None:
        """Print the message of a resumed or retried transfer at once, and progress at most every 5 seconds a file.

        The first event of a stage prints nothing.
        """
        message = get_message(event)
        if message is not None:
            self._print_line(message)
        stage, now = get_stage(event), self._clock()
        if stage is None:
            return
        verb, printed_at, before = self._last_lines.get(event.path, ("", now, 0))
        if verb != stage.verb:
            self._last_lines[event.path] = (stage.verb, now, stage.done)
        elif now - printed_at >= _LINE_EVERY_SECONDS:
            self._last_lines[event.path] = (stage.verb, now, stage.done)
            rate = (stage.done - before) / (now - printed_at)
            self._print_line(format_progress_line(event.path.name, stage, rate))

    def remove(self, path: Path) -> None:
        self._last_lines.pop(path, None)

    def print_above(self, write: Callable[[], None]) -> None:
        write()


class NoProgress:
    """A display that shows nothing."""

    def show(self, event: PushEvent) -> None: ...

    def remove(self, path: Path) -> None: ...

    def print_above(self, write: Callable[[], None]) -> None:
        write()


def format_progress_line(name: str, stage: Stage, rate: float) -> str:
    """Format a stage as ``ink.safetensors: sending 1.2 GB of 6.8 GB (18 %), 110 MB/s, 52 s left``.

    ``rate`` is in bytes a second; for a rate of zero the line ends with ``waiting``.
    """
    share = f"{100 * stage.done // max(stage.total, 1)} %"
    line = f"{name}: {stage.verb} {format_size(stage.done)} of {format_size(stage.total)} ({share})"
    if rate <= 0:
        return f"{line}, waiting"
    return f"{line}, {format_size(round(rate))}/s, {format_duration((stage.total - stage.done) / rate)} left"


def _format_description(verb: str, path: Path) -> str:
    """Return the stage's verb and the shortened file name, for the left of a bar."""
    return f"{verb:<14} {_shorten(path.name)}"


def _shorten(name: str) -> str:
    """Escape a file name, and replace the middle of one over 40 characters by an ellipsis."""
    clean = escape_unprintable(name)
    return clean if len(clean) <= _NAME_COLUMNS else f"{clean[: _NAME_COLUMNS - 13]}…{clean[-12:]}"


@contextmanager
def show_progress(output: Output) -> Iterator[ProgressView]:
    """Yield the display for this output: bars on a terminal, nothing with --quiet, else lines."""
    if output.style == "quiet":
        yield NoProgress()
    elif not output.shows_bars:
        yield Lines(output.note)
    else:
        with _build_bars() as progress:
            yield Bars(progress)


def _build_bars() -> Progress:
    """Build rich's progress bars for standard error, not shown yet; they disappear at the end."""
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
