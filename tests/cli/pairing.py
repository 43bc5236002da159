"""Machines of one user on this computer: pairs them, and lists what their team has."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.conftest import Command
from tests.client.server_process import Team
from tests.waiting import PATIENCE_SECONDS


class Paired(NamedTuple):
    """What ``agent pair`` prints on the machine, and ``machine add`` for the person who confirms its code."""

    on_machine: str
    to_person: str


def use_machine(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Set the environment of a machine whose files are in a folder; a missing one is a machine that has never run."""
    (folder / "models").mkdir(parents=True, exist_ok=True)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(folder / name))
    monkeypatch.setenv("MODELYARD_CONFIG", str(folder / "profiles.json"))
    monkeypatch.setenv("MODELYARD_AGENT_CONFIG", str(folder / "agent.toml"))
    monkeypatch.setenv("MODELYARD_AGENT_MODELS_DIR", str(folder / "models"))
    monkeypatch.setenv("MODELYARD_AGENT_KEEP_FREE", "1")
    monkeypatch.setenv("MODELYARD_AGENT_COMFYUI_URL", "http://127.0.0.1:9")


def pair_machine(modelyard: Command, team: Team, monkeypatch: pytest.MonkeyPatch, *options: str) -> Paired:
    """Pair this machine; the team's owner confirms the code with these options."""
    command = [sys.executable, "-m", "modelyard", "--url", team.url, "agent", "pair"]
    pairing = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert pairing.stderr is not None
    before = ""
    while not (line := pairing.stderr.readline()).startswith("Code: "):
        assert line, before
        before += line
    with monkeypatch.context() as admin:
        sign_in_owner(admin, team)
        confirmed = modelyard("machine", "add", line.removeprefix("Code: ").strip(), *options)
        assert confirmed.code == 0, confirmed.err
    output, errors = pairing.communicate(timeout=PATIENCE_SECONDS)
    assert pairing.returncode == 0, errors
    return Paired(before + output + errors, confirmed.out + confirmed.err)


def list_team(modelyard: Command, team: Team, monkeypatch: pytest.MonkeyPatch, *command: str) -> list[dict[str, str]]:
    """Return the entries that a command of the team's owner lists."""
    with monkeypatch.context() as admin:
        sign_in_owner(admin, team)
        (entries,) = [each for each in json.loads(modelyard(*command, "--json").out).values() if isinstance(each, list)]
        return list(entries)


def sign_in_owner(monkeypatch: pytest.MonkeyPatch, team: Team) -> None:
    """Set the environment of the team's owner."""
    for variable, value in (("URL", team.url), ("TOKEN", team.token), ("TEAM", team.id)):
        monkeypatch.setenv(f"MODELYARD_{variable}", value)
