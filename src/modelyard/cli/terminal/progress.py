"""Show the progress of transfers: bars on a terminal, a line every few seconds elsewhere, nothing with --quiet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from modelyard.cli.terminal.formatting import format_duration, format_size
from modelyard.cli.terminal.interrupting import set_stop_description
from modelyard.cli.terminal.output import Output
from modelyard.cli.terminal.totals import TOTAL, Totals
from modelyard.client.transfers.push_results import AwaitingVerification, PushEvent
from modelyard.transfer.progress import Hashed, Received, Resumed, Retrying, Sent, Verified

if TYPE_CHECKING:
    from modelyard.cli.terminal.progress_bars import BarRows

_LINE_EVERY_SECONDS = 5.0


class ProgressView(Protocol):
    """A display of transfer events."""

    def expect(self, sizes: Mapping[Path, int]) -> None:
        """Add files that will be transferred, with their sizes in bytes, to the total."""

    def show(self, event: PushEvent) -> None:
        """Update the display with an event."""

    def remove(self, path: Path) -> None:
        """Remove a file that is done from the display."""

    def print_above(self, write: Callable[[], object]) -> None:
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
    """Progress bars on standard error, one for each file, and above them one for all of several files."""

    def __init__(self, rows: BarRows, totals: Totals) -> None:
        self._rows = rows
        self._totals = totals

    def expect(self, sizes: Mapping[Path, int]) -> None:
        """Show a row for all files, if there are several."""
        self._totals.expect(sizes)
        self._show_total()

    def show(self, event: PushEvent) -> None:
        """Update the bar of the event's file; print the message of a resumed or retried transfer above the bars."""
        message = get_message(event)
        if message is not None:
            self._rows.print_text(message)
        if isinstance(event, AwaitingVerification):
            self._show_stage(event.path, Stage("registry reads", 1, 1))
        if isinstance(event, Retrying) and self._rows.get_verb(event.path) is not None:
            self._show_stage(event.path, Stage("waiting", 0, 1))
        stage = get_stage(event)
        # During a download the hash is computed right behind it: a bar of its own would only flicker.
        if stage is not None and not (
            stage.verb == "verifying"
            and self._rows.get_verb(event.path) == "pulling"
            and not self._rows.is_full(event.path)
        ):
            self._show_stage(event.path, stage)
        self._totals.add(event)
        self._show_total()

    def remove(self, path: Path) -> None:
        """Remove the bar of a file, if it has one."""
        self._rows.remove_row(path)
        self._totals.end(path)
        self._show_total()

    def print_above(self, write: Callable[[], object]) -> None:
        """Hide the bars while ``write`` prints: a line beside bars would be cut to the width of the screen."""
        with self._rows.progress.hidden():
            write()

    def _show_stage(self, path: Path, stage: Stage) -> None:
        """Show the stage in the bar of a file."""
        self._rows.set_row(path, stage.verb, path.name, (stage.done, stage.total))

    def _show_total(self) -> None:
        """Update the row for all files; there is none for a single file."""
        totals = self._totals
        if totals.files > 1:
            files = f"{totals.files_ended}/{totals.files}"
            self._rows.set_row(None, TOTAL, files, (totals.bytes_done, totals.bytes_total))


class Lines:
    """A line for each file every 5 seconds, for logs and pipes."""

    def __init__(
        self,
        print_line: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        totals: Totals | None = None,
    ) -> None:
        self._print_line = print_line
        self._clock = clock
        self._totals = totals or Totals()
        self._last_lines: dict[Path, tuple[str, float, int]] = {}  # verb, time and bytes of each file's last line

    def expect(self, sizes: Mapping[Path, int]) -> None:
        self._totals.expect(sizes)

    def show(self, event: PushEvent) -> None:
        """Print the message of a resumed or retried transfer at once, and progress at most every 5 seconds a file.

        The first event of a stage prints nothing.
        """
        self._totals.add(event)
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
        self._totals.end(path)
        self._last_lines.pop(path, None)

    def print_above(self, write: Callable[[], object]) -> None:
        write()


class NoProgress:
    """A display that shows nothing."""

    def __init__(self, totals: Totals) -> None:
        self.expect = totals.expect
        self.show = totals.add
        self.remove = totals.end

    def print_above(self, write: Callable[[], object]) -> None:
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


@contextmanager
def show_progress(output: Output) -> Iterator[ProgressView]:
    """Yield the display for this output: bars on a terminal, nothing with --quiet, else lines.

    After Ctrl-C, the message of the program says what was done.
    """
    totals = Totals()
    set_stop_description(totals.describe_stop)
    if output.style == "quiet":
        yield NoProgress(totals)
    elif not output.shows_bars:
        yield Lines(output.note, totals=totals)
    else:
        from modelyard.cli.terminal.progress_bars import BarRows

        rows = BarRows()
        with rows.progress:
            yield Bars(rows, totals)
    set_stop_description(None)
