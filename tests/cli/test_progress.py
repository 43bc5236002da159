import io
from contextlib import redirect_stderr
from pathlib import Path

import pytest
from rich.progress import Progress

from modelyard.cli.terminal.formatting import count_columns
from modelyard.cli.terminal.output import Output
from modelyard.cli.terminal.progress import Lines, NoProgress, Stage, format_progress_line, show_progress
from modelyard.cli.terminal.progress_bars import choose_rows, format_bar_row
from modelyard.cli.terminal.totals import Totals
from modelyard.cli.transfers.summary import format_summary
from modelyard.client.transfers.push_results import AwaitingVerification
from modelyard.transfer.progress import Hashed, Resumed, Retrying, Sent

INK = Path("models/ink.safetensors")


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_view_prints_progress_every_five_seconds() -> None:
    clock, printed = Clock(), list[str]()
    lines = Lines(printed.append, clock)
    for second in range(12):
        clock.now = 100.0 + second
        lines.show(Sent(INK, second * 100_000_000, 2_000_000_000))
    assert printed == [
        "ink.safetensors: sending 500 MB of 2 GB (25 %), 100 MB/s, 15 s left",
        "ink.safetensors: sending 1 GB of 2 GB (50 %), 100 MB/s, 10 s left",
    ]


def test_lines_view_new_stage_restarts_interval_and_rate() -> None:
    clock, printed = Clock(), list[str]()
    lines = Lines(printed.append, clock)
    lines.show(Hashed(INK, 900, 1000))
    clock.now += 60
    lines.show(Sent(INK, 0, 1000))
    clock.now += 5
    lines.show(Sent(INK, 500, 1000))
    assert printed == ["ink.safetensors: sending 500 B of 1 kB (50 %), 100 B/s, 5 s left"]


def test_progress_line_without_progress_ends_with_waiting() -> None:
    assert format_progress_line("ink", Stage("sending", 5, 10), 0.0) == "ink: sending 5 B of 10 B (50 %), waiting"


def test_lines_view_prints_resumed_and_retrying_at_once() -> None:
    printed: list[str] = []
    lines = Lines(printed.append)
    lines.show(Resumed(INK, 500, 1000))
    lines.show(Retrying(INK, "The line was cut.", 2.0, "s3.test:9000", 90.0))
    lines.show(AwaitingVerification(INK))
    assert printed == [
        "ink.safetensors: 50 % already stored (500 B of 1 kB); continuing",
        "ink.safetensors: waiting for the store at s3.test:9000. The line was cut. Retrying in 2 s, giving up in 1:30.",
    ]


def test_show_progress_without_terminal_or_quiet_shows_no_bars() -> None:
    with redirect_stderr(io.StringIO()):
        for style, kind in (("quiet", NoProgress), ("json", Lines), ("human", Lines)):
            with show_progress(Output(style)) as view:  # type: ignore[arg-type]  # mypy widens the literals of the tuple
                assert isinstance(view, kind)


class FakeTerminal(io.StringIO):
    """A text stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_bars_view_on_terminal_shows_bars_and_prints_long_lines_uncut() -> None:
    screen, output = FakeTerminal(), Output("human")
    with redirect_stderr(screen), show_progress(output) as view:
        view.show(Hashed(INK, 1, 1000))
        view.show(Sent(INK, 500, 1000))
        view.show(Sent(Path("evil\x1b]0;x\x07[bold].pt"), 500, 1000))
        view.print_above(lambda: output.warn("registered  " + "x" * 300))
        view.remove(INK)
    written = screen.getvalue()
    assert "sending" in written
    assert "\x1b]0;" not in written
    assert "[bold]" in written
    assert "registered  " + "x" * 300 in written


@pytest.mark.parametrize("width", range(39, 201, 7))
@pytest.mark.parametrize("name", ["ink.safetensors", "墨絵の女" * 10 + ".safetensors"])
def test_bar_row_is_as_wide_as_the_terminal(name: str, width: int) -> None:
    row = format_bar_row(("sending", name), (500_000_000, 2_000_000_000), (110_000_000.0, 52.0), width)
    assert count_columns(row.plain) == width
    assert row.plain.rstrip().endswith("25 %   110 MB/s     52 s")


def test_total_row_of_80_columns_has_bytes_rate_and_time_left() -> None:
    row = format_bar_row(("total", "38/40"), (500_000_000, 2_000_000_000), (110_000_000.0, 52.0), 79)
    assert row.plain.startswith("total 38/40  ")
    assert row.plain.endswith("500 MB of    2 GB   25 %   110 MB/s     52 s")
    assert count_columns(row.plain) == 79


def test_choose_rows_more_than_the_screen_keeps_total_and_files_in_work() -> None:
    progress = Progress(disable=True)
    for _number in range(30):
        progress.add_task("", total=10, completed=3)
    for task in progress.tasks[1:27]:
        progress.update(task.id, completed=10)
    assert [task.id for task in choose_rows(progress.tasks, 7)] == [0, 1, 27, 28, 29]
    assert len(choose_rows(progress.tasks, 50)) == 11
    assert [task.id for task in choose_rows(progress.tasks, 2)] == [0]


def test_bar_row_of_unknown_size_has_no_numbers() -> None:
    assert format_bar_row(("waiting", "ink"), (0, 1), (None, None), 60).plain.rstrip() == "waiting ink"


def test_totals_leave_out_files_whose_content_was_there() -> None:
    totals = Totals()
    totals.expect({INK: 1000, Path("sketch.safetensors"): 500, Path("moss.safetensors"): 300})
    totals.end(Path("sketch.safetensors"))
    totals.add(Sent(INK, 250, 1000))
    assert (totals.files_ended, totals.files, totals.bytes_done, totals.bytes_total) == (1, 3, 250, 1300)
    assert totals.describe_stop() == "1 of 3 files are done, ink.safetensors stopped at 25 %"
    totals.add(Sent(INK, 1000, 1000))
    for path in (INK, INK, Path("moss.safetensors")):
        totals.end(path)
    assert (totals.files_ended, totals.bytes_done, totals.bytes_total) == (3, 1000, 1000)


def test_summary_counts_outcomes_of_several_files() -> None:
    outcomes = ["registered", "already there", "registered"]
    assert format_summary(outcomes, 6_800_000_000, 62.0) == (
        "3 files: 2 registered, 1 already there. 6.8 GB in 1:02, 110 MB/s."
    )
    assert format_summary(["failed", "failed"], 0, 1.0) == "2 files: 2 failed. Nothing transferred in 1 s."
    assert format_summary(["registered"], 1, 1.0) is None
