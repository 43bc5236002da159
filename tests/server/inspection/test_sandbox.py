"""Which files are inspected within a request and which in a sandbox; both have the same result, within their limits."""

import os
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelyard.server.inspection import inspector
from modelyard.server.inspection.inspector import VALIDATORS, inspect_file, inspect_within_request
from modelyard.server.inspection.metadata import ModelMetadata
from modelyard.server.inspection.pickles import SCANNER, inspect_pickle
from modelyard.server.inspection.sandbox import (
    DEFAULT_LIMITS,
    WORKER_SLOTS,
    SandboxFailed,
    SandboxLimits,
    run_in_sandbox,
)
from modelyard.wire.problems import NotAModelFile
from tests.server.inspection import builders
from tests.server.inspection.test_pickle_scanner import build_slow_pickle, list_child_processes
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow


def build_large_safetensors(tensors: int, dtype: str = "U8") -> bytes:
    """Build safetensors with about 65 bytes of header for each tensor."""
    entry = {"dtype": dtype, "shape": [0], "data_offsets": [0, 0]}
    return builders.safetensors({f"{number:07}": entry for number in range(tensors)})


def build_large_gguf(texts: int) -> bytes:
    """Build a GGUF file with an array of empty texts."""
    key = b"tokenizer.ggml.tokens"
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", len(key)) + key
    content = head + struct.pack("<IIQ", 9, 8, texts) + bytes(8 * texts)
    return content + bytes(-len(content) % 32)


def build_large_onnx(fields: int) -> bytes:
    """Build an ONNX file with many unknown fields."""
    return b"\x08\x08" + b"\x28\x00" * fields + b"\x3a\x02\x0a\x00"


EXPENSIVE_FILES = {
    "safetensors": ("model.safetensors", build_large_safetensors(20_000)),
    "safetensors of an unknown type": ("model.safetensors", build_large_safetensors(20_000, "U9")),
    "gguf": ("model.gguf", build_large_gguf(20_000)),
    "truncated gguf": ("model.gguf", build_large_gguf(20_000)[:-64]),
    "onnx": ("model.onnx", build_large_onnx(20_000)),
    "broken onnx": ("model.onnx", build_large_onnx(20_000) + b"\x07"),
}


def get_result(inspect: Callable[[], ModelMetadata]) -> object:
    """Return the metadata, or the detail and the facts of the refusal."""
    try:
        return inspect()
    except NotAModelFile as refused:
        return refused.detail, refused.facts


@pytest.mark.parametrize("case", EXPENSIVE_FILES)
def test_inspect_expensive_file_in_sandbox_has_the_same_result_as_the_validator(case: str) -> None:
    name, content = EXPENSIVE_FILES[case]
    validator = VALIDATORS[name.removeprefix("model.")]
    assert inspect_within_request(builders.MemoryReader(content), name, "block") is None
    result = get_result(lambda: inspect_file(builders.MemoryReader(content), name, "block"))
    assert result == get_result(lambda: validator(builders.MemoryReader(content)))


def test_inspect_within_request_pickle_reads_its_beginning_only() -> None:
    reader = builders.MemoryReader(build_slow_pickle(1_000_000))
    assert inspect_within_request(reader, "model.ckpt", "scan") is None
    assert reader.bytes_read < 10_000


def test_inspect_within_request_large_header_returns_none_without_reading_it() -> None:
    reader = builders.MemoryReader(build_large_safetensors(20_000))
    assert inspect_within_request(reader, "model.safetensors", "block") is None
    assert reader.bytes_read < 10_000


@pytest.fixture
def patient_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests wait for a sandbox longer than the two seconds that a busy machine may exceed."""
    monkeypatch.setattr(inspector, "REQUEST_LIMITS", DEFAULT_LIMITS)


@pytest.mark.usefixtures("patient_requests")
def test_inspect_within_request_header_of_300_kb_is_inspected() -> None:
    content = build_large_safetensors(5_000)
    assert 2**18 < len(content) < 2**20
    facts = inspect_within_request(builders.MemoryReader(content), "model.safetensors", "block")
    assert facts is not None
    assert facts.extra["tensor_count"] == 5_000


@pytest.mark.usefixtures("patient_requests")
def test_inspect_within_request_second_large_header_at_the_same_time_returns_none() -> None:
    content, is_reading, may_continue = build_large_safetensors(5_000), threading.Event(), threading.Event()

    class Slow(builders.MemoryReader):
        def read(self, start: int, length: int) -> bytes:
            if length > 10_000:
                is_reading.set()
                assert may_continue.wait(PATIENCE_SECONDS)
            return super().read(start, length)

    thread = threading.Thread(target=lambda: inspect_within_request(Slow(content), "model.safetensors", "block"))
    thread.start()
    assert is_reading.wait(PATIENCE_SECONDS)
    assert inspect_within_request(builders.MemoryReader(content), "model.safetensors", "block") is None
    assert (
        inspect_within_request(builders.MemoryReader(build_large_safetensors(1_000)), "model.safetensors", "block")
        is not None
    )
    may_continue.set()
    thread.join()


class GatedReader(builders.MemoryReader):
    """A reader whose reads for a sandbox wait until ``may_continue`` is set."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.is_reading, self.may_continue = threading.Event(), threading.Event()

    def read(self, start: int, length: int) -> bytes:
        if list_child_processes():
            self.is_reading.set()
            assert self.may_continue.wait(2 * PATIENCE_SECONDS)
        return super().read(start, length)


