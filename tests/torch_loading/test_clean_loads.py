"""Torch loads every file that the scanner accepts: without an error, a crash, or a read outside of the data.

torch never runs in the process of the tests: ``make torch`` installs it in an environment of its own, and programs of
this folder write and load the files there. ``TORCH_PYTHON`` is the Python of another environment with torch.
"""

import os
import pickletools
import random
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from modelyard.server.inspection.pickle_scanner.allowed import UNSUPPORTED
from modelyard.server.inspection.pickle_scanner.calls import NAMEABLE
from tests.server.inspection import builders
from tests.server.inspection.pickle_corpus import (
    INVALID_NUMPY,
    INVALID_TENSORS,
    INVALID_VALUES,
    UNUSABLE_TENSORS,
    VALID_VALUES,
)
from tests.server.inspection.pickle_parts import checkpoint
from tests.server.inspection.test_pickles import CLEAN_FILES
from tools.repository import ROOT

TORCH = Path(os.environ.get("TORCH_PYTHON", ROOT / ".venv-torch" / "bin" / "python"))
PROGRAMS = Path(__file__).parent
TIMEOUT_SECONDS = 240
MAX_CHANGED_SIZE = 40_000

# Everything that torch.save writes and torch loads, but the registry refuses. Decision 0020 says why.
REFUSED_THOUGH_LOADABLE = {
    "sparse": "unsupported value",
    "meta": "unsupported value",
    "nested": "unsupported value",
    "no-checksums": "ambiguous zip",
}
# Files that torch.load(weights_only=True) itself refuses, with ComfyUI's additions to its list.
NOT_LOADABLE = {
    "numpy-array": "unsupported value",
    "numpy-int64": "unsupported value",
    "whole-module": "unsafe pickle",
    "float8-gradients": "unsupported value",
    "protocol-4": "unusual pickle",
    "plain-pickle": "plain pickle",
}

# From comfy/utils.py; each version of NumPy has one of the scalar's names.
ADDED_BY_COMFYUI = {
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
}


