import os
import subprocess
import sys
from pathlib import Path

import pytest

import modelyard
from modelyard.wire.problems import ModelNotFound
from tests.client.files import model_file
from tests.client.serving import Team


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("MODELYARD_CONFIG", str(tmp_path / "profiles.json"))


NOTEBOOK = """
import asyncio, modelyard, sys

async def cell():
    print(modelyard.push(sys.argv[1], model_type="loras").model_path)
    print(modelyard.pull("ink", sys.argv[2]))

asyncio.run(cell())
"""


def test_push_and_pull_work_where_a_loop_is_running(team: Team, tmp_path: Path) -> None:
    """As in a notebook, and in a process of its own, since here the guard forbids to block a loop on purpose."""
    file = model_file(tmp_path / "ink.safetensors")
    where = {"MODELYARD_URL": team.url, "MODELYARD_TOKEN": team.token, "MODELYARD_TEAM": team.id}
    command = [sys.executable, "-c", NOTEBOOK, str(file), str(tmp_path / "new")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | where)
    pulled = tmp_path / "new" / "ink.safetensors"
    assert ran.stdout.splitlines() == ["models/loras/ink.safetensors", str(pulled)]
    assert pulled.read_bytes() == file.read_bytes()


def test_a_refusal_is_the_problem_itself(team: Team) -> None:
    with pytest.raises(ModelNotFound):
        modelyard.pull("nothing", url=team.url, token=team.token, team=team.id)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import modelyard, sys; print(sorted({'httpx2', 'pydantic', 'rich', 'asyncio'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert ran.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    assert all(getattr(modelyard, name) is not None for name in modelyard.__all__)
    with pytest.raises(AttributeError):
        modelyard.nothing  # noqa: B018 - the look itself is the test
