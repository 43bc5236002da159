import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.repository import ROOT

LINTER = Path(sys.executable).with_name("lint-imports")

PLANTED = {
    "server/teams/tables.py": "import modelyard.server.models.tables",
    "server/database/base.py": "import modelyard.server.storage.blob_store",
    "server/models/operations.py": "import fastapi",
    "server/paging.py": "import modelyard.transfer",
    "client/push.py": "import sqlalchemy",
    "wire/shapes.py": "import httpx2",
    "transfer/parts.py": "import modelyard.client",
}


def report(tree: Path) -> str:
    """What the linter says of a copy of the source tree."""
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "COLUMNS": "200", "NO_COLOR": "1"}
    ran = subprocess.run(
        [LINTER, "--no-cache"], cwd=tree, env=environment, capture_output=True, text=True, timeout=250, check=False
    )
    assert "Contracts:" in ran.stdout, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the package and its contracts, to plant imports in."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_hold(tree: Path) -> None:
    said = report(tree)
    assert " 0 broken." in said, said


# All at once, because each look at the whole package takes seconds.
def test_an_import_that_looks_up_breaks_its_contract(tree: Path) -> None:
    package = tree / "src" / "modelyard"
    for module, statement in PLANTED.items():
        with (package / module).open("a", encoding="utf-8") as file:
            file.write(f"\n{statement}\n")
    (package / "server" / "novelty").mkdir()
    (package / "server" / "novelty" / "__init__.py").touch()
    said = report(tree)
    kept = [line for line in said.partition("Contracts:")[0].splitlines() if " KEPT" in line]
    assert kept == [], "each contract has an import planted against it"
    chains = re.findall(r"(modelyard[\w.]*) -> ([\w.]+) \(l\.", said)
    for module, statement in PLANTED.items():
        importer = "modelyard." + module.removesuffix(".py").replace("/", ".")
        assert (importer, statement.removeprefix("import ")) in chains
    assert "- modelyard.server.novelty" in said, "a new folder must be given its place"
