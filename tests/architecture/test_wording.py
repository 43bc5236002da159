"""The search for private terms that ``make lint`` runs."""

import subprocess
from pathlib import Path

import pytest

from tools.wording import LIST, find_banned_terms, read_list


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def add_file(repository: Path, name: str, text: str) -> None:
    path = repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    subprocess.run(["git", "add", name], cwd=repository, check=True)


@pytest.mark.parametrize("text", ["a chore", "Chores run", "run_chores()", "chore_leases", "<p>the chore</p>"])
def test_find_banned_terms_in_tracked_file_names_place_and_replacement(repository: Path, text: str) -> None:
    add_file(repository, "web/src/page.tsx", f"\n{text}\n")
    [found] = find_banned_terms(repository)
    assert found.startswith("web/src/page.tsx:2: ")
    assert found.endswith('is called "job"')


@pytest.mark.parametrize("text", ["choreography", "anchored", "jobs"])
def test_find_banned_terms_in_longer_words_finds_none(repository: Path, text: str) -> None:
    add_file(repository, "src/module.py", text)
    assert list(find_banned_terms(repository)) == []


@pytest.mark.parametrize("name", ["CHANGELOG.md", "docs/decisions/0001-x.md", "notes.txt"])
def test_find_banned_terms_in_history_and_other_file_types_finds_none(repository: Path, name: str) -> None:
    add_file(repository, name, "a chore")
    assert list(find_banned_terms(repository)) == []


def test_list_of_banned_terms_has_a_replacement_for_each() -> None:
    assert all(read_list(LIST.read_text(encoding="utf-8")).values())
