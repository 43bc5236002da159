import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.terminal_process import run_in_terminal
from tests.client.model_files import write_model_file
from tests.waiting import PATIENCE_SECONDS

# A command that does not end after an interrupt: its thread blocks, and the interpreter joins it.
STUCK = """
import sys, threading
from modelyard.cli.terminal import interrupting
from modelyard.cli.terminal.output import Output
from modelyard.cli.terminal.terminal import Terminal
from modelyard.client.settings import read_settings
from modelyard.transfer.thread_pool import ThreadPool

def interrupt():
    print("cleaning up", flush=True)

async def stuck():
    async with ThreadPool(1) as pool:
        sys.stdout.write("started\\n")
        sys.stdout.flush()
        await pool.run(threading.Event().wait, interrupt, timeout_seconds={timeout_seconds})

interrupting.CLEANUP_SECONDS = {cleanup_seconds}
sys.argv = ["modelyard", "push", "ink.safetensors"]
try:
    Terminal(read_settings({{}}, None, None), Output("human")).run(stuck())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
MESSAGE = "Interrupted. Run the same command again to continue where it stopped.\n"


def start_stuck(timeout_seconds: float | None, cleanup_seconds: float) -> "subprocess.Popen[str]":
    """Start a command that does not end after Ctrl-C, send it the first one, and wait until it cleans up."""
    process = start_stuck_and_interrupt(timeout_seconds, cleanup_seconds)
    assert process.stdout is not None
    assert process.stdout.readline() == "cleaning up\n"
    return process


def start_stuck_and_interrupt(timeout_seconds: float | None, cleanup_seconds: float) -> "subprocess.Popen[str]":
    """Start a command that does not end after Ctrl-C, and send it the first one."""
    code = STUCK.format(timeout_seconds=timeout_seconds, cleanup_seconds=cleanup_seconds)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    return process


def test_second_interrupt_during_clean_up_ends_process_with_130() -> None:
    process = start_stuck(timeout_seconds=None, cleanup_seconds=3600)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=PATIENCE_SECONDS) == ("", MESSAGE)
    assert process.returncode == 130


def test_second_interrupt_while_threads_are_joined_ends_process_with_130() -> None:
    process = start_stuck(timeout_seconds=0.0, cleanup_seconds=3600)
    assert process.stdout is not None
    assert process.stdout.readline() == "interrupted\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=PATIENCE_SECONDS) == ("", MESSAGE)
    assert process.returncode == 130


@pytest.mark.parametrize("timeout_seconds", [None, 0.0], ids=["clean-up", "joined thread"])
def test_interrupted_command_that_does_not_end_is_ended_after_clean_up_time(timeout_seconds: float | None) -> None:
    process = start_stuck_and_interrupt(timeout_seconds, cleanup_seconds=0.2)
    _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, stderr) == (130, MESSAGE)


@pytest.mark.slow
@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        ("team leave", "[y/N]"),
        ("team rm", "delete it"),
        ("password", "assword"),
        ("login http://127.0.0.1:9", "E-mail"),
    ],
)
def test_ctrl_c_at_a_question_ends_quietly_with_130(arguments: str, question: str) -> None:
    shown = run_in_terminal(*arguments.split(), columns=200, interrupt_at=question, is_question=True)
    assert (shown.code, shown.rows[-1]) == (130, "Interrupted.")
    assert "Aborted" not in shown.raw


@pytest.mark.slow
def test_ctrl_c_at_the_question_of_a_push_says_how_to_continue(signed_in: Command, tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "ink.safetensors")
    assert signed_in("push", file, "--type", "loras").code == 0
    write_model_file(file, seed=2)
    shown = run_in_terminal("push", file, "--type", "loras", columns=200, interrupt_at="[y/N]", is_question=True)
    assert (shown.code, shown.rows[-1]) == (130, MESSAGE.strip())
