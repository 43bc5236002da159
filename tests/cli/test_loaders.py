"""The commands about the team's own table of loader nodes."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.client.model_files import write_model_file

pytestmark = pytest.mark.slow


def test_loader_is_added_used_by_checks_and_removed(signed_in: Command, tmp_path: Path) -> None:
    assert signed_in("push", write_model_file(tmp_path / "models" / "loras" / "ink.safetensors")).code == 0
    workflow = tmp_path / "scene.json"
    workflow.write_text(json.dumps({"1": {"class_type": "StyleLoader", "inputs": {"style": "ink.safetensors"}}}))
    assert signed_in("check", workflow).code == 1
    for folder in ("vae", "loras"):
        added = signed_in("team", "loader", "add", "StyleLoader", "style", folder)
        assert added.code == 0, added.err
    assert signed_in("check", workflow).code == 0
    listed = json.loads(signed_in("team", "loader", "ls", "--json").out)["loader_list"]
    assert listed == [{"node_type": "StyleLoader", "input": "style", "folder": "loras"}]
    assert "1 input of custom nodes" in signed_in("team", "show").out
    assert signed_in("team", "loader", "rm", "StyleLoader").code == 0
    assert signed_in("team", "loader", "rm", "StyleLoader").code == 2
    assert "No loaders." in signed_in("team", "loader", "ls").out


def test_add_loader_with_invalid_folder_names_the_argument(signed_in: Command) -> None:
    ran = signed_in("team", "loader", "add", "StyleLoader", "style", "f" * 51)
    assert (ran.code != 0, ran.err.startswith("FOLDER: ")) == (True, True), ran.err


def test_add_loaders_at_the_same_time_adds_all(signed_in: Command, process: Command) -> None:
    names = [f"style_{number}" for number in range(4)]
    with ThreadPoolExecutor(len(names)) as pool:
        ran = list(pool.map(lambda name: process("team", "loader", "add", "StyleLoader", name, "loras"), names))
    assert [each.code for each in ran] == [0] * len(names), [each.err for each in ran]
    listed = json.loads(signed_in("team", "loader", "ls", "--json").out)["loader_list"]
    assert sorted(each["input"] for each in listed) == names


def test_add_loader_of_a_node_that_the_registry_knows_is_refused(signed_in: Command) -> None:
    ran = signed_in("team", "loader", "add", "LoraLoader", "lora_name", "loras")
    assert (ran.code != 0, "LoraLoader" in ran.err) == (True, True), ran.err
