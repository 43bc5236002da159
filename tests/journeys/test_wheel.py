import subprocess
import sys
import zipfile
from pathlib import Path

from tools.repository import ROOT


def test_a_wheel_brings_the_whole_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    (wheel,) = tmp_path.glob("modelyard-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        index = opened.read("modelyard/server/page/built/index.html").decode()
    asked = [part.split('"')[0] for part in index.split('="/assets/')[1:]]
    assert len(asked) >= 2, index
    assert {f"modelyard/server/page/built/assets/{name}" for name in asked} <= names
