"""Fixtures of the command line tests: the program, a registry and the home folder of a new user."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from modelyard.cli.command_tree import run
from tests.client.server_process import Server, Team, run_server


class Ran(NamedTuple):
    """The exit code and the output of one command."""

    code: int
    out: str
    err: str


Command = Callable[..., Ran]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with run_server(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def team(server: Server) -> Team:
    return server.new_team()


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Set the environment of a user who has never used the client, and return their home folder."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home" / name))
    for name in ("MODELYARD_URL", "MODELYARD_TOKEN", "MODELYARD_TEAM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MODELYARD_CONFIG", str(tmp_path / "home" / "profiles.json"))
    return tmp_path / "home"


@pytest.fixture
def modelyard(home: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs the program in this process."""

    def run_command(*arguments: object) -> Ran:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run_command


@pytest.fixture
def process(home: Path) -> Command:
    """Return a function that runs the program in a process of its own, with ``typed`` as its standard input."""

    def run_command(*arguments: object, typed: str = "") -> Ran:
        command = [sys.executable, "-m", "modelyard", *map(str, arguments)]
        ended = subprocess.run(command, input=typed, capture_output=True, text=True, check=False, env=dict(os.environ))
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    return run_command


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch, team: Team, modelyard: Command) -> Command:
    """Return a function that runs the program as the owner of a new team."""
    monkeypatch.setenv("MODELYARD_URL", team.url)
    monkeypatch.setenv("MODELYARD_TOKEN", team.token)
    monkeypatch.setenv("MODELYARD_TEAM", team.id)
    return modelyard
