"""The command ``modelyard`` as people run it: a process of its own, in a home of its own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.server.world import Someone

MODELYARD = Path(sys.executable).with_name("modelyard")
PATIENCE_SECONDS = 150.0


class Ran(NamedTuple):
    """What one command said and how it ended; a negative code is the signal that ended it."""

    code: int
    out: str
    err: str


class Running:
    """A command that has not ended yet."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def end(self, number: signal.Signals | None = None) -> Ran:
        """Wait for its end, after sending it a signal if one is given."""
        if number is not None:
            self._process.send_signal(number)
        try:
            out, err = self._process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise
        return Ran(self._process.returncode, out, err)

    def read_line(self) -> str:
        """The next line that it says beside its answer, without the end of the line."""
        assert self._process.stderr is not None
        return self._process.stderr.readline().rstrip("\n")


class Program:
    """One user on one machine. Without ``url`` and ``who`` they sign in by themselves and have a profile."""

    def __init__(self, home: Path, url: str | None = None, who: Someone | None = None) -> None:
        self.home = home
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            self._environment[name] = str(home / name)
        self._environment["MODELYARD_CONFIG"] = str(home / "profiles.json")
        if url is not None:
            self._environment["MODELYARD_URL"] = url
        if who is not None and who.token and who.team_id:
            self._environment |= {"MODELYARD_TOKEN": who.token, "MODELYARD_TEAM": who.team_id}

    @property
    def unfinished_uploads(self) -> list[dict[str, Any]]:
        """What the program remembers of uploads that it did not finish."""
        folder = self.home / "XDG_STATE_HOME" / "modelyard" / "uploads"
        return [json.loads(note.read_bytes()) for note in folder.glob("*.json")]

    def export(self, **variables: str) -> None:
        """Set variables for the commands to come."""
        self._environment |= variables

    def start(self, *arguments: object) -> Running:
        """A command that runs beside the test."""
        return Running(self._process(arguments, subprocess.DEVNULL))

    def run(self, *arguments: object, typed: str = "") -> Ran:
        """A whole command, with what is typed into it."""
        process = self._process(arguments, subprocess.PIPE)
        out, err = process.communicate(typed, timeout=PATIENCE_SECONDS)
        return Ran(process.returncode, out, err)

    def ask(self, *arguments: object, typed: str = "") -> Any:
        """The JSON answer of a command that works."""
        ran = self.run(*arguments, "--json", typed=typed)
        assert ran.code == 0, ran
        return json.loads(ran.out)

    def _process(self, arguments: tuple[object, ...], typing: int) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [MODELYARD, *map(str, arguments)],
            stdin=typing,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
