"""What is checked before a release is published."""

from pathlib import Path

import pytest

from tools.publish import find_problems, read_git

RELEASED = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-11-26\n\n- A change.\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit that is the release 1.2.0."""
    (tmp_path / "CHANGELOG.md").write_text(RELEASED)
    read_git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    tag(tmp_path)
    return tmp_path


def commit(checkout: Path) -> None:
    read_git(checkout, "add", "--all")
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@studio.test")
    read_git(checkout, *identity, "commit", "--quiet", "--allow-empty", "--message", "changelog: release")


def tag(checkout: Path) -> None:
    read_git(checkout, "tag", "--force", "v1.2.0")


def test_tagged_release_can_be_published(checkout: Path) -> None:
    assert find_problems(checkout, "1.2.0") == []


def test_uncommitted_change_is_a_problem(checkout: Path) -> None:
    (checkout / "README.md").write_text("new")
    assert find_problems(checkout, "1.2.0") == ["There are uncommitted changes. Commit or stash them."]


def test_commit_after_the_tag_is_a_problem(checkout: Path) -> None:
    commit(checkout)
    assert find_problems(checkout, "1.2.0") == ["The commit has no tag v1.2.0. Create it: git tag -a v1.2.0"]


def test_changes_under_unreleased_are_a_problem(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text(RELEASED.replace("## [1.2.0]", "- Another.\n\n## [1.2.0]"))
    commit(checkout)
    tag(checkout)
    (problem,) = find_problems(checkout, "1.2.0")
    assert "[Unreleased]" in problem


def test_version_without_a_dated_section_is_a_problem(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text(RELEASED.replace(" - 2026-11-26", ""))
    commit(checkout)
    tag(checkout)
    assert find_problems(checkout, "1.2.0") == ["CHANGELOG.md has no section of 1.2.0 with its date."]
