"""The id of a build: what tells builds of one version apart."""

import os
import subprocess
from pathlib import Path

import pytest

from modelyard.build import read_commit


def run_git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@studio.example")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_commit_of_a_checkout_differs_with_each_commit_and_with_changes(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("first")
    run_git(tmp_path, "add", "file")
    run_git(tmp_path, "commit", "--quiet", "--message", "first")
    # A tag of a release does not hide the commit.
    run_git(tmp_path, "tag", "--annotate", "v0.3.0", "--message", "release")
    first = read_commit(tmp_path)
    assert first == run_git(tmp_path, "rev-parse", "--short=12", "HEAD")
    (tmp_path / "file").write_text("second")
    assert read_commit(tmp_path) == f"{first}-dirty"
    run_git(tmp_path, "commit", "--quiet", "--all", "--message", "second")
    assert read_commit(tmp_path) not in (first, None)


def test_reading_the_commit_leaves_the_index_as_it_is(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("first")
    run_git(tmp_path, "add", "file")
    run_git(tmp_path, "commit", "--quiet", "--message", "first")
    os.utime(tmp_path / "file", (1, 1))  # git writes the index to remember such a time
    before = (tmp_path / ".git/index").read_bytes()
    assert read_commit(tmp_path) == run_git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert (tmp_path / ".git/index").read_bytes() == before


def test_commit_before_the_first_one_is_unknown(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet")
    assert read_commit(tmp_path) is None


def test_commit_of_a_folder_inside_a_checkout_is_unknown(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet")
    (tmp_path / "source").mkdir()
    assert read_commit(tmp_path / "source") is None


def test_commit_is_the_folders_also_where_the_environment_names_another_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ours", "other"):
        run_git(tmp_path, "init", "--quiet", name)
        run_git(tmp_path / name, "commit", "--quiet", "--allow-empty", "--message", name)
    ours = run_git(tmp_path / "ours", "rev-parse", "--short=12", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    assert read_commit(tmp_path / "ours") == ours
