"""``modelyard serve`` in a real pseudo-terminal: the first start's box, the log, and Ctrl-C."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.terminal_process import run_in_terminal
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

EMAIL, PASSWORD = "ada@studio.example", "a long sentence is best"
WIDER = pytest.mark.extended(reason="the same in more columns; 40 columns are in `make check`")
LOGIN = {"MODELYARD_OWNER_EMAIL": EMAIL}


@pytest.mark.parametrize("columns", [40, pytest.param(80, marks=WIDER), pytest.param(200, marks=WIDER)])
def test_first_start_in_terminal_shows_login_in_a_box_that_fits(tmp_path: Path, columns: int) -> None:
    options = ("--port", "0", "--data-dir", tmp_path / "yard")
    shown = run_in_terminal("serve", *options, columns=columns, interrupt_at="listens on", environment=LOGIN)
    box = [row for row in shown.rows if row[0] in "┏┃┗"]
    assert box[0].strip("┏━┓ ") == "First login: team Studio"
    assert max(map(len, box)) <= columns
    assert len({len(row) for row in box}) == 1
    assert any(EMAIL in row for row in box)
    assert any(row.strip("┃ ").startswith("password  ") and row.endswith("┃") for row in box)


def test_serve_in_terminal_logs_no_json_and_ctrl_c_ends_it_without_a_stack_trace(tmp_path: Path) -> None:
    options = ("--port", "0", "--data-dir", tmp_path / "yard")
    shown = run_in_terminal("serve", *options, columns=80, interrupt_at="INFO modelyard: started")
    assert shown.code == 130
    assert "INFO modelyard: started" in shown.raw
    assert "Traceback" not in shown.raw
    assert '{"' not in shown.raw
    assert "uvicorn.error" not in shown.raw


def test_log_format_of_the_option_holds_in_terminal_too(tmp_path: Path) -> None:
    options = ("--port", "0", "--data-dir", tmp_path / "yard", "--log-format", "json")
    shown = run_in_terminal("serve", *options, columns=200, interrupt_at='"message": "started"')
    assert '"message": "started"' in shown.raw


def test_first_start_into_a_pipe_logs_json_and_wraps_no_login(tmp_path: Path) -> None:
    email = "a" * 60 + "@" + "b" * 60 + ".example"
    process = subprocess.Popen(
        [sys.executable, "-m", "modelyard", "serve", "--port", "0", "--data-dir", str(tmp_path / "yard")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ) | {"MODELYARD_OWNER_EMAIL": email, "MODELYARD_OWNER_PASSWORD": PASSWORD},
    )
    assert process.stdout is not None
    lines = []
    while not (line := process.stdout.readline()).startswith("modelyard listens on "):
        lines.append(line)
    process.terminate()
    _, log = process.communicate(timeout=PATIENCE_SECONDS)
    assert any(email in line for line in lines)
    assert PASSWORD not in "".join(lines)
    assert all(json.loads(line) for line in log.splitlines())
