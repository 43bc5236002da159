"""The command ``modelyard``, run as a process with configuration and state folders of its own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.fork_server import run_program
from tests.server.harness import ApiCaller
from tests.waiting import PATIENCE_SECONDS

MODELYARD = Path(sys.executable).with_name("modelyard")
MAX_COMMAND_SECONDS = 4 * PATIENCE_SECONDS


class CommandResult(NamedTuple):
    """The exit code and output of one command; a negative code is the signal that ended it."""

    code: int
    out: str
    err: str


class RunningCommand:
    """A command that has not ended yet."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_for_exit(self, signal_number: signal.Signals | None = None) -> CommandResult:
        """Wait until the command ends, after sending it a signal if one is given; kill it after minutes.

        Raises:
            TimeoutExpired: it had to be killed.
        """
        if signal_number is not None:
            self._process.send_signal(signal_number)
        try:
            out, err = self._process.communicate(timeout=MAX_COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise
        return CommandResult(self._process.returncode, out, err)

    def read_line(self) -> str:
        """Return the next line of its stderr, without the line end; waits for one."""
        assert self._process.stderr is not None
        return self._process.stderr.readline().rstrip("\n")


class CommandLine:
    """Runs commands for one user on one machine, with ``home`` as the user's home folder.

    ``url`` and ``caller`` are passed to commands as environment variables. Without them, the user signs in with a
    command and gets a profile.
    """

    def __init__(self, home: Path, url: str | None = None, caller: ApiCaller | None = None) -> None:
        self.home = home
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            self._environment[name] = str(home / name)
        self._environment["MODELYARD_CONFIG"] = str(home / "profiles.json")
        if url is not None:
            self._environment["MODELYARD_URL"] = url
        if caller is not None and caller.token and caller.team_id:
            self._environment |= {"MODELYARD_TOKEN": caller.token, "MODELYARD_TEAM": caller.team_id}

    @property
    def unfinished_uploads(self) -> list[dict[str, Any]]:
        """The resume records of uploads that have begun and not finished."""
        folder = self.home / "XDG_STATE_HOME" / "modelyard" / "uploads"
        return [json.loads(record.read_bytes()) for record in folder.glob("*.json")]

    def set_environment(self, **variables: str) -> None:
        """Set environment variables for later commands."""
        self._environment |= variables

    def start(self, *arguments: object) -> RunningCommand:
        """Start a command and return at once."""
        process = subprocess.Popen(
            [MODELYARD, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
        return RunningCommand(process)

    def run(self, *arguments: object, stdin_text: str = "") -> CommandResult:
        """Run a command to its end, with ``stdin_text`` as its input."""
        ran = run_program(*map(str, arguments), environment=self._environment, typed=stdin_text)
        return CommandResult(ran.returncode, ran.stdout, ran.stderr)

    def run_json(self, *arguments: object, stdin_text: str = "") -> Any:
        """Run a command with ``--json`` and return its parsed output; fail unless it exits with 0."""
        result = self.run(*arguments, "--json", stdin_text=stdin_text)
        assert result.code == 0, result
        return json.loads(result.out)
