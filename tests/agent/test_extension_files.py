"""Installing ComfyUI's extension into folders, and removing it."""

import json
import stat
import zipfile
from pathlib import Path

import pytest

from modelyard.agent.extension_files import (
    AgentAddress,
    ExtensionRefused,
    find_extension_files,
    install_extension,
    remove_extension,
)
from tools.extension import build_extension

ADDRESS = AgentAddress(Path("/run/agent.sock"), "render-07")


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    folder = tmp_path / "ComfyUI"
    (folder / "custom_nodes").mkdir(parents=True)
    return folder


@pytest.fixture
def files() -> dict[str, Path]:
    return find_extension_files()


def list_files(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir()}


def test_install_copies_every_file_and_writes_where_the_agent_listens(comfyui: Path, files: dict[str, Path]) -> None:
    folder = install_extension(comfyui, files, ADDRESS)
    assert folder == comfyui / "custom_nodes" / "modelyard-bridge"
    assert {"__init__.py", "pyproject.toml", "web/modelyard.js"} <= files.keys()
    assert list_files(folder) == {*files, "agent.json"}
    assert all((folder / name).read_bytes() == file.read_bytes() for name, file in files.items())
    config = json.loads((folder / "agent.json").read_bytes())
    assert (config["socket"], config["profile"]) == ("/run/agent.sock", "render-07")
    assert stat.S_IMODE((folder / "agent.json").stat().st_mode) == 0o600


def test_install_again_removes_files_of_the_earlier_version_and_keeps_those_of_the_user(
    comfyui: Path, files: dict[str, Path]
) -> None:
    folder = install_extension(comfyui, files | {"old/gone.py": files["__init__.py"]}, ADDRESS)
    (folder / "old" / "__pycache__").mkdir()
    (folder / "old" / "__pycache__" / "gone.cpython-311.pyc").touch()
    (folder / "mine.txt").write_text("mine")
    (folder / "web" / "modelyard.js").write_text("changed")
    install_extension(comfyui, files, ADDRESS)
    assert list_files(folder) == {*files, "agent.json", "mine.txt"}
    assert not (folder / "old").exists()
    assert (folder / "web" / "modelyard.js").read_bytes() == files["web/modelyard.js"].read_bytes()


def test_remove_keeps_files_of_the_user_and_without_them_deletes_the_folder(
    comfyui: Path, files: dict[str, Path]
) -> None:
    assert remove_extension(comfyui, files) is None
    folder = install_extension(comfyui, files, ADDRESS)
    (folder / "mine.txt").write_text("mine")
    assert remove_extension(comfyui, files) == folder
    assert list_files(folder) == {"mine.txt"}
    assert remove_extension(comfyui, files) == folder
    install_extension(comfyui, files, ADDRESS)
    assert list_files(folder) == {*files, "agent.json", "mine.txt"}
    (folder / "mine.txt").unlink()
    assert remove_extension(comfyui, files) is None
    assert list((comfyui / "custom_nodes").iterdir()) == []


def test_remove_extension_that_was_unpacked_from_its_zip_leaves_nothing(comfyui: Path, files: dict[str, Path]) -> None:
    package = build_extension(comfyui.parent)
    with zipfile.ZipFile(package) as archive:
        archive.extractall(comfyui / "custom_nodes")
    folder = install_extension(comfyui, files, ADDRESS)
    assert (folder / "LICENSE").is_file()
    assert remove_extension(comfyui, files) is None


def make_unreadable(files: dict[str, Path], name: str, folder: Path) -> dict[str, Path]:
    """Return the files, of which copying one fails."""
    return files | {name: folder / "gone"}


@pytest.mark.parametrize("name", ["pyproject.toml", "web/modelyard.js"])
def test_first_installation_that_is_interrupted_leaves_nothing_and_can_be_repeated(
    comfyui: Path, files: dict[str, Path], name: str
) -> None:
    with pytest.raises(FileNotFoundError):
        install_extension(comfyui, make_unreadable(files, name, comfyui), ADDRESS)
    assert list((comfyui / "custom_nodes").iterdir()) == []
    folder = install_extension(comfyui, files, ADDRESS)
    assert list_files(folder) == {*files, "agent.json"}


@pytest.mark.parametrize("name", ["pyproject.toml", "web/modelyard.js"])
def test_installation_beside_a_file_of_the_user_that_is_interrupted_can_be_repeated(
    comfyui: Path, files: dict[str, Path], name: str
) -> None:
    folder = comfyui / "custom_nodes" / "modelyard-bridge"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(FileNotFoundError):
        install_extension(comfyui, make_unreadable(files, name, comfyui), ADDRESS)
    install_extension(comfyui, files, ADDRESS)
    assert list_files(folder) == {*files, "agent.json", "mine.txt"}


def test_drafts_of_a_killed_installation_are_removed(comfyui: Path, files: dict[str, Path]) -> None:
    folder = install_extension(comfyui, files, ADDRESS)
    drafts = [folder / ".__init__.py.12.34", folder / "web" / ".modelyard.js.1.2", folder / ".agent.json.12.34"]
    for draft in drafts:
        draft.write_text("half")
    (comfyui / "custom_nodes" / ".modelyard-bridge.new.disabled" / "web").mkdir(parents=True)
    assert remove_extension(comfyui, files) is None
    assert list((comfyui / "custom_nodes").iterdir()) == []


def test_install_into_a_folder_of_something_else_is_refused_and_changes_nothing(
    comfyui: Path, files: dict[str, Path]
) -> None:
    folder = comfyui / "custom_nodes" / "modelyard-bridge"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "other"\n')
    with pytest.raises(ExtensionRefused, match="is not modelyard's extension"):
        install_extension(comfyui, files, ADDRESS)
    with pytest.raises(ExtensionRefused, match="is not modelyard's extension"):
        remove_extension(comfyui, files)
    assert list_files(folder) == {"pyproject.toml"}


def test_install_through_a_link_is_refused(comfyui: Path, tmp_path: Path, files: dict[str, Path]) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = install_extension(comfyui, files, ADDRESS)
    (folder / "web" / "modelyard.js").unlink()
    (folder / "web" / "modelyard.js").symlink_to(elsewhere / "target")
    with pytest.raises(ExtensionRefused, match="is a link"):
        install_extension(comfyui, files, ADDRESS)
    assert list(elsewhere.iterdir()) == []
    other = tmp_path / "Other"
    (other / "custom_nodes").mkdir(parents=True)
    (other / "custom_nodes" / "modelyard-bridge").symlink_to(folder)
    with pytest.raises(ExtensionRefused, match="is a link"):
        install_extension(other, files, ADDRESS)


def test_remove_ignores_names_that_lead_out_of_the_folder(comfyui: Path, files: dict[str, Path]) -> None:
    folder = install_extension(comfyui, files, ADDRESS)
    precious = comfyui / "precious"
    precious.write_text("keep")
    names = ["../../precious", str(precious)]
    (folder / "agent.json").write_text(json.dumps({"socket": "x", "file_list": names}))
    remove_extension(comfyui, files)
    assert precious.read_text() == "keep"


def test_install_into_a_folder_without_custom_nodes_is_refused(tmp_path: Path, files: dict[str, Path]) -> None:
    with pytest.raises(ExtensionRefused, match="has no folder custom_nodes"):
        install_extension(tmp_path, files, ADDRESS)
    assert list(tmp_path.iterdir()) == []
