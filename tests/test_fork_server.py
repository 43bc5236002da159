import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard import __version__
from modelyard.build import format_version
from tests.fork_server import CAN_FORK, open_fork_server, run_program, start_program
from tests.waiting import PATIENCE_SECONDS, wait_until
from tools.repository import ROOT

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="needs descriptors of processes, which Linux has")


def test_forked_program_has_its_arguments_environment_and_exit_code(tmp_path: Path) -> None:
    environment = dict(os.environ) | {"MODELYARD_URL": "not an address", "MODELYARD_CONFIG": str(tmp_path / "none")}
    ran = run_program("--version", environment=environment)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"modelyard {format_version(__version__)}\n", "")
    ran = run_program("ls", environment=environment)
    assert ran.returncode == 2
    assert (ran.stdout, "not an address" in ran.stderr) == ("", True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGUSR1, 128 + signal.SIGKILL)])
def test_program_that_runs_a_forked_server_passes_signals_on_and_has_its_exit_code(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-I", "-S", str(ROOT / "tests" / "run_forked.py"), "serve", "--data-dir", "data"]
    command += ["--port", "0"]
    environment = os.environ | {"MODELYARD_TEST_FORK_SERVER": open_fork_server().path}
    with log.open("wb") as output:
        running = subprocess.Popen(
            [*command, "--port", "0"], stdout=output, stderr=output, cwd=tmp_path, env=environment
        )
    try:
        wait_until(lambda: "modelyard listens on" in log.read_text(), describe=log.read_text)
        running.send_signal(number)
        assert running.wait(PATIENCE_SECONDS) == code
    finally:
        running.kill()  # the forked server ends with it


def test_forked_process_that_is_killed_has_the_signal_as_exit_code(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    process = start_program(tmp_path / "log", "--version", environment=os.environ, gate=gate)
    assert process.poll() is None
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.kill()
    assert process.poll() == -signal.SIGKILL
    assert (tmp_path / "log").read_text() == ""


def test_forked_process_is_killed_when_the_test_has_lost_it(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    process = start_program(tmp_path / "log", "--version", environment=os.environ, gate=gate)
    pid = process.pid
    del process
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
