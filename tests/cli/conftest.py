import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from modelyard.cli.main import run
from tests.client.serving import Server, Team, served


class Ran(NamedTuple):
    """What one command said and how it ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ran]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def team(server: Server) -> Team:
    return server.new_team()


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user who has never used the client."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home" / name))
    for name in ("MODELYARD_URL", "MODELYARD_TOKEN", "MODELYARD_TEAM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MODELYARD_CONFIG", str(tmp_path / "home" / "profiles.json"))
    return tmp_path / "home"


@pytest.fixture
def modelyard(home: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """The program, in this process."""

    def ran(*arguments: object) -> Ran:
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return ran


@pytest.fixture
def process(home: Path) -> Command:
    """The program in a process of its own, for what is typed into it."""

    def ran(*arguments: object, typed: str = "") -> Ran:
        command = [sys.executable, "-m", "modelyard", *map(str, arguments)]
        done = subprocess.run(command, input=typed, capture_output=True, text=True, check=False, env=dict(os.environ))
        return Ran(done.returncode, done.stdout, done.stderr)

    return ran


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch, team: Team, modelyard: Command) -> Command:
    """The program of a team's owner."""
    monkeypatch.setenv("MODELYARD_URL", team.url)
    monkeypatch.setenv("MODELYARD_TOKEN", team.token)
    monkeypatch.setenv("MODELYARD_TEAM", team.id)
    return modelyard
