"""Shell completion of names, as bash requests it."""

import os
import socket
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.client.model_files import write_model_file
from tests.client.server_process import Team

pytestmark = pytest.mark.slow


def ask_bash(process: Command, monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    """Return the completions of the last word of a line."""
    with monkeypatch.context() as patch:
        patch.setenv("_MODELYARD_COMPLETE", "complete_bash")
        patch.setenv("COMP_WORDS", line)
        patch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        ran = process()
    assert ran.err == ""
    return ran.out.split()


@pytest.fixture
def pushed(signed_in: Command, tmp_path: Path) -> Command:
    for number, name in enumerate(("ink", "ink-2000", "墨絵")):
        file = write_model_file(tmp_path / f"{name}.safetensors", seed=number)
        assert signed_in("push", file, "--type", "loras").code == 0
    return signed_in


@pytest.mark.usefixtures("pushed")
def test_model_names_are_completed_by_file_name_and_path(process: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask_bash(process, monkeypatch, "modelyard show ink-2") == ["ink-2000.safetensors"]
    assert ask_bash(process, monkeypatch, "modelyard pull loras/ink-") == ["loras/ink-2000.safetensors"]
    assert len(ask_bash(process, monkeypatch, "modelyard rm loras/")) == 3
    assert ask_bash(process, monkeypatch, "modelyard push ink.safetensors --to 墨") == ["墨絵.safetensors"]


def test_completion_again_asks_no_registry(
    pushed: Command, process: Command, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    assert ask_bash(process, monkeypatch, "modelyard show ink.") == ["ink.safetensors"]
    pushed("rm", "ink.safetensors")
    assert ask_bash(process, monkeypatch, "modelyard show ink.") == ["ink.safetensors"]
    (cached,) = (home / "XDG_CACHE_HOME" / "modelyard" / "completion").iterdir()
    assert cached.parent.stat().st_mode & 0o077 == 0
    os.utime(cached, (0, 0))
    assert ask_bash(process, monkeypatch, "modelyard show ink.") == []


def test_completion_without_sign_in_prints_nothing(process: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask_bash(process, monkeypatch, "modelyard show ink") == []


def test_completion_gives_up_on_a_registry_that_does_not_answer(
    process: Command, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MODELYARD_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("MODELYARD_TOKEN", team.token)
        monkeypatch.setenv("MODELYARD_TEAM", team.id)
        assert ask_bash(process, monkeypatch, "modelyard machine show ren") == []
