"""Pickle files with random changes: the scanner refuses them or not, and never fails itself."""

import random
from contextlib import suppress

import pytest

from modelyard.server.inspection.pickle_scanner.containers import scan
from modelyard.server.inspection.pickle_scanner.conversion import list_tensors
from modelyard.server.inspection.pickle_scanner.imports import list_imports
from modelyard.server.inspection.pickle_scanner.ranges import Ranges, Refused
from tests.server.inspection import builders
from tests.server.inspection.pickle_corpus import INVALID_TENSORS, INVALID_VALUES, VALID_VALUES

CHANGED_FILES = 3_000
VALUES = [*VALID_VALUES.values(), *INVALID_VALUES.values(), *INVALID_TENSORS.values()]
FILES = [builders.build_checkpoint(), builders.build_legacy_checkpoint()]


def change(content: bytes, rng: random.Random) -> bytes:
    """Return the content with up to three bytes replaced, runs removed, added or repeated, or its end removed."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(changed) + 1)
        length = rng.randint(0, 20)
        added = rng.choice([b"", rng.randbytes(rng.randint(1, 4)), bytes(changed[start : start + length]) * 2])
        changed[start : start + length] = added
    return bytes(changed)


def build_changed_file(rng: random.Random) -> bytes:
    """Return a file with changes, or a file with an intact container whose pickled value has changes."""
    if rng.random() < 0.3:
        return change(rng.choice(FILES), rng)
    value = change(rng.choice(VALUES), rng)
    return builders.build_checkpoint(value) if rng.random() < 0.5 else builders.build_legacy_checkpoint(value)


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
def test_scan_of_randomly_changed_pickle_raises_no_other_error_than_refusals() -> None:
    rng, clean = random.Random(20261130), 0
    for _ in range(CHANGED_FILES):
        content = build_changed_file(rng)
        ranges = Ranges(len(content), builders.MemoryReader(content).read)
        with suppress(Refused):
            list_tensors(scan(ranges), [])
            clean += 1
        list_imports(ranges)
    assert 20 < clean < CHANGED_FILES / 2
