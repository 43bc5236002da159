"""``check --import``: models that a workflow lacks, with a registry that imports from fakes of the sources."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.server.harness import make_model_file
from tests.server.imports.fake_sources import FakeSources

pytestmark = pytest.mark.slow


def write_workflow(path: Path, *models: tuple[str, str]) -> Path:
    """Write a workflow that needs LoRAs of these names, with their addresses."""
    nodes: list[dict[str, Any]] = [
        {
            "id": number,
            "type": "LoraLoaderModelOnly",
            "widgets_values": [name, 1],
            "properties": {"models": [{"name": name, "url": url, "directory": "loras"}]},
        }
        for number, (name, url) in enumerate(models, 1)
    ]
    path.write_text(json.dumps({"version": 0.4, "links": [], "nodes": nodes}))
    return path


def test_check_import_missing_model_with_address_imports_it_to_its_path(
    importing: Command, fakes: FakeSources, tmp_path: Path
) -> None:
    address = f"{fakes.huggingface_url}/studio/ink/resolve/main/ink.safetensors"
    workflow = write_workflow(tmp_path / "scene.json", ("styles\\needed.safetensors", address))
    asked = importing("check", workflow, "--import")
    assert (asked.code, "--yes" in asked.err) == (2, True)
    assert importing("ls", "-q").out == ""

    ran = importing("check", workflow, "--import", "--yes", "--json")
    assert ran.code == 0, ran.err
    assert "loras/styles/needed.safetensors: imported" in ran.err
    [check] = json.loads(ran.out)["check_list"]
    assert [each["state"] for each in check["reference_list"]] == ["present"]

    again = importing("check", workflow, "--import", "--yes")
    assert (again.code, "No missing model can be imported." in again.err) == (0, True)


def test_check_import_address_without_model_names_it_and_imports_the_others(
    importing: Command, fakes: FakeSources, tmp_path: Path
) -> None:
    good = f"{fakes.huggingface_url}/studio/ink/resolve/main/ink.safetensors"
    gone = f"{fakes.huggingface_url}/studio/gone/resolve/main/ink.safetensors"
    workflow = write_workflow(tmp_path / "scene.json", ("gone.safetensors", gone), ("good.safetensors", good))
    ran = importing("check", workflow, "--import", "--yes")
    assert ran.code == 1
    assert '"gone.safetensors" cannot be imported' in ran.err
    assert "loras/good.safetensors: imported" in ran.err


def test_check_import_refused_import_is_named_and_the_check_is_made(
    importing: Command, fakes: FakeSources, tmp_path: Path
) -> None:
    fakes.huggingface.files["large.safetensors"] = make_model_file("large", 5_000)
    folder = f"{fakes.huggingface_url}/studio/ink/resolve/main"
    assert importing("add", f"{folder}/ink.safetensors", "--path", "loras/first.safetensors", "--yes").code == 0
    assert importing("team", "settings", "--quota", "4KB").code == 0
    small = ("same.safetensors", f"{folder}/ink.safetensors")
    workflow = write_workflow(
        tmp_path / "scene.json",
        ("large.safetensors", f"{folder}/large.safetensors"),
        small,
        ("ink (1).safetensors", small[1]),
    )
    ran = importing("check", workflow, "--import", "--yes", "--json")
    assert ran.code == 1
    assert '"ink (1).safetensors" cannot be imported. A path may contain' in ran.err
    assert "loras/large.safetensors: not imported" in ran.err
    assert "loras/same.safetensors: imported" in ran.err
    [check] = json.loads(ran.out)["check_list"]
    assert {each["name"]: each["state"] for each in check["reference_list"]}["same.safetensors"] == "present"


def test_check_yes_without_import_is_refused(importing: Command, tmp_path: Path) -> None:
    assert importing("check", write_workflow(tmp_path / "scene.json"), "--yes").code == 2
