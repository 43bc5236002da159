"""The web page is built once for all that need it, and `make demo` does not check it."""

import subprocess
from pathlib import Path

import pytest

from tools.page import compute_digest
from tools.repository import ROOT


@pytest.fixture
def web(tmp_path: Path) -> Path:
    (tmp_path / "src" / "app").mkdir(parents=True)
    (tmp_path / "tests").mkdir()
    (tmp_path / "package-lock.json").write_text("{}")
    (tmp_path / "src" / "app" / "App.tsx").write_text("app")
    return tmp_path


@pytest.mark.parametrize("path", ["src/app/App.tsx", "src/app/New.tsx", "package-lock.json"])
def test_digest_of_the_page_changes_with_each_source(web: Path, path: str) -> None:
    before = compute_digest(web)
    (web / path).write_text("changed")
    assert compute_digest(web) != before


def test_digest_of_the_page_changes_with_a_name(web: Path) -> None:
    before = compute_digest(web)
    (web / "src" / "app" / "App.tsx").rename(web / "src" / "App.tsx")
    assert compute_digest(web) != before


def test_digest_of_the_page_ignores_its_tests(web: Path) -> None:
    before = compute_digest(web)
    (web / "tests" / "models.spec.ts").write_text("changed")
    assert compute_digest(web) == before


def list_steps(target: str) -> str:
    """Return the commands that make would run for a target."""
    command = ["make", "--dry-run", "--no-print-directory", target]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_make_demo_builds_the_page_without_checking_it() -> None:
    assert "-m tools.page" in list_steps("demo")
    assert "npm run check" not in list_steps("demo")
    assert "npm run check" in list_steps("page")
