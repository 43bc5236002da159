import re
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from modelyard.wire.formats import EXTENSIONS
from modelyard.wire.model_folders import KEY_BY_FOLDER
from modelyard.wire.paths import get_canonical_type
from tools.extension import EXTENSION, Publisher, build_extension, list_files
from tools.repository import ROOT

# Specifications of Comfy's registry: https://docs.comfy.org/registry/specifications
MAX_NAME = 100


def test_build_extension_twice_gives_same_bytes(tmp_path: Path) -> None:
    first, second = build_extension(tmp_path / "first"), build_extension(tmp_path / "second")
    assert first.read_bytes() == second.read_bytes()


def test_build_extension_contains_one_folder_without_local_settings(tmp_path: Path) -> None:
    names = zipfile.ZipFile(build_extension(tmp_path)).namelist()
    assert {name.split("/")[0] for name in names} == {"modelyard-bridge"}
    assert {"modelyard-bridge/__init__.py", "modelyard-bridge/web/modelyard.js", "modelyard-bridge/LICENSE"} <= {*names}
    assert not [name for name in names if name.endswith(("agent.json", ".pyc"))]


def test_project_follows_rules_of_the_comfy_registry() -> None:
    project = tomllib.loads((EXTENSION / "pyproject.toml").read_text(encoding="utf-8"))
    name = project["project"]["name"]
    assert re.fullmatch(r"[a-z][a-z0-9._-]*", name)
    assert len(name) < MAX_NAME
    assert "comfyui" not in name
    assert name == EXTENSION.name
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["project"]["version"])
    assert project["project"]["dependencies"] == []
    assert {"PublisherId", "DisplayName", "Icon"} <= {*project["tool"]["comfy"]}


def read_built_project(package: Path) -> dict[str, Any]:
    return tomllib.loads(zipfile.ZipFile(package).read("modelyard-bridge/pyproject.toml").decode())


def test_build_extension_without_publisher_names_none(tmp_path: Path) -> None:
    built = read_built_project(build_extension(tmp_path))
    assert built["tool"]["comfy"]["PublisherId"] == ""
    assert "urls" not in built["project"]


def test_build_extension_with_publisher_names_it_and_its_repository(tmp_path: Path) -> None:
    publisher = Publisher("studio-tools", "https://git.example/studio/modelyard")
    built = read_built_project(build_extension(tmp_path, publisher))
    assert built["tool"]["comfy"]["PublisherId"] == "studio-tools"
    assert built["project"]["urls"] == {"Repository": "https://git.example/studio/modelyard"}
    unpublished = read_built_project(build_extension(tmp_path))
    assert built["project"] == unpublished["project"] | {"urls": built["project"]["urls"]}
    assert built["tool"]["comfy"] == unpublished["tool"]["comfy"] | {"PublisherId": "studio-tools"}


@pytest.mark.parametrize(
    ("publisher_id", "repository"),
    [
        ("", "https://git.example/a"),
        ('a"b', "https://git.example/a"),
        ("studio", "git.example/a"),
        ("studio", "https://"),
    ],
    ids=["no id", "id with a quote", "address without scheme", "address without host"],
)
def test_publisher_with_invalid_values_is_refused(publisher_id: str, repository: str) -> None:
    with pytest.raises(ValueError, match=r"publisher|repository"):
        Publisher(publisher_id, repository)


def test_only_the_entry_is_imported_by_itself() -> None:
    """ComfyUI's page imports every .js file of the folder."""
    assert [name for name in list_files() if name.endswith(".js")] == ["web/modelyard.js"]


def test_page_code_sets_no_html() -> None:
    scripts = [file.read_text(encoding="utf-8") for name, file in list_files().items() if name.startswith("web/")]
    assert scripts
    assert not [
        text for text in scripts if re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|document\.write", text)
    ]


LOADER = re.compile(r"^  (\w+): \['(\w+)', '(\w+)'\],$", re.MULTILINE)


def test_loader_nodes_of_the_gallery_load_from_their_folder() -> None:
    text = (EXTENSION / "web" / "loader_nodes.mjs").read_text(encoding="utf-8")
    loaders = {folder: (node, name) for folder, node, name in LOADER.findall(text)}
    assert {"checkpoints", "loras", "vae", "diffusion_models", "text_encoders"} <= loaders.keys()
    known = tomllib.loads((ROOT / "src/modelyard/comfyui/workflows/core_loaders.toml").read_text(encoding="utf-8"))
    inputs = {node: loader.get("inputs", {}) for loader in known["loader"] for node in loader["nodes"]}
    wrong = {
        folder: loader
        for folder, loader in loaders.items()
        if inputs.get(loader[0], {}).get(loader[1]) != KEY_BY_FOLDER.get(folder, get_canonical_type(folder))
    }
    assert wrong == {}


def test_model_names_of_the_page_end_as_the_registry_takes_them() -> None:
    text = (EXTENSION / "web" / "missing_models.mjs").read_text(encoding="utf-8")
    pattern = re.search(r"^const MODEL_NAME = /\\\.\(\?:([\w|]+)\)\$/i$", text, re.MULTILINE)
    assert pattern
    assert tuple(f".{extension}" for extension in pattern[1].split("|")) == EXTENSIONS
