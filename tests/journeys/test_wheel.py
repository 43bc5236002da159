import subprocess
import sys
import zipfile
from pathlib import Path

from tools.repository import ROOT


def test_wheel_contains_index_page_and_every_asset_it_names(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    (wheel,) = tmp_path.glob("modelyard-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        index = archive.read("modelyard/server/page/built/index.html").decode()
    assets = [part.split('"')[0] for part in index.split('="/assets/')[1:]]
    assert len(assets) >= 2, index
    assert {f"modelyard/server/page/built/assets/{name}" for name in assets} <= names
