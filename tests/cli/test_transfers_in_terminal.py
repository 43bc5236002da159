"""Progress, summaries and Ctrl-C of transfers in a real pseudo-terminal."""

from pathlib import Path

import pytest

from modelyard.cli.terminal.formatting import count_columns
from tests.cli.conftest import Command
from tests.cli.terminal_process import run_in_terminal
from tests.cli.terminal_screen import Screen
from tests.client.model_files import write_model_file

pytestmark = pytest.mark.slow

SIZE = 6_000_000
RATE = ("--limit-rate", "4MB")


def write_models(folder: Path) -> Path:
    """Write two models with long names, one of them in wide characters, and return their folder."""
    folder.mkdir()
    write_model_file(folder / ("portrait-of-a-lady-" * 4 + "v2.safetensors"), SIZE, seed=1)
    write_model_file(folder / ("墨絵の女" * 6 + ".safetensors"), SIZE, seed=2)
    return folder


_OTHER_WIDTH = pytest.mark.extended(reason="the same at another width; that of 40 columns is in `make check`")


@pytest.mark.parametrize("columns", [40, pytest.param(80, marks=_OTHER_WIDTH), pytest.param(200, marks=_OTHER_WIDTH)])
def test_transfers_in_terminal_show_total_rate_and_time_left_within_its_width(
    signed_in: Command, tmp_path: Path, columns: int
) -> None:
    folder = write_models(tmp_path / "loras")
    # One after the other: two at once may end between two pictures of the terminal.
    pushed = run_in_terminal("push", folder, "--type", "loras", "--jobs", "1", *RATE, columns=columns)
    names = signed_in("ls", "-q").out.split()
    pulled = run_in_terminal("pull", *names, "-o", tmp_path / "pulled", "--jobs", "1", *RATE, columns=columns)
    for shown, verb in ((pushed, "sending "), (pulled, "pulling ")):
        assert shown.code == 0
        bars = [row for row in shown.rows if row.startswith((verb, "total "))]
        assert max(map(count_columns, bars)) < columns
        assert any(row.startswith("total 1/2 ") and " %" in row for row in bars)
        assert any(row.startswith(verb) and "MB/s" in row for row in bars)
        assert shown.rows[-1].startswith("2 files: 2 ")
        assert shown.rows[-1].endswith("/s.")


@pytest.mark.extended(reason="another transfer in a terminal; test_progress.py has what is shown")
def test_push_of_one_file_shows_no_total_and_no_summary(signed_in: Command, tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "ink.safetensors", SIZE)
    shown = run_in_terminal("push", file, "--type", "loras", *RATE, columns=80)
    assert shown.rows[-1].startswith("registered ")
    assert not any(row.startswith("total ") for row in shown.rows)


def test_ctrl_c_during_a_pull_says_what_is_kept_and_how_to_continue(signed_in: Command, tmp_path: Path) -> None:
    write_model_file(tmp_path / "ink.safetensors", 20_000_000)
    assert signed_in("push", tmp_path / "ink.safetensors", "--type", "loras").code == 0
    options = ("pull", "ink", "-o", tmp_path / "pulled", "--limit-rate", "1MB")
    shown = run_in_terminal(*options, columns=80, interrupt_at="B/s")
    assert shown.code == 130
    assert "Traceback" not in shown.raw
    screen = Screen(columns=80, rows=24)
    screen.feed(shown.raw)
    assert not [row for row in screen.rows if row.startswith("pulling ")]
    message = shown.rows[-2] + shown.rows[-1]
    assert "Interrupted: ink.safetensors stopped at " in message
    assert message.endswith("Run the same command again to continue where it stopped.")
    again = run_in_terminal(*options[:-2], columns=80)
    assert again.code == 0
    assert "already stored" in again.raw


def test_push_of_more_files_than_rows_leaves_whole_results_and_no_bar_on_the_screen(
    signed_in: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "loras"
    for number in range(30):
        write_model_file(folder / f"portrait-of-a-lady-in-her-garden-{number:02}.safetensors", seed=number)
    (folder / "page.safetensors").write_text("<!DOCTYPE html><html><body>Sign in</body></html>")
    screen = Screen(columns=80, rows=24)
    shown = run_in_terminal("push", folder, columns=80)
    screen.feed(shown.raw)
    results = [row for row in screen.rows if row.startswith("registered  ")]
    assert shown.code == 4
    for number in range(30):
        assert [row for row in results if row.rstrip().endswith(f"-garden-{number:02}…  1.09 kB")], number
    assert "page.safetensors: " in "".join(row.ljust(80) for row in screen.rows)
    assert not [row for row in screen.rows if row.startswith(("total ", "hashing ", "sending ", "registry "))]
    assert len(screen.rows) < 40
    assert screen.rows[-1].startswith("31 files: 30 registered, 1 refused. 32.7 kB in ")
