"""What no file of the repository may say. The words are put together here, so that this file does not say them."""

import re
from pathlib import Path

import pytest

from tools.repository import ROOT, text_of, tracked_files

PLACES = ["work", "root", "opt/" + "wheels", "etc/xdg/" + "pip"]
HOSTS = re.compile(r"\b(?:py" + r"pi|python" + r"hosted|npm" + r"js|deb" + r"ian)\.org")
MACHINE_PATHS = re.compile(rf"(?<![\w.~-])/(?:{'|'.join(PLACES)})(?:/|\b)")
CODES = r"\[[^]]*\]|:\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*"
SILENCED = re.compile(rf"#\s*(?:type: ignore|noqa)(?P<codes>{CODES})?(?P<reason>.*)$")
# Tests that do not run, and the word that has to say why.
ASIDE = re.compile(r"pytest\.(?:mark\.)?(?:skip|skipif|xfail)\b(?P<rest>[^\n]*(?:\n[^\n]*){0,3})")


def lines_with(pattern: re.Pattern[str], *suffixes: str) -> list[str]:
    found = []
    for file in tracked_files(*suffixes):
        for number, line in enumerate((text_of(file) or "").splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()}")
    return found


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    assert not lines_with(MACHINE_PATHS)


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert not lines_with(HOSTS)


@pytest.mark.parametrize("text", ["see /" + "work/main", "'/" + "root/.cache'", "--find-links /opt/" + "wheels"])
def test_a_machine_path_is_recognised(text: str) -> None:
    assert MACHINE_PATHS.search(text)


@pytest.mark.parametrize("text", ["/teams/" + "work/x", "~/" + "work/x", "/workers/", "a/" + "root/b"])
def test_a_path_that_only_looks_alike_is_none(text: str) -> None:
    assert not MACHINE_PATHS.search(text)


@pytest.mark.parametrize("host", ["py" + "pi.org", "files.python" + "hosted.org", "deb.debi" + "an.org"])
def test_a_registry_host_is_recognised(host: str) -> None:
    assert HOSTS.search(f"from {host}")


def python_files() -> list[Path]:
    return [file for file in tracked_files(".py") if file != Path(__file__)]


def test_every_silenced_check_says_which_and_why() -> None:
    silent = []
    for file in python_files():
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            match = SILENCED.search(line)
            if match and not (match["codes"] and re.search(r"\w{2,}", match["reason"])):
                silent.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not silent, "\n".join(silent)


def test_every_test_set_aside_says_why() -> None:
    silent = [
        f"{file.relative_to(ROOT)}: {match[0].splitlines()[0]}"
        for file in python_files()
        for match in ASIDE.finditer(file.read_text(encoding="utf-8"))
        if "reason=" not in match["rest"] and not re.match(r"\(\s*f?\"", match["rest"])
    ]
    assert not silent, "\n".join(silent)


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    pages = [page.name for page in folder.glob("[0-9]*.md")]
    assert pages
    assert [page for page in pages if f"({page})" not in index] == []
