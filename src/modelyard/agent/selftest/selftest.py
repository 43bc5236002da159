"""Run the tests in a temporary folder inside a models folder, and remove it. Blocking.

They use the functions with which the agent places models, so they show what this machine does, on this disk.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from modelyard.agent.doctor.findings import Finding
from modelyard.agent.roots import FoundRoots, RootFinder, RootsNotFound
from modelyard.agent.selftest import files, names
from modelyard.agent.selftest.listing import check_listing
from modelyard.agent.selftest.locks import check_locks
from modelyard.agent.settings import AgentSettings
from modelyard.comfyui.layout import Install
from modelyard.comfyui.quoting import quoted
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.inventory.filesystem import inspect_root

_FOLDER_PREFIX = ".modelyard-selftest-"

# In the order of the report.
_CHECKS: Mapping[str, Callable[[Path], Iterable[Finding]]] = {
    "locks": check_locks,
    "rename": files.check_rename,
    "exchange": files.check_exchange,
    "open files": files.check_open_file,
    "times": files.check_time,
    "links": files.check_link,
    "long paths": names.check_long_path,
    "case": names.check_case,
    "space": names.check_disk_space,
}


@dataclass(frozen=True)
class SelftestReport:
    """The folder in which the tests ran, and what they found."""

    folder: Path
    findings: tuple[Finding, ...]


def run_selftest(settings: AgentSettings, environment: Mapping[str, str], folder: Path | None) -> SelftestReport:
    """Run all tests in ``folder``, by default in a models folder of the settings, and return what they found.

    Raises:
        RootsNotFound: ``folder`` does not exist; or it is None, and no models folder can be used.
        OSError: nothing can be created in the folder, or the temporary folder cannot be removed.
    """
    if folder is not None and not folder.is_dir():
        raise RootsNotFound(f"There is no folder {quoted(folder)}. Create it, or name another.")
    roots = _find_roots(settings, environment, is_required=folder is None)
    parent = Path(folder or _choose_folder(roots)).absolute()
    with _make_test_folder(parent) as test_folder:
        findings = [each for subject, check in _CHECKS.items() for each in _run_check(subject, check, test_folder)]
        findings += check_listing(roots, test_folder)
    return SelftestReport(parent, tuple(findings))


def _find_roots(settings: AgentSettings, environment: Mapping[str, str], *, is_required: bool) -> FoundRoots:
    """Return the model folders of the settings; none if they are not ``is_required`` and cannot be found."""
    try:
        return RootFinder(settings, environment).find()
    except RootsNotFound:
        if is_required:
            raise
        return FoundRoots()


def _choose_folder(roots: FoundRoots) -> Path:
    """Return the first folder of a running ComfyUI, else of any, in which files can be placed.

    Raises:
        RootsNotFound: there is none.
    """
    for install in (*(install for _, install in roots.running), *roots.installs):
        if (folder := _find_writable_folder(install)) is not None:
            return folder
    raise RootsNotFound("None of the models folders exists and is writable. Name another: --folder DIR")


def _find_writable_folder(install: Install) -> Path | None:
    """Return the first root of an install that exists and is writable, else its models folder; None without both."""
    for root in install.roots:
        if root.path.is_dir() and inspect_root(root, install).problem is None:
            return root.path
    return install.models


@contextmanager
def _make_test_folder(parent: Path) -> Iterator[Path]:
    """Make a folder with a new name for the block, and remove it with all that is in it, also after Ctrl-C."""
    folder = parent.resolve() / f"{_FOLDER_PREFIX}{uuid4().hex}"
    try:
        folder.mkdir()
        yield folder
    finally:
        if folder.exists():
            shutil.rmtree(folder)


def _run_check(subject: str, check: Callable[[Path], Iterable[Finding]], folder: Path) -> list[Finding]:
    """Run one test in a new folder of its own; one that fails for an unexpected reason becomes a problem."""
    own = folder / subject.replace(" ", "-")
    try:
        own.mkdir()
        return list(check(own))
    except (OSError, NotPlaced) as failure:
        return [Finding("problem", subject, f"The test in {quoted(folder.parent)} failed: {failure}.")]