def run_program(program: str, *arguments: str, stdin: str = "") -> str:
    """Run a program of this folder in the environment with torch; return its output."""
    command = [str(TORCH), str(PROGRAMS / program), *arguments]
    process = subprocess.run(command, check=False, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0 or process.stdout, process.stderr
    return process.stdout


def load_in_torch(files: list[Path]) -> dict[str, str]:
    """Load files in torch; return "ok", the error, or "crash" by file name. A new process goes on after a crash."""
    names = [file.name for file in files]
    results: list[str] = []
    while len(results) < len(files):
        paths = "".join(f"{file}\n" for file in files[len(results) :])
        _version, *loaded = run_program("load_checkpoints.py", stdin=paths).splitlines()
        results += [*loaded, "crash"]
    return dict(zip(names, results, strict=False))


def select_errors(results: dict[str, str]) -> dict[str, str]:
    """Return the results that are not "ok"."""
    return {name: result for name, result in results.items() if result != "ok"}


def write_files(folder: Path, contents: Iterable[bytes]) -> list[Path]:
    """Write contents to numbered files; return their paths in order."""
    files = []
    for number, content in enumerate(contents):
        files.append(folder / f"{number}.pt")
        files[-1].write_bytes(content)
    return files


@pytest.fixture(scope="module")
def saved_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files in many forms that torch saved."""
    folder = tmp_path_factory.mktemp("saved")
    run_program("save_checkpoints.py", str(folder))
    return sorted(folder.iterdir())


def test_scan_files_saved_by_torch_refuses_only_the_listed_ones(saved_files: list[Path]) -> None:
    outcomes = {file.name: builders.get_scan_outcome(file.read_bytes()) for file in saved_files}
    expected = REFUSED_THOUGH_LOADABLE | NOT_LOADABLE
    assert outcomes == {name: expected.get(name.partition(".")[0], "accepted") for name in outcomes}
    assert len(outcomes) > 35


def test_torch_loads_saved_files_that_the_scanner_accepts(saved_files: list[Path]) -> None:
    clean = [file for file in saved_files if builders.get_scan_outcome(file.read_bytes()) == "accepted"]
    assert select_errors(load_in_torch(clean)) == {}


def test_torch_refuses_files_that_are_listed_as_not_loadable(saved_files: list[Path]) -> None:
    results = load_in_torch([file for file in saved_files if file.name.partition(".")[0] in NOT_LOADABLE])
    assert "ok" not in results.values()


def test_torch_loads_valid_files_of_the_corpus(tmp_path: Path) -> None:
    cases = {**CLEAN_FILES, **{case: checkpoint(value) for case, value in VALID_VALUES.items()}}
    results = load_in_torch(write_files(tmp_path, cases.values()))
    assert select_errors(dict(zip(cases, results.values(), strict=True))) == {}


def test_torch_loads_randomly_changed_corpus_files_that_the_scanner_accepts(tmp_path: Path) -> None:
    changed_files = [
        changed_file
        for changed_file in generate_changed_files(random.Random(20), 20_000)
        if builders.get_scan_outcome(changed_file) == "accepted"
    ]
    assert len(changed_files) > 500
    files = write_files(tmp_path, changed_files)
    failures = select_errors(load_in_torch(files))
    assert {name: (failures[name], (tmp_path / name).read_bytes()[:400]) for name in list(failures)[:3]} == {}


def test_torch_loads_saved_files_with_changed_bytes_that_the_scanner_accepts(
    tmp_path: Path, saved_files: list[Path]
) -> None:
    """Zip headers are changed too, which torch reads with a library of its own."""
    rng = random.Random(20)
    contents = [content for content in map(Path.read_bytes, saved_files) if len(content) < MAX_CHANGED_SIZE]
    changed_files = [change_byte(rng, rng.choice(contents), b"") for _ in range(5000)]
    clean = [changed_file for changed_file in changed_files if builders.get_scan_outcome(changed_file) == "accepted"]
    assert len(clean) > 500
    assert select_errors(load_in_torch(write_files(tmp_path, clean))) == {}


def generate_changed_files(rng: random.Random, count: int) -> Iterator[bytes]:
    """Yield files of corpus values, valid and invalid, with opcodes replaced, repeated, removed and changed."""
    invalid = (INVALID_NUMPY, INVALID_TENSORS, UNUSABLE_TENSORS, INVALID_VALUES)
    values = [*VALID_VALUES.values(), *(value for part in invalid for value in part.values())]
    for _ in range(count):
        value = rng.choice(values[: len(VALID_VALUES)] if rng.random() < 0.7 else values)
        for _ in range(rng.choice((1, 1, 2, 3))):
            value = rng.choice(CHANGES)(rng, value, rng.choice(values))
        yield build_file(rng, value)


def build_file(rng: random.Random, value: bytes) -> bytes:
    """Build a torch zip of the value, or in one of ten cases a file of the old format."""
    if rng.random() < 0.1:
        value = value.replace(b"tQ", b"NtQ").replace(builders.text("0"), builders.text("94"))
        return builders.build_legacy_checkpoint(b"](" + value + builders.tensor("94", 4, legacy=True) + b"e")
    return checkpoint(value)


def split_opcodes(value: bytes) -> list[bytes]:
    """Split a value into its opcodes; a value that is not a pickle is one piece."""
    positions = []
    try:
        positions = [position or 0 for _, _, position in pickletools.genops(value + b".")]
    except ValueError:
        positions = [0]
    return [value[start:end] for start, end in zip(positions, [*positions[1:], len(value)], strict=True)]


def replace_opcode(rng: random.Random, value: bytes, other: bytes) -> bytes:
    """Replace one opcode by one of another value."""
    opcodes, other_opcodes = split_opcodes(value), split_opcodes(other)
    opcodes[rng.randrange(len(opcodes))] = rng.choice(other_opcodes)
    return b"".join(opcodes)


def replace_number(rng: random.Random, value: bytes, _other: bytes) -> bytes:
    """Replace one integer by a boundary value."""
    opcodes = split_opcodes(value)
    positions = [position for position, piece in enumerate(opcodes) if piece[:1] in b"JKM\x8a" and piece]
    if positions:
        opcodes[rng.choice(positions)] = rng.choice(NUMBERS)
    return b"".join(opcodes)


def change_byte(rng: random.Random, value: bytes, _other: bytes) -> bytes:
    """Replace one byte."""
    position = rng.randrange(len(value) + 1)
    return value[:position] + bytes([rng.choice((0, 1, 2, 4, 255, rng.randrange(256)))]) + value[position + 1 :]


def insert_opcode(rng: random.Random, value: bytes, _other: bytes) -> bytes:
    """Insert an opcode at a random byte."""
    position = rng.randrange(len(value) + 1)
    return value[:position] + rng.choice(PIECES) + value[position:]


def remove_bytes(rng: random.Random, value: bytes, _other: bytes) -> bytes:
    """Remove up to eleven bytes."""
    position = rng.randrange(len(value) + 1)
    return value[:position] + value[position + rng.randrange(1, 12) :]


def combine_in_list(_chance: random.Random, value: bytes, other: bytes) -> bytes:
    """Put both values into a list."""
    return b"](" + value + other + b"e"


CHANGES: list[Callable[[random.Random, bytes, bytes], bytes]] = [
    replace_opcode,
    replace_number,
    change_byte,
    insert_opcode,
    remove_bytes,
    combine_in_list,
]
PIECES = [
    b"N",
    b"\x88",
    b"\x89",
    b")",
    b"]",
    b"}",
    b"K\x00",
    b"K\x02",
    b"J\xff\xff\xff\xff",
    b"\x85",
    b"\x86",
    b"q\x00",
]


def test_scanner_allow_list_has_only_names_of_torch_and_those_added_by_comfyui() -> None:
    assert NAMEABLE - set(run_program("list_globals.py").split()) == ADDED_BY_COMFYUI


def test_scanner_knows_every_rebuild_function_of_torch() -> None:
    rebuilders = {name for name in run_program("list_globals.py").split() if "._rebuild" in name}
    assert rebuilders - NAMEABLE - UNSUPPORTED.keys() == set()


NUMBERS = [
    b"K\x00",
    b"K\x01",
    b"K\x02",
    b"K\x03",
    b"K\x08",
    b"J\xff\xff\xff\xff",
    b"J\xff\xff\xff\x7f",
    b"\x8a\x08" + b"\xff" * 7 + b"\x7f",
]
