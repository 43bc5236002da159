"""Reads the JUnit reports that pytest and Playwright write."""

from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree


@dataclass(frozen=True)
class Failure:
    """A failed test: its name for the command line, and the first line of its error."""

    test: str
    error: str


@dataclass(frozen=True)
class Results:
    """How many tests passed and were skipped, and which ones failed."""

    passed: int = 0
    skipped: int = 0
    failures: list[Failure] = field(default_factory=list)


def read_results(report: Path) -> Results:
    """Return the results in a JUnit report; none if the program ended before it wrote the report."""
    try:
        cases = list(ElementTree.parse(report).iter("testcase"))  # noqa: S314 - this run's own report
    except (FileNotFoundError, ElementTree.ParseError):
        return Results()
    failures = {get_name(case): case for case in cases if find_error(case) is not None}
    skipped = sum(case.find("skipped") is not None for case in cases)
    listed = [Failure(name, get_first_line(find_error(case))) for name, case in failures.items()]
    return Results(len({get_name(case) for case in cases}) - skipped - len(listed), skipped, listed)


def find_error(case: ElementTree.Element) -> ElementTree.Element | None:
    """Return what says why a test failed, in its body or its fixtures."""
    return next((child for child in case if child.tag in ("failure", "error")), None)


def get_name(case: ElementTree.Element) -> str:
    """Return ``tests/wire/test_paths.py::test_name`` for pytest, and ``models.spec.ts: title`` for Playwright."""
    file = case.get("file")
    return f"{file}::{case.get('name')}" if file else f"{case.get('classname')}: {case.get('name')}"


def get_first_line(error: ElementTree.Element | None) -> str:
    """Return the first line of an error that says something."""
    text = "" if error is None else error.get("message") or error.text or ""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:160]
