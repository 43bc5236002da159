import os
import signal
from pathlib import Path

import pytest

from modelyard import __version__
from tests.fork_server import CAN_FORK, open_fork_server

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="needs descriptors of processes, which Linux has")


def test_forked_process_has_its_arguments_environment_and_exit_code(tmp_path: Path) -> None:
    environment = dict(os.environ) | {"MODELYARD_URL": "not an address"}
    fork_server = open_fork_server("modelyard.cli.commands")
    assert fork_server.start(tmp_path / "log", "--version", environment=environment).wait() == 0
    assert (tmp_path / "log").read_text() == f"modelyard {__version__}\n"
    assert fork_server.start(tmp_path / "log", "ls", environment=environment).wait() != 0
    assert "not an address" in (tmp_path / "log").read_text()


def test_forked_process_that_is_killed_has_the_signal_as_exit_code(tmp_path: Path) -> None:
    (tmp_path / "log.gate").touch()
    process = open_fork_server("modelyard.cli.commands").start(tmp_path / "log", environment=os.environ)
    assert process.poll() is None
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.kill()
    assert process.poll() == -signal.SIGKILL
