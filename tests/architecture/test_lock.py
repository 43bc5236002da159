import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.lock import read_requirements
from tools.repository import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def read_pins(lock: Path) -> dict[str, tuple[Requirement, int]]:
    """Return each pinned requirement of a lock file by its name, with the number of its hashes."""
    text = re.sub(r"\\\n\s*", " ", lock.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    pins = {}
    for line in lines:
        requirement = Requirement(line.partition(" --hash=")[0])
        pins[normalise_name(requirement.name)] = requirement, len(HASH.findall(line))
    return pins


def normalise_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def read_versions(lock: Path) -> dict[str, str]:
    """Return the version of each pinned name; fail for a requirement that is not an exact pin."""
    pins = {}
    for name, (requirement, _) in read_pins(lock).items():
        (specifier,) = requirement.specifier
        assert specifier.operator == "=="
        pins[name] = specifier.version
    return pins


def test_lock_files_match_requirement_groups() -> None:
    assert [lock.stem for lock in LOCKS] == sorted(read_requirements())


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_file_has_hashes_for_every_pin(lock: Path) -> None:
    assert [name for name, (_, hashes) in read_pins(lock).items() if hashes == 0] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_file_names_no_url_and_no_index(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    assert re.findall(r"^\s*-.*(?:index|find-links|host).*", text, re.MULTILINE) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_file_satisfies_pyproject_requirements(lock: Path) -> None:
    pinned = read_versions(lock)
    requirements = [Requirement(line) for line in read_requirements()[lock.stem] if not line.startswith("-")]
    unsatisfied = [
        requirement
        for requirement in requirements
        if not requirement.specifier.contains(pinned.get(normalise_name(requirement.name), "0"), prereleases=True)
    ]
    absent = [requirement for requirement in requirements if normalise_name(requirement.name) not in pinned]
    assert [str(requirement) for requirement in unsatisfied + absent] == []


def test_dev_lock_contains_server_and_build_pins() -> None:
    pinned = {lock.stem: read_versions(lock) for lock in LOCKS}
    assert pinned["server"].items() <= pinned["dev"].items()
    assert pinned["build"].items() <= pinned["dev"].items()


def test_build_lock_contains_build_backend() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    backend = {normalise_name(Requirement(line).name) for line in project["build-system"]["requires"]}
    assert backend <= read_pins(ROOT / "requirements" / "build.txt").keys()
