import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.repository import ROOT

pytestmark = pytest.mark.slow

LINTER = Path(sys.executable).with_name("lint-imports")

FORBIDDEN_IMPORTS = {
    "server/teams/tables.py": "import modelyard.server.models.tables",
    "server/database/base.py": "import modelyard.server.storage.blob_store",
    "server/models/operations.py": "import fastapi",
    "server/http/paging.py": "import modelyard.client",
    "client/transfers/push.py": "import sqlalchemy",
    "wire/schemas.py": "import httpx2",
    "transfer/part_plan.py": "import modelyard.client",
}


# ``client.transfers`` imports ``client.api``.
CIRCULAR_IMPORT = ("client/api/http.py", "import modelyard.client.transfers.push")


def run_linter(tree: Path) -> str:
    """Run the import linter on a copy of the source tree and return its output."""
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "COLUMNS": "200", "NO_COLOR": "1"}
    result = subprocess.run(
        [LINTER, "--no-cache"], cwd=tree, env=environment, capture_output=True, text=True, timeout=250, check=False
    )
    assert "Contracts:" in result.stdout, result.stdout + result.stderr
    return result.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy the package and its contracts, so that forbidden imports can be added."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_import_contracts_hold(tree: Path) -> None:
    report = run_linter(tree)
    assert " 0 broken." in report, report


# All forbidden imports at once, because each linter run takes seconds.
def test_upward_import_breaks_import_contract(tree: Path) -> None:
    package = tree / "src" / "modelyard"
    for module, statement in [*FORBIDDEN_IMPORTS.items(), CIRCULAR_IMPORT]:
        with (package / module).open("a", encoding="utf-8") as file:
            file.write(f"\n{statement}\n")
    (package / "server" / "novelty").mkdir()
    (package / "server" / "novelty" / "__init__.py").touch()
    report = run_linter(tree)
    kept = [line for line in report.partition("Contracts:")[0].splitlines() if " KEPT" in line]
    assert kept == [], "each contract must be broken by an added import"
    chains = re.findall(r"(modelyard[\w.]*) -> ([\w.]+) \(l\.", report)
    for module, statement in FORBIDDEN_IMPORTS.items():
        importer = "modelyard." + module.removesuffix(".py").replace("/", ".")
        assert (importer, statement.removeprefix("import ")) in chains
    assert "- modelyard.server.novelty" in report, "a new package must be listed in the contracts"
