import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.lock import wanted
from tools.repository import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def pins(lock: Path) -> dict[str, tuple[Requirement, int]]:
    """Each pinned requirement by its name, with how many hashes it has."""
    text = re.sub(r"\\\n\s*", " ", lock.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    found = {}
    for line in lines:
        requirement = Requirement(line.partition(" --hash=")[0])
        found[canonical(requirement.name)] = requirement, len(HASH.findall(line))
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def versions(lock: Path) -> dict[str, str]:
    """The version of each pinned name; a requirement that allows more than one is no pin."""
    found = {}
    for name, (requirement, _) in pins(lock).items():
        (specifier,) = requirement.specifier
        assert specifier.operator == "=="
        found[name] = specifier.version
    return found


def test_there_is_a_lock_for_everything_that_is_installed() -> None:
    assert [lock.stem for lock in LOCKS] == sorted(wanted())


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_pin_has_hashes(lock: Path) -> None:
    assert [name for name, (_, hashes) in pins(lock).items() if hashes == 0] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_no_place_to_download_from(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    assert re.findall(r"^\s*-.*(?:index|find-links|host).*", text, re.MULTILINE) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_holds_what_pyproject_asks_for(lock: Path) -> None:
    pinned = versions(lock)
    asked = [Requirement(line) for line in wanted()[lock.stem] if not line.startswith("-")]
    unmet = [one for one in asked if not one.specifier.contains(pinned.get(canonical(one.name), "0"), prereleases=True)]
    absent = [one for one in asked if canonical(one.name) not in pinned]
    assert [str(one) for one in unmet + absent] == []


def test_what_is_tested_is_what_is_installed() -> None:
    pinned = {lock.stem: versions(lock) for lock in LOCKS}
    assert pinned["server"].items() <= pinned["dev"].items()
    assert pinned["build"].items() <= pinned["dev"].items()


def test_the_build_backend_is_locked_with_the_rest() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    backend = {canonical(Requirement(line).name) for line in project["build-system"]["requires"]}
    assert backend <= pins(ROOT / "requirements" / "build.txt").keys()
