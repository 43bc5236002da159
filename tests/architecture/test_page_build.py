"""The web page is built once for all that need it, and `make demo` does not check it."""

import subprocess
from pathlib import Path

import pytest

from tools.page import BUILT, STAMP, compute_digest, is_built_from
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


def test_page_is_current_only_with_the_digest_in_its_folder(tmp_path: Path) -> None:
    stamp = tmp_path / STAMP.relative_to(BUILT)
    assert not is_built_from("digest", stamp)
    stamp.write_text("digest")
    assert is_built_from("digest", stamp)
    assert not is_built_from("another", stamp)


def list_steps(target: str) -> str:
    """Return the commands that make would run for a target."""
    command = ["make", "--dry-run", "--no-print-directory", target]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_make_demo_builds_the_page_without_checking_it() -> None:
    assert "-m tools.page" in list_steps("demo")
    assert "npm run check" not in list_steps("demo")
    assert "npm run check" in list_steps("page")
