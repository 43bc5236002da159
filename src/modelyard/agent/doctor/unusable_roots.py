"""Model folders in which nothing can be placed, by their cause: one finding for each cause, not for each folder."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from modelyard.agent.doctor.findings import Finding
from modelyard.comfyui.quoting import quoted
from modelyard.sync.inventory.filesystem import is_read_only
from modelyard.sync.inventory.roots import RootOnDisk

# Most model folders in one finding; the others are counted.
_MAX_KEYS = 5


class Cause(NamedTuple):
    """What several folders may have in common: a device that is mounted read-only, or one folder to act on."""

    kind: Literal["read-only", "missing", "not usable"]
    place: int | Path  # the device, or the folder


@dataclass(frozen=True)
class UnusableRoot:
    """A model folder in which nothing can be placed: its key and path, what an agent says of it, and the cause."""

    key: str
    path: Path
    problem: str
    cause: Cause


def find_cause(root: RootOnDisk) -> Cause:
    """Return why nothing can be placed in a root that has a problem; blocking."""
    missing = [each for each in (root.path, *root.path.parents) if not each.exists()]
    if not root.device:  # an agent does not create it
        return Cause("missing", missing[-1]) if missing else Cause("not usable", root.path)
    existing = missing[-1].parent if missing else root.path
    return Cause("read-only", root.device) if is_read_only(existing) else Cause("not usable", existing)


def describe_cause(cause: Cause, roots: Sequence[UnusableRoot]) -> Finding:
    """Return one finding for all roots with the same cause: a warning if nothing is there yet, else a problem. Pure."""
    explains = frozenset(root.problem for root in roots)
    keys = _list_keys(list(dict.fromkeys(root.key for root in roots)))
    if cause.kind == "read-only":
        folder = Path(os.path.commonpath([root.path for root in roots]))
        sentence = f"{keys}: The file system of {quoted(folder)} is mounted read-only."
        return Finding("problem", "folders", sentence, "Mount it for writing.", explains)
    if cause.kind == "missing" and len(roots) > 1:
        sentence = f"{keys}: The folder {quoted(str(cause.place))} does not exist. Create it, or mount its disk."
        return Finding("warning", "folders", sentence, explains=explains)
    is_there = cause.kind == "not usable" and any(root.path == cause.place for root in roots)
    return Finding("problem" if is_there else "warning", "folders", f"{keys}: {roots[0].problem}", explains=explains)


def _list_keys(keys: Sequence[str]) -> str:
    """Return the first keys, and how many more there are."""
    more = len(keys) - _MAX_KEYS
    return ", ".join(keys[:_MAX_KEYS]) + (f" and {more} more" if more > 0 else "")
