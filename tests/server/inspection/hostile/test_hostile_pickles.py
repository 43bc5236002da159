"""No file of the hostile corpus gets in under `block`, `scan` or `convert`, and nothing of it runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.server.inspection.conversion import plan_conversion
from modelyard.server.inspection.pickle_scanner import interpreter
from modelyard.server.inspection.pickle_scanner.allowed import MODULE_NAMES
from modelyard.server.inspection.pickle_scanner.containers import scan
from modelyard.server.inspection.pickle_scanner.ranges import Ranges, Refused
from modelyard.server.inspection.pickles import PickleRule
from modelyard.wire.problems import ConversionRefused
from tests.server.inspection import builders
from tests.server.inspection.builders import get_outcome, get_scan_outcome, table
from tests.server.inspection.hostile.files import (
    CONTAINERS,
    NAMES,
    build_calls,
    build_hostile_files,
    build_naming_files,
    build_runnable,
)

# What is found of a clean file under `block` and `convert`.
POLICY_REFUSES = "pickle file"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LOADER = """
import contextlib, pickle, sys
from pathlib import Path
for path in map(Path, sys.argv[1:]):
    with contextlib.suppress(BaseException):
        pickle.loads(path.read_bytes())
"""


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "ran"


@pytest.fixture
def corpus(marker: Path) -> dict[str, bytes]:
    return build_hostile_files(marker)


def test_corpus_has_more_than_200_different_files(corpus: dict[str, bytes]) -> None:
    assert len(set(corpus.values())) == len(corpus) > 200


def test_payloads_of_the_corpus_run_if_python_loads_them(tmp_path: Path) -> None:
    files, markers = [], {}
    for number, (name, content, path) in enumerate(build_runnable(lambda number: tmp_path / f"ran-{number}")):
        file = tmp_path / f"{number}.pkl"
        file.write_bytes(content)
        files.append(str(file))
        markers[name] = path
    command = [sys.executable, "-c", LOADER, *files]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
    assert [name for name, path in markers.items() if not path.exists()] == []


def test_hostile_file_is_refused_under_block_and_by_the_scanner(corpus: dict[str, bytes], marker: Path) -> None:
    accepted = [name for name, content in corpus.items() if get_scan_outcome(content) == "accepted"]
    blocked = {name: get_outcome(content, NAMES[0], "block") for name, content in corpus.items()}
    assert (accepted, [name for name, found in blocked.items() if found == "accepted"]) == ([], [])
    assert not marker.exists()


@pytest.mark.parametrize("container", CONTAINERS)
def test_clean_file_in_the_same_container_is_accepted_and_converted(container: str) -> None:
    content = CONTAINERS[container](table(epoch=builders.number(3)))
    assert get_outcome(content, NAMES[0], "scan") == "accepted"
    assert get_outcome(content, NAMES[0], "convert") == POLICY_REFUSES
    if container != "a deflated torch zip":  # it has no tensors
        assert len(plan_conversion(builders.MemoryReader(content)).left_out.names) == 1


def test_each_function_is_refused_for_its_name(marker: Path) -> None:
    wrong = {}
    for made, content in build_naming_files(marker):
        module = MODULE_NAMES.get(made.module, made.module)
        expected = f"names '{module}.{made.name}', which"
        if not (reason := find_reason(content)).startswith(expected):
            wrong[made.function] = reason
    assert wrong == {}


def test_functions_are_accepted_if_the_allow_list_has_everything(marker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without the list, nothing else of the containers is refused: the list decides.
    monkeypatch.setattr(interpreter, "NAMEABLE", Everything())
    named = [made for made in build_calls(marker) if "." not in made.name]
    reasons = {made.function: find_reason(CONTAINERS["a torch zip"](made.push())) for made in named}
    assert len(named) > 100
    assert {name: reason for name, reason in reasons.items() if reason} == {}


class Everything:
    """A set that has every name."""

    def __contains__(self, name: object) -> bool:
        return True


def find_reason(content: bytes) -> str:
    """Return why the scanner refuses a file; empty if it does not."""
    try:
        scan(Ranges(len(content), lambda start, length: content[start : start + length]))
    except Refused as refused:
        return refused.reason
    return ""


@pytest.mark.extended(
    reason="starts a process for each file; the scanner refuses the same files in this process above, and "
    "test_pickle_scanner.py covers the sandbox"
)
def test_hostile_file_is_refused_in_the_sandbox(corpus: dict[str, bytes], marker: Path) -> None:
    accepted = []
    for index, (name, content) in enumerate(corpus.items()):
        policies: list[PickleRule] = ["scan", "convert"] if index % 10 == 0 else ["scan"]
        outcomes = [get_outcome(content, NAMES[index % len(NAMES)], policy) for policy in policies]
        if not {"accepted", POLICY_REFUSES}.isdisjoint(outcomes):
            accepted.append(name)
    assert accepted == []
    assert not marker.exists()


@pytest.mark.extended(
    reason="starts a process for each file; the scanner refuses the same files in this process above, and "
    "test_conversion.py covers what is converted"
)
def test_hostile_file_is_not_converted(corpus: dict[str, bytes], marker: Path) -> None:
    converted = []
    for name, content in corpus.items():
        try:
            plan_conversion(builders.MemoryReader(content))
        except ConversionRefused:
            continue
        converted.append(name)
    assert converted == []
    assert not marker.exists()
