"""The runner of ``make check``, on a small project with a Makefile of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.repository import ROOT

pytestmark = pytest.mark.slow
TOOLS = ("check.py", "test_results.py", "repository.py")
MAKEFILE = f"""
.PHONY: test-check test-stores
lint:
\t@true
types:
\t@false
test-check test-stores:
\t@{sys.executable} -m pytest -p no:randomly $@ $(PYTEST)
"""
PASSING = "def test_passes(): pass\n"
FAILING = "def test_fails(): assert 1 + 1 == 3\n"
FAILING_THIRTY_TIMES = """
import pytest
@pytest.mark.parametrize("number", range(30))
def test_fails(number): assert number < 0
"""
FAILING_ONCE = """
from pathlib import Path
import pytest
@pytest.mark.parametrize("number", range({count}))
def test_fails_once(number):
    marker = Path(__file__).with_name(f"tried-{{number}}")
    was_tried = marker.exists()
    marker.touch()
    assert was_tried
"""


class Project:
    """A project with the stages lint (passes), types (fails), test-check and test-stores (folders of test files)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tools").mkdir(parents=True)
        for name in TOOLS:
            shutil.copy(ROOT / "tools" / name, folder / "tools")
        (folder / "Makefile").write_text(MAKEFILE)
        (folder / "pytest.ini").write_text("[pytest]\n")

    def write_test(self, stage: str, content: str) -> None:
        (self.folder / stage).mkdir(exist_ok=True)
        (self.folder / stage / "test_it.py").write_text(content)

    def check(self, *stages: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tools.check", "check", *stages]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)

    def read_rows(self) -> dict[str, list[str]]:
        """Return the cells of the table in ``build/check.md`` without the seconds, by stage."""
        lines = (self.folder / "build" / "check.md").read_text().splitlines()
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
        return {name: [result, *counts] for name, result, _, *counts in rows[2:]}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def test_check_failing_stage_does_not_end_the_run(project: Project) -> None:
    project.write_test("test-check", PASSING)
    ran = project.check("types", "lint", "test-check")
    assert ran.returncode == 1
    assert project.read_rows() == {
        "types": ["FAILED", "0", "0", "0", "0"],
        "lint": ["passed", "0", "0", "0", "0"],
        "test-check": ["passed", "1", "0", "0", "0"],
    }
    assert "FAILED types: run `make types`" in ran.stdout


def test_check_test_that_fails_twice_is_named_with_its_error_and_command(project: Project) -> None:
    project.write_test("test-check", PASSING + FAILING)
    ran = project.check("test-check")
    assert ran.returncode == 1
    assert project.read_rows() == {"test-check": ["FAILED", "1", "1", "0", "0"]}
    assert "FAILED test-check/test_it.py::test_fails: assert (1 + 1) == 3" in ran.stdout
    assert "-m pytest 'test-check/test_it.py::test_fails'" in ran.stdout


def test_check_test_that_passes_at_a_second_try_is_green_and_named(project: Project) -> None:
    project.write_test("test-check", FAILING_ONCE.format(count=3))
    ran = project.check("test-check")
    assert ran.returncode == 0
    assert project.read_rows() == {"test-check": ["passed", "3", "0", "0", "3"]}
    assert "passed at a second try: test-check/test_it.py::test_fails_once[0]" in ran.stdout.splitlines()
    assert len((project.folder / "build" / "flaky.txt").read_text().splitlines()) == 3
    assert (project.folder / "build" / "check" / "test-check-first-try.xml").read_text().count("<failure") == 3


def test_check_with_more_than_three_second_tries_fails(project: Project) -> None:
    project.write_test("test-check", FAILING_ONCE.format(count=2))
    project.write_test("test-stores", FAILING_ONCE.format(count=2))
    assert project.check("test-check", "test-stores").returncode == 1
    assert project.read_rows()["test-stores"] == ["passed", "2", "0", "0", "2"]


def test_check_after_twenty_failures_starts_no_further_stage(project: Project) -> None:
    project.write_test("test-check", FAILING_THIRTY_TIMES)
    project.write_test("test-stores", PASSING)
    assert project.check("test-check", "test-stores").returncode == 1
    assert project.read_rows() == {
        "test-check": ["FAILED", "0", "20", "0", "0"],
        "test-stores": ["not run", "0", "0", "0", "0"],
    }


@pytest.mark.parametrize("content", ["import no_such_module\n", "# no tests\n"])
def test_check_stage_in_which_no_test_passes_fails(project: Project, content: str) -> None:
    project.write_test("test-check", content)
    assert project.check("test-check").returncode == 1
    assert project.read_rows()["test-check"][0] == "FAILED"
