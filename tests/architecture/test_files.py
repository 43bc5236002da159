"""Texts that no file of the repository may contain. They are concatenated here, so that this file does not either."""

import re
from pathlib import Path

import pytest

from tools.repository import ROOT, text_of, tracked_files

MACHINE_FOLDERS = ["work", "root", "opt/" + "wheels", "etc/xdg/" + "pip"]
HOSTS = re.compile(r"\b(?:py" + r"pi|python" + r"hosted|npm" + r"js|deb" + r"ian)\.org")
MACHINE_PATHS = re.compile(rf"(?<![\w.~-])/(?:{'|'.join(MACHINE_FOLDERS)})(?:/|\b)")
CODES = r"\[[^]]*\]|:\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*"
SUPPRESSION = re.compile(rf"#\s*(?:type: ignore|noqa)(?P<codes>{CODES})?(?P<reason>.*)$")
# Skipped tests, and the text after it, which must contain a reason.
SKIPPED = re.compile(r"pytest\.(?:mark\.)?(?:skip|skipif|xfail)\b(?P<rest>[^\n]*(?:\n[^\n]*){0,3})")


def find_lines(pattern: re.Pattern[str], *suffixes: str) -> list[str]:
    """List the lines of tracked files that match the pattern, as ``path:number: line``."""
    lines = []
    for file in tracked_files(*suffixes):
        for number, line in enumerate((text_of(file) or "").splitlines(), start=1):
            if pattern.search(line):
                lines.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()}")
    return lines


def test_files_contain_no_machine_paths() -> None:
    assert not find_lines(MACHINE_PATHS)


def test_files_contain_no_package_registry_hosts() -> None:
    assert not find_lines(HOSTS)


@pytest.mark.parametrize("text", ["see /" + "work/main", "'/" + "root/.cache'", "--find-links /opt/" + "wheels"])
def test_machine_path_is_reported(text: str) -> None:
    assert MACHINE_PATHS.search(text)


@pytest.mark.parametrize("text", ["/teams/" + "work/x", "~/" + "work/x", "/workers/", "a/" + "root/b"])
def test_path_that_resembles_machine_path_is_not_reported(text: str) -> None:
    assert not MACHINE_PATHS.search(text)


@pytest.mark.parametrize("host", ["py" + "pi.org", "files.python" + "hosted.org", "deb.debi" + "an.org"])
def test_registry_host_is_reported(host: str) -> None:
    assert HOSTS.search(f"from {host}")


def python_files() -> list[Path]:
    return [file for file in tracked_files(".py") if file != Path(__file__)]


def test_lint_suppressions_have_code_and_reason() -> None:
    without_reason = []
    for file in python_files():
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            match = SUPPRESSION.search(line)
            if match and not (match["codes"] and re.search(r"\w{2,}", match["reason"])):
                without_reason.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not without_reason, "\n".join(without_reason)


def test_skipped_tests_have_a_reason() -> None:
    without_reason = [
        f"{file.relative_to(ROOT)}: {match[0].splitlines()[0]}"
        for file in python_files()
        for match in SKIPPED.finditer(file.read_text(encoding="utf-8"))
        if "reason=" not in match["rest"] and not re.match(r"\(\s*f?\"", match["rest"])
    ]
    assert not without_reason, "\n".join(without_reason)


def test_decision_index_lists_every_decision() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    pages = [page.name for page in folder.glob("[0-9]*.md")]
    assert pages
    assert [page for page in pages if f"({page})" not in index] == []
