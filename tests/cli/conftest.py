"""Fixtures of the command line tests: the program, a registry and the home folder of a new user."""

import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from modelyard.cli.command_tree import run
from tests.client.model_files import write_model_file
from tests.client.server_process import Server, Team, run_server
from tests.comfyui.comfyui_server import ComfyUIServer
from tests.fork_server import run_program
from tests.server.imports.fake_sources import FakeSources, run_fake_sources


class Ran(NamedTuple):
    """The exit code and the output of one command."""

    code: int
    out: str
    err: str


Command = Callable[..., Ran]


def read_command(text: str, remedy: str) -> list[str]:
    """Return the words after ``modelyard`` of the command of a remedy that a text contains."""
    line = next(line for line in text.splitlines() if remedy in line)
    return shlex.split(line.partition(": modelyard ")[2])


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
        ended = run_program(*map(str, arguments), environment=os.environ, typed=typed)
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    return run_command


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch, team: Team, modelyard: Command) -> Command:
    """Return a function that runs the program as the owner of a new team."""
    return sign_in(monkeypatch, team, modelyard)


def sign_in(monkeypatch: pytest.MonkeyPatch, team: Team, modelyard: Command) -> Command:
    """Set the environment of a team's owner, and return the function that runs the program."""
    monkeypatch.setenv("MODELYARD_URL", team.url)
    monkeypatch.setenv("MODELYARD_TOKEN", team.token)
    monkeypatch.setenv("MODELYARD_TEAM", team.id)
    return modelyard


@pytest.fixture
def fakes() -> Iterator[FakeSources]:
    with run_fake_sources() as fakes:
        yield fakes


@pytest.fixture
def importing(
    monkeypatch: pytest.MonkeyPatch, modelyard: Command, fakes: FakeSources, tmp_path: Path
) -> Iterator[Command]:
    """The program, signed in to a registry that imports from the fakes."""
    for name, value in fakes.settings.items():
        monkeypatch.setenv(f"MODELYARD_{name.upper()}", value if isinstance(value, str) else ",".join(value))
    with run_server(tmp_path / "server") as server:
        yield sign_in(monkeypatch, server.new_team(), modelyard)


@pytest.fixture
def pushed(signed_in: Command, tmp_path: Path) -> Command:
    """Return the program as the owner of a team with one verified model, ``loras/ink.safetensors``."""
    ran = signed_in("push", write_model_file(tmp_path / "pushed" / "loras" / "ink.safetensors"))
    assert ran.code == 0, ran.err
    return signed_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def as_agent(pushed: Command, team: Team, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Return the same program on a machine that has an agent key."""
    key = pushed("key", "create", "render-07", "--kind", "agent", "--quiet").out.strip()
    monkeypatch.setenv("MODELYARD_AGENT_KEY", key)
    monkeypatch.setenv("MODELYARD_AGENT_CONFIG", str(tmp_path / "agent.toml"))
    monkeypatch.setenv("MODELYARD_AGENT_KEEP_FREE", "0")
    monkeypatch.setenv("MODELYARD_AGENT_AGENT_ID", "render-07")
    return pushed


@pytest.fixture
def run_once(process: Command, as_agent: Command, folder: Path) -> Callable[[], None]:
    """Return a function that runs the agent once, which must succeed."""

    def run() -> None:
        ran = process("agent", "run", "--models-dir", folder, "--once")
        assert ran.code == 0, ran.err

    return run


@pytest.fixture
def comfyui(tmp_path: Path) -> Iterator[ComfyUIServer]:
    """Run a ComfyUI whose first LoRA folder, added by a custom node, is outside its models folder."""
    for name in ("models/loras", "custom_nodes"):
        (tmp_path / "ComfyUI" / name).mkdir(parents=True)
    with ComfyUIServer(tmp_path / "ComfyUI") as server:
        (tmp_path / "node" / "loras").mkdir(parents=True)
        server.listing.folders["loras"].insert(0, str(tmp_path / "node" / "loras"))
        yield server


@pytest.fixture
def ink(tmp_path: Path) -> Path:
    return write_model_file(tmp_path / "models" / "loras" / "ink.safetensors")
