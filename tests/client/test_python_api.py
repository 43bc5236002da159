import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import modelyard
from modelyard.wire.problems import ModelNotFound, PictureRefused
from tests.client.model_files import write_model_file
from tests.client.model_folders import read_folder, write_model_folder
from tests.client.server_process import Team
from tests.server.previews.drawings import make_png
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("MODELYARD_CONFIG", str(tmp_path / "profiles.json"))


@pytest.fixture
def registry(team: Team) -> Iterator[modelyard.Registry]:
    with modelyard.Registry(team.url, team.token, team.id) as registry:
        yield registry


NOTEBOOK = """
import asyncio, modelyard, sys

async def cell():
    print(modelyard.push(sys.argv[1], model_type="loras").model_path)
    print(modelyard.pull("ink", sys.argv[2]))

asyncio.run(cell())
"""


def run_python(code: str, team: Team, folder: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run a program as a team's owner in a process of its own: in this one, a fixture forbids blocking a loop."""
    variables = {"MODELYARD_URL": team.url, "MODELYARD_TOKEN": team.token, "MODELYARD_TEAM": team.id}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE_SECONDS,
        cwd=folder,
        env=os.environ | variables,
    )
    assert ran.returncode == 0, ran.stderr
    return ran


def test_blocking_push_and_pull_work_inside_running_event_loop(team: Team, tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "ink.safetensors")
    ran = run_python(NOTEBOOK, team, tmp_path, file, tmp_path / "new")
    pulled = tmp_path / "new" / "ink.safetensors"
    assert ran.stdout.splitlines() == ["models/loras/ink.safetensors", str(pulled)]
    assert pulled.read_bytes() == file.read_bytes()


def test_push_version_adds_version_and_pull_gets_earlier_one(registry: modelyard.Registry, tmp_path: Path) -> None:
    first, second = (write_model_file(tmp_path / f"{number}.safetensors", seed=number) for number in (1, 2))
    registry.push(first, model_path="models/loras/ink.safetensors", name="Ink")
    model = registry.push_version(second, "ink", note="Better.")
    assert (model.version, model.display_name) == (2, "Ink")
    assert registry.pull("ink@1", tmp_path / "old").read_bytes() == first.read_bytes()


def test_push_folder_and_its_next_version_and_pull_place_equal_folders(
    registry: modelyard.Registry, tmp_path: Path
) -> None:
    tiny = write_model_folder(tmp_path / "source" / "tiny")
    pushed = registry.push_folder(tiny, notes=modelyard.Notes(tags=["pipeline"]))
    assert (pushed.model_path, pushed.file_count, pushed.tags) == ("models/diffusers/tiny", 4, ["pipeline"])
    write_model_file(tiny / "vae" / "model.safetensors")
    assert registry.push_version(tiny, "tiny", note="With its VAE.").version == 2
    target = registry.pull("tiny", tmp_path / "new", tree=True)
    assert target == tmp_path / "new" / "diffusers" / "tiny"
    assert read_folder(target) == read_folder(tiny)


def test_set_preview_of_a_version_returns_it_with_its_picture(registry: modelyard.Registry, tmp_path: Path) -> None:
    registry.push(write_model_file(tmp_path / "ink.safetensors"), model_type="loras")
    picture = tmp_path / "picture.png"
    picture.write_bytes(make_png())
    assert registry.set_preview("ink@1", picture).preview_url is not None
    picture.write_bytes(b"no picture")
    with pytest.raises(PictureRefused):
        registry.set_preview("ink", picture)


def test_blocking_pull_unknown_model_raises_model_not_found(registry: modelyard.Registry) -> None:
    with pytest.raises(ModelNotFound):
        registry.pull("nothing")


def test_models_load_pages_when_they_are_needed(registry: modelyard.Registry, tmp_path: Path) -> None:
    for number in range(3):
        registry.push(write_model_file(tmp_path / f"ink-{number}.safetensors", seed=number), model_type="loras")
    first = next(registry.models("ink", sort="display_name"))
    assert first.display_name == "ink-0"
    assert [model.display_name for model in registry.models("ink-2")] == ["ink-2"]


def test_closed_registry_opens_again_at_the_next_call(registry: modelyard.Registry) -> None:
    assert list(registry.models()) == []
    registry.close()
    registry.close()
    assert registry.machines() == []


def test_registry_that_is_not_closed_does_not_keep_the_program_from_ending(team: Team, tmp_path: Path) -> None:
    code = "import modelyard; registry = modelyard.Registry(); models = registry.models(); print(next(models, None))"
    ran = run_python(code, team, tmp_path)
    assert (ran.stdout, ran.stderr) == ("None\n", "")


async def test_async_registry_outside_of_async_with_says_how_to_open_it(team: Team) -> None:
    with pytest.raises(RuntimeError, match="async with AsyncRegistry"):
        await modelyard.AsyncRegistry(team.url, team.token, team.id).model("ink")


def test_progress_bars_show_the_stages_of_a_push(team: Team, tmp_path: Path) -> None:
    file = write_model_file(tmp_path / "ink.safetensors")
    code = "import modelyard, sys; modelyard.Registry(progress=True).push(sys.argv[1], model_type='loras')"
    assert "sending ink.safetensors: 100%" in run_python(code, team, tmp_path, file).stderr
    assert run_python("import modelyard; modelyard.pull('ink', 'pulled')", team, tmp_path).stderr == ""


EXAMPLES = """
import asyncio, doctest, modelyard
names = {name: getattr(modelyard, name) for name in modelyard.__all__} | {"asyncio": asyncio}
finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
for home in (modelyard.Registry, modelyard.AsyncRegistry):
    for example in finder.find(home, home.__name__, globs=names):
        runner.run(example)
print(runner.summarize(verbose=False))
"""


def test_examples_in_docstrings_print_what_they_say(team: Team, tmp_path: Path) -> None:
    for number, name in enumerate(("ink", "ink-2000")):
        write_model_file(tmp_path / f"{name}.safetensors", seed=number)
    (tmp_path / "ink.png").write_bytes(make_png())
    ran = run_python(EXAMPLES, team, tmp_path)
    assert re.fullmatch(r"TestResults\(failed=0, attempted=\d\d\)", ran.stdout.strip()), ran.stdout
