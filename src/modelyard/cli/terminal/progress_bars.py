"""Progress bars on standard error: a row for each file in work and one for all, never more than the screen shows."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task
from rich.text import Text

from modelyard.cli.terminal.formatting import count_columns, escape_unprintable, format_duration, format_size
from modelyard.cli.terminal.table import cut_path
from modelyard.cli.terminal.totals import TOTAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import RenderableType
    from rich.progress import TaskID

# The terminal shows ^C behind the last row; if that wrapped, the rows above could not be erased any more.
_FREE_COLUMNS = 3
# From these widths on, a row has a bar, and the numbers of bytes; that for all files has a short label.
_WITH_BAR, _WITH_BYTES, _TOTAL_WITH_BYTES = 56, 96, 76
_MAX_BAR = 40
# Besides the row for all files.
_MAX_ROWS = 10


class FittedProgress(Progress):
    """A display of fewer rows than the screen has: the terminal could not erase rows that have scrolled off."""

    def __init__(self, console: Console) -> None:
        # The base class asks for its rows before it has these.
        self._screen, self._is_hidden = console, False
        # Answers that go to a file or a pipe must not land on the terminal.
        is_terminal = sys.stdout.isatty()
        super().__init__(
            Row(console), console=console, transient=True, redirect_stdout=is_terminal, speed_estimate_period=15
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the table of the rows that are shown, if any are."""
        if not self._is_hidden:
            yield self.make_tasks_table(choose_rows(self.tasks, self._screen.height))

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Hide all rows during the block, which may print; show them again afterwards."""
        # A display that is stopped with rows on the screen would erase as many lines when it starts again.
        self._is_hidden = True
        self.stop()
        try:
            yield
        finally:
            self._is_hidden = False
            self.start()


def choose_rows(tasks: Sequence[Task], height: int) -> list[Task]:
    """Return the first row, and those of files on which something is done before those that wait, in their order."""
    most = min(1 + _MAX_ROWS, max(1, height - 2))
    shown = [*tasks[:1], *sorted(tasks[1:], key=lambda task: task.finished)][:most]
    return sorted(shown, key=lambda task: task.id)


class Row(ProgressColumn):
    """The only column of the display: a whole row of one task, as wide as the terminal at that moment."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def render(self, task: Task) -> Text:
        """Return the row; the last columns stay free, see ``_FREE_COLUMNS``; some terminals would wrap in the last."""
        seconds = task.time_remaining
        return format_bar_row(
            (str(task.fields["verb"]), str(task.fields["name"])),
            (int(task.completed), int(task.total or 0)),
            (task.speed, seconds),
            self._console.width - _FREE_COLUMNS,
        )


def format_bar_row(
    label: tuple[str, str], count: tuple[int, int], pace: tuple[float | None, float | None], width: int
) -> Text:
    """Return a row such as ``sending ink.safetensors  ━━━━━━──────  42 %  110 MB/s  0:52``.

    ``label`` is verb and name, ``count`` the bytes done and in all, ``pace`` bytes and seconds left, if known. A total
    of one byte stands for work of unknown size: the row is the label alone.
    """
    verb, name = label
    done, total = count
    has_bytes = width >= (_TOTAL_WITH_BYTES if verb == TOTAL else _WITH_BYTES)
    numbers = _format_numbers(done, total, pace, has_bytes=has_bytes) if total > 1 else ""
    bar_width = min(_MAX_BAR, width // 5) if numbers and width >= _WITH_BAR else 0
    free = width - count_columns(numbers) - (bar_width + 2 if bar_width else 0) - (2 if numbers else 0)
    text = f"{verb} {cut_path(escape_unprintable(name), max(1, free - len(verb) - 1))}"
    row = Text(text + " " * (free - count_columns(text)), no_wrap=True, overflow="crop", end="")
    if bar_width:
        filled = bar_width * done // total
        row.append("  ").append("━" * filled, "cyan").append("─" * (bar_width - filled), "bright_black")
    return row.append(f"  {numbers}" if numbers else "")


def _format_numbers(done: int, total: int, pace: tuple[float | None, float | None], *, has_bytes: bool) -> str:
    """Return share, rate and time left in columns of fixed widths, with ``has_bytes`` after the bytes."""
    rate, seconds = pace
    share = f"{100 * done // total:>3} %"
    speed = f"{format_size(round(rate))}/s" if rate else ""
    left = format_duration(seconds) if rate and seconds is not None else ""
    count = f"{format_size(done):>7} of {format_size(total):>7}  " if has_bytes else ""
    return f"{count}{share}  {speed:>9}  {left:>7}"


class BarRows:
    """Rows, each under a key; they disappear at the end. ``choose_rows`` tells which of them are on the screen."""

    def __init__(self) -> None:
        console = Console(file=sys.stderr)
        self.console = console
        self.progress = FittedProgress(console)
        self._tasks: dict[object, TaskID] = {}
        self._verbs: dict[object, str] = {}

    def set_row(self, key: object, verb: str, name: str, count: tuple[int, int]) -> None:
        """Show a row with these numbers; another verb starts its rate anew."""
        done, total = count
        if key not in self._tasks:
            self._tasks[key] = self.progress.add_task("", total=total, completed=done, verb=verb, name=name)
        elif self._verbs[key] != verb:
            self.progress.reset(self._tasks[key], total=total, completed=done, verb=verb, name=name)
        else:
            self.progress.update(self._tasks[key], total=total, completed=done, name=name)
        self._verbs[key] = verb

    def get_verb(self, key: object) -> str | None:
        """Return the verb of a row; None if there is no such row."""
        return self._verbs.get(key)

    def is_full(self, key: object) -> bool:
        """Return whether all bytes of a row, which must exist, are done."""
        return next(task.finished for task in self.progress.tasks if task.id == self._tasks[key])

    def remove_row(self, key: object) -> None:
        """Remove a row, if there is one under the key."""
        self._verbs.pop(key, None)
        if (task := self._tasks.pop(key, None)) is not None:
            self.progress.remove_task(task)

    def print_text(self, text: str) -> None:
        """Print a text above the rows, with unprintable characters escaped; the terminal wraps it."""
        self.console.print(escape_unprintable(text), markup=False, highlight=False, soft_wrap=True)
