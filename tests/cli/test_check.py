"""``modelyard check``: models that workflows need, and exit codes for scripts."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.client.model_files import write_model_file

pytestmark = pytest.mark.slow

LORA = {"class_type": "LoraLoader", "inputs": {"lora_name": "ink.safetensors"}}
UNKNOWN = {"class_type": "VAELoader", "inputs": {"vae_name": "zz-none.safetensors"}}


def write_workflow(path: Path, *nodes: dict[str, Any]) -> Path:
    path.write_text(json.dumps({str(number): node for number, node in enumerate(nodes)}))
    return path


@pytest.fixture
def team_with_ink(signed_in: Command, tmp_path: Path) -> Command:
    assert signed_in("push", write_model_file(tmp_path / "models" / "loras" / "ink.safetensors")).code == 0
    return signed_in


def test_check_workflow_whose_models_the_team_has_exits_0(team_with_ink: Command, tmp_path: Path) -> None:
    ran = team_with_ink("check", write_workflow(tmp_path / "scene.json", LORA))
    assert ran.code == 0, ran.err
    assert "names 1 model, the team has all that it requires." in ran.out
    assert "present" in ran.out


def test_check_missing_model_exits_1_and_names_it(team_with_ink: Command, tmp_path: Path) -> None:
    workflow = write_workflow(tmp_path / "scene.json", LORA, UNKNOWN)
    ran = team_with_ink("check", workflow, "--json")
    assert ran.code == 1
    [check] = json.loads(ran.out)["check_list"]
    assert check["file"] == str(workflow)
    assert {each["name"]: each["state"] for each in check["reference_list"]} == {
        "ink.safetensors": "present",
        "zz-none.safetensors": "unknown",
    }
    assert team_with_ink("check", workflow, "-q").out == "zz-none.safetensors\n"


def test_check_on_unknown_machine_exits_with_an_error(team_with_ink: Command, tmp_path: Path) -> None:
    ran = team_with_ink("check", write_workflow(tmp_path / "scene.json", LORA), "--on", "render-99")
    assert ran.code not in (0, 1)
    assert "render-99" in ran.err


def test_check_file_without_workflow_names_the_file(team_with_ink: Command, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<html></html>")
    ran = team_with_ink("check", page)
    assert ran.code == 2
    assert "page.html" in ran.err


def test_check_of_files_that_cannot_be_checked_names_each_and_checks_the_others(
    team_with_ink: Command, tmp_path: Path
) -> None:
    page = tmp_path / "page.json"
    page.write_text("<html></html>")
    scene = write_workflow(tmp_path / "scene.json", LORA)
    too_many = write_workflow(tmp_path / "many.json", *(LORA for _ in range(2001)))
    files = (page, tmp_path / "none.json", too_many, scene)
    ran = team_with_ink("check", *files)
    assert ran.code == 4
    assert f'"{scene}": names 1 model' in ran.out
    lines = ran.err.splitlines()
    assert [file for file in files if any(line.count(str(file)) == 1 for line in lines)] == list(files[:3])
    document = json.loads(team_with_ink("check", *files, "--json").out)
    assert [each["file"] for each in document["check_list"]] == [str(scene)]
    assert [each["file"] for each in document["failure_list"]] == [str(file) for file in files[:3]]
    assert team_with_ink("check", page, scene).code == 2


def test_check_absent_file_says_so(team_with_ink: Command, tmp_path: Path) -> None:
    ran = team_with_ink("check", tmp_path / "none.json")
    assert ran.code != 0
    assert "none.json" in ran.err


def test_check_file_above_the_limit_is_not_read(team_with_ink: Command, tmp_path: Path) -> None:
    video = tmp_path / "long.mp4"
    with video.open("wb") as file:
        file.truncate(1_000_000_001)
    ran = team_with_ink("check", video)
    assert ran.code == 2
    assert "is larger than 1.0 GB" in ran.err


def test_check_rewrite_writes_a_copy_with_the_names_of_the_team(team_with_ink: Command, tmp_path: Path) -> None:
    other_folder = {"class_type": "LoraLoader", "inputs": {"lora_name": "old\\ink.safetensors"}}
    workflow, copy = write_workflow(tmp_path / "scene.json", other_folder, UNKNOWN), tmp_path / "copy.json"
    before = workflow.read_bytes()
    ran = team_with_ink("check", workflow, "--rewrite", copy)
    assert ran.code == 1  # the other model is still missing
    assert "is now" in ran.err
    rewritten = json.loads(copy.read_text())
    assert rewritten["0"]["inputs"]["lora_name"] == "ink.safetensors"
    assert rewritten["1"] == UNKNOWN
    assert workflow.read_bytes() == before
    again = team_with_ink("check", workflow, "--rewrite", copy)
    assert "copy.json" in again.err


def test_check_rewrite_with_windows_slashes(team_with_ink: Command, tmp_path: Path) -> None:
    node = {"class_type": "LoraLoader", "inputs": {"lora_name": "sub/other.safetensors"}}
    workflow, copy = write_workflow(tmp_path / "scene.json", node), tmp_path / "copy.json"
    team_with_ink("check", workflow, "--rewrite", copy, "--slashes", "windows")
    assert json.loads(copy.read_text())["0"]["inputs"]["lora_name"] == "sub\\other.safetensors"


def test_check_slashes_without_rewrite_is_refused(team_with_ink: Command, tmp_path: Path) -> None:
    ran = team_with_ink("check", write_workflow(tmp_path / "scene.json", LORA), "--slashes", "windows")
    assert ran.code == 2
    assert "--rewrite" in ran.err
