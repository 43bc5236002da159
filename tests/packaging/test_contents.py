"""What the packages of a release contain, and that the same source gives the same bytes."""

import json
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.packaging.conftest import build_copy
from tools.extension import list_files
from tools.repository import ROOT

PAGE = "modelyard/server/page/built"
EXTENSION = "modelyard/comfyui_extension"


@pytest.fixture(scope="module")
def wheel_names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def read_from_wheel(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name).decode()


def read_lock_names(lock: str) -> set[str]:
    """Return the names that a lock file of Python packages pins."""
    return set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / lock).read_text(encoding="utf-8"), re.MULTILINE))


def test_two_builds_in_different_folders_have_the_same_bytes(built: Path, tmp_path: Path) -> None:
    rebuilt = build_copy(tmp_path / "another", 0o077)
    assert (rebuilt / "SHA256SUMS").read_text() == (built / "SHA256SUMS").read_text()


def test_hashes_are_those_of_every_file(built: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=built, check=True)
    listed = {line.split()[1] for line in (built / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in built.iterdir()} - {"SHA256SUMS"}


def test_wheel_contains_index_page_and_every_asset_it_names(wheel: Path, wheel_names: set[str]) -> None:
    index = read_from_wheel(wheel, f"{PAGE}/index.html")
    assets = [part.split('"')[0] for part in index.split('="/assets/')[1:]]
    assert len(assets) >= 2, index
    assert {f"{PAGE}/assets/{name}" for name in assets} <= wheel_names


def test_wheel_contains_types_marker_and_licences(wheel: Path, wheel_names: set[str]) -> None:
    assert "modelyard/py.typed" in wheel_names
    assert any(re.fullmatch(r"modelyard-[^/]+\.dist-info/licenses/LICENSE", name) for name in wheel_names)
    of_page = read_from_wheel(wheel, f"{PAGE}/licenses.md")
    dependencies = json.loads((ROOT / "web" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert [name for name in dependencies if f"## {name} - " not in of_page] == []


def test_wheel_contains_every_file_of_the_extension(wheel_names: set[str]) -> None:
    packaged = {name.removeprefix(f"{EXTENSION}/") for name in wheel_names if name.startswith(f"{EXTENSION}/")}
    assert packaged == list_files().keys() - {"LICENSE"}


def test_wheel_contains_only_the_package(wheel_names: set[str]) -> None:
    assert [name for name in wheel_names if not re.match(r"modelyard(-[^/]+\.dist-info)?/", name)] == []
    assert [name for name in wheel_names if "__pycache__" in name or "node_modules" in name] == []


def test_wheel_metadata_names_python_versions_and_extra(wheel: Path, wheel_names: set[str]) -> None:
    (name,) = [name for name in wheel_names if name.endswith(".dist-info/METADATA")]
    metadata = read_from_wheel(wheel, name).partition("\n\n")[0]
    for field in (
        "License-Expression: Apache-2.0",
        "License-File: LICENSE",
        "Requires-Python: >=3.11",
        "Provides-Extra: server",
        "Classifier: Programming Language :: Python :: 3.13",
    ):
        assert field in metadata, metadata


def test_sdist_contains_the_built_page_and_its_source(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{PAGE}/index.html", "web/package-lock.json", "LICENSE", "PKG-INFO", "tools/wheel.py"} <= names
    assert [name for name in names if "node_modules" in name or name.startswith("tests/")] == []


def test_bill_of_python_packages_lists_the_lock(built: Path) -> None:
    (path,) = built.glob("*.python.cdx.json")
    bill = json.loads(path.read_text(encoding="utf-8"))
    assert {component["name"] for component in bill["components"]} == read_lock_names("server.txt")


def test_bill_of_page_packages_lists_dependencies_without_addresses(built: Path) -> None:
    (path,) = built.glob("*.page.cdx.json")
    text = path.read_text(encoding="utf-8")
    components = json.loads(text)["components"]
    names = {"/".join(filter(None, [component.get("group"), component["name"]])) for component in components}
    dependencies = json.loads((ROOT / "web" / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert set(dependencies) <= names
    assert "vite" not in names
