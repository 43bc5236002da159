import os
import subprocess
import sys
from pathlib import Path

import pytest

import modelyard
from modelyard.wire.problems import ModelNotFound
from tests.client.model_files import write_model_file
from tests.client.server_process import Team

pytestmark = pytest.mark.slow


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


def test_blocking_push_and_pull_work_inside_running_event_loop(team: Team, tmp_path: Path) -> None:
    """Run as in a notebook, in a process of its own: in this one, a fixture forbids blocking an event loop."""
    file = write_model_file(tmp_path / "ink.safetensors")
    variables = {"MODELYARD_URL": team.url, "MODELYARD_TOKEN": team.token, "MODELYARD_TEAM": team.id}
    command = [sys.executable, "-c", NOTEBOOK, str(file), str(tmp_path / "new")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | variables)
    pulled = tmp_path / "new" / "ink.safetensors"
    assert ran.stdout.splitlines() == ["models/loras/ink.safetensors", str(pulled)]
    assert pulled.read_bytes() == file.read_bytes()


def test_blocking_push_to_model_adds_version_and_pull_gets_earlier_one(team: Team, tmp_path: Path) -> None:
    first, second = (write_model_file(tmp_path / f"{number}.safetensors", seed=number) for number in (1, 2))
    path = "models/loras/ink.safetensors"
    modelyard.push(first, model_path=path, name="Ink", url=team.url, token=team.token, team=team.id)
    model = modelyard.push(second, to="ink", note="Better.", url=team.url, token=team.token, team=team.id)
    assert (model.version, model.display_name) == (2, "Ink")
    pulled = modelyard.pull("ink@1", tmp_path / "old", url=team.url, token=team.token, team=team.id)
    assert pulled.read_bytes() == first.read_bytes()
    with pytest.raises(ValueError, match="do not give them with `to`"):
        modelyard.push(second, to="ink", model_type="vae", url=team.url, token=team.token, team=team.id)


def test_blocking_pull_unknown_model_raises_model_not_found(team: Team) -> None:
    with pytest.raises(ModelNotFound):
        modelyard.pull("nothing", url=team.url, token=team.token, team=team.id)


def test_import_modelyard_loads_no_http_or_asyncio_modules() -> None:
    code = "import modelyard, sys; print(sorted({'httpx2', 'pydantic', 'rich', 'asyncio'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert ran.stdout.strip() == "[]"


def test_modelyard_public_names_resolve_and_other_names_raise_attribute_error() -> None:
    assert all(getattr(modelyard, name) is not None for name in modelyard.__all__)
    with pytest.raises(AttributeError):
        modelyard.nothing  # noqa: B018 - the access itself is tested