def count_free_worker_slots() -> int:
    """Return how many inspections could begin now; takes all slots for a moment."""
    with ExitStack() as taken:
        count = 0
        while WORKER_SLOTS.acquire(blocking=False):
            taken.callback(WORKER_SLOTS.release)
            count += 1
    return count


@pytest.mark.parametrize(
    ("name", "content"),
    [("model.ckpt", build_slow_pickle(1)), ("model.safetensors", build_large_safetensors(20_000))],
    ids=["pickle", "large header"],
)
def test_inspect_expensive_file_takes_one_of_the_worker_slots(name: str, content: bytes) -> None:
    """There are as many as processors, at least two: so many files are inspected at once."""
    reader, free = GatedReader(content), count_free_worker_slots()
    thread = threading.Thread(target=lambda: inspect_file(reader, name, "scan"))
    thread.start()
    assert reader.is_reading.wait(PATIENCE_SECONDS)
    free_meanwhile = count_free_worker_slots()
    reader.may_continue.set()
    thread.join()
    assert (free, free_meanwhile, count_free_worker_slots()) == (max(2, os.cpu_count() or 1), free - 1, free)


def test_inspect_pickle_above_processor_time_limit_states_the_limit() -> None:
    with pytest.raises(NotAModelFile, match="more than 1 seconds of processor time"):
        inspect_pickle(builders.MemoryReader(build_slow_pickle(900_000)), "scan", SandboxLimits(cpu_seconds=1))


def test_inspect_pickle_above_wall_time_limit_is_a_failure_of_the_sandbox() -> None:
    """Its processor time is far from used up: the machine is too busy."""
    with pytest.raises(SandboxFailed, match=r"longer than 0\.3 seconds"):
        inspect_pickle(builders.MemoryReader(build_slow_pickle(900_000)), "scan", SandboxLimits(wall_seconds=0.3))


def test_inspect_pickle_when_stopped_ends_its_process() -> None:
    class Stopped(Exception):
        pass

    def raise_if_stopped() -> None:
        raise Stopped

    before = list_child_processes()
    with pytest.raises(Stopped):
        inspect_pickle(builders.MemoryReader(build_slow_pickle(900_000)), "scan", raise_if_stopped=raise_if_stopped)
    assert list_child_processes() == before


PROGRAM = """
import json, os, signal, struct, sys
sys.stdin.buffer.read(8)
{}
message = json.dumps(verdict).encode()
sys.stdout.buffer.write(struct.pack("<cQQ", b"V", 0, len(message)) + message)
"""


def run_program(statements: str) -> dict[str, Any]:
    """Run Python statements in a sandbox; return the ``verdict`` that they set."""
    program = replace(SCANNER, boot=PROGRAM.format(statements))
    return run_in_sandbox(program, builders.MemoryReader(b"x"), SandboxLimits())


def test_run_in_sandbox_process_has_a_low_priority_in_the_session_of_the_server() -> None:
    """Linux compares the niceness of processes of one session only (autogroup)."""
    seen = run_program("verdict = dict(id=os.getpid(), group=os.getpgid(0), session=os.getsid(0), nice=os.nice(0))")
    assert (seen["session"], seen["nice"]) == (os.getsid(0), min(os.nice(0) + 10, 19))
    # The terminal's Ctrl-C goes to the group of the server.
    assert seen["group"] == seen["id"] != os.getpgid(0)


def is_running(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_run_in_sandbox_ends_processes_that_the_program_started() -> None:
    # Without a kill, the child would end after ten minutes.
    seen = run_program(
        "child = os.fork()\nif not child: signal.alarm(600); signal.pause()\nverdict = dict(child=child)"
    )
    wait_until(lambda: not is_running(seen["child"]))
