"""The pickle scanner in its sandbox: resource limits, isolation, and invalid output."""

import ast
import struct
import sys
import threading
import time
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelyard.server.inspection import pickle_scanner, pickles, sandbox
from modelyard.server.inspection.pickles import SCANNER, inspect_pickle
from modelyard.server.inspection.sandbox import SandboxFailed, SandboxLimits, run_in_sandbox
from modelyard.wire.problems import NotAModelFile
from tests.server.inspection import builders

pytestmark = pytest.mark.slow

MEBIBYTE = 2**20
SMALL_MEMORY = 40 * MEBIBYTE


def get_refusal(content: bytes, limits: SandboxLimits) -> str:
    """Inspect a pickle that must be refused; return the fact ``found``."""
    with pytest.raises(NotAModelFile) as refused:
        inspect_pickle(builders.MemoryReader(content), "scan", limits)
    return str(refused.value.facts["found"])


def build_slow_pickle(calls: int) -> bytes:
    """Build a pickle that takes long to interpret: it creates one dictionary after the other."""
    return builders.build_tensorless_checkpoint(
        b"](" + builders.call(builders.named("collections", "OrderedDict")) * calls + b"e"
    )


def build_memory_bomb(opcodes: int) -> bytes:
    """Build a pickle that keeps all values it creates: a list of many lists."""
    return builders.build_tensorless_checkpoint(b"](" + b"]" * opcodes + b"e")


def test_inspect_pickle_of_tensors_needs_less_than_40_mib() -> None:
    facts = inspect_pickle(
        builders.MemoryReader(builders.build_checkpoint()), "scan", SandboxLimits(memory=SMALL_MEMORY)
    )
    assert facts.extra["pickle_scan"] == "clean"


def test_inspect_pickle_that_exceeds_the_memory_limit_is_refused() -> None:
    # About 30 MB of empty lists: accepted with a higher limit.
    bomb = build_memory_bomb(400_000)
    assert get_refusal(bomb, SandboxLimits(memory=SMALL_MEMORY)) == "oversized pickle"
    assert inspect_pickle(builders.MemoryReader(bomb), "scan").extra["pickle_scan"] == "clean"


def test_inspect_pickle_memory_bomb_does_not_grow_the_server_process() -> None:
    bomb = build_memory_bomb(400_000)
    # The bomb itself is in memory already, and interpreted it would take 30 MB.
    tracemalloc.start()
    get_refusal(bomb, SandboxLimits(memory=SMALL_MEMORY))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MEBIBYTE


def test_inspect_pickle_that_exceeds_the_processor_time_is_refused() -> None:
    # It needs about 3 seconds of processor time, and the wall time is far from exceeded.
    assert get_refusal(build_slow_pickle(480_000), SandboxLimits(cpu_seconds=1, wall_seconds=250)) == "oversized pickle"


def test_inspect_pickle_does_not_count_the_time_of_store_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    skipped = [0.0]
    monkeypatch.setattr(sandbox, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + skipped[0]))

    class Slow(builders.MemoryReader):
        def read(self, start: int, length: int) -> bytes:
            skipped[0] += 2 * SandboxLimits().wall_seconds
            return super().read(start, length)

    inspect_pickle(Slow(builders.build_checkpoint()), "scan")
    assert skipped[0] > 0


def test_inspect_zip_bomb_is_refused_by_its_declared_sizes() -> None:
    bomb = builders.ZipEntry("a/data.pkl", builders.build_pickle(b"}"), method=8, size=80 * MEBIBYTE)
    assert get_refusal(builders.build_zip(bomb), SandboxLimits()) == "zip bomb"
    many = [builders.ZipEntry(f"a/data/{n}", b"x", method=8, size=8 * MEBIBYTE) for n in range(10)]
    assert get_refusal(builders.build_zip(*many), SandboxLimits()) == "zip bomb"


def test_inspect_small_zip_with_millions_of_opcodes_is_refused_before_it_is_unpacked() -> None:
    bomb = builders.ZipEntry("a/data.pkl", builders.build_pickle(b"](" + b")" * 4_900_000 + b"e"), method=8)
    content = builders.build_zip(bomb, builders.ZipEntry("a/version", b"3"))
    assert len(content) < 10_000
    assert get_refusal(content, SandboxLimits(memory=SMALL_MEMORY)) == "zip bomb"


def test_inspect_zip_member_larger_than_declared_is_refused() -> None:
    longer = builders.ZipEntry("a/data.pkl", builders.build_pickle(b"}") + bytes(60 * MEBIBYTE), method=8, size=4)
    content = builders.build_zip(longer, builders.ZipEntry("a/version", b"3"))
    assert get_refusal(content, SandboxLimits(memory=SMALL_MEMORY)) == "ambiguous zip"


def test_inspect_pickle_store_error_passes_through_and_ends_the_sandbox() -> None:
    class Failing(builders.MemoryReader):
        def read(self, start: int, length: int) -> bytes:
            raise ConnectionResetError

    before = list_child_processes()
    with pytest.raises(ConnectionResetError):
        inspect_pickle(Failing(builders.build_checkpoint()), "scan")
    assert list_child_processes() == before


def test_inspect_pickle_leaves_no_process_running(tmp_path: Path) -> None:
    before = list_child_processes()
    for content in (
        builders.build_checkpoint(),
        build_slow_pickle(480_000),
        builders.build_tensorless_checkpoint(b"R"),
    ):
        with suppress(NotAModelFile, SandboxFailed):
            inspect_pickle(builders.MemoryReader(content), "scan", SandboxLimits(wall_seconds=0.2))
    assert list_child_processes() == before


def list_child_processes() -> set[str]:
    """Return the ids of this thread's child processes, zombies included."""
    return set(Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split())


REPORT_ENVIRONMENT = """
import json, os, socket, struct, sys
sys.path.append(sys.argv[1])
from pickle_scanner.program import _set_limits
_set_limits(int(sys.argv[2]), int(sys.argv[3]))
def may(attempt):
    try:
        attempt()
    except (OSError, ImportError):
        return False
    return True
verdict = json.dumps({
    "environment": sorted(os.environ), "packages": [path for path in sys.path if "site-packages" in path],
    "opens": may(lambda: open("/dev/null")), "connects": may(socket.socket), "folder": os.getcwd(),
    "leads": os.getpgid(0) == os.getpid(),
}).encode()
sys.stdin.buffer.read(8)
sys.stdout.buffer.write(struct.pack("<cQQ", b"V", 0, len(verdict)) + verdict)
"""


def test_sandbox_has_no_environment_packages_files_or_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_CANARY", "a test value")
    verdict = run_in_sandbox(replace(SCANNER, boot=REPORT_ENVIRONMENT), builders.MemoryReader(b"x"), SandboxLimits())
    # Python itself may set its locale when there is none.
    assert set(verdict.pop("environment")) <= {"LC_CTYPE"}
    assert verdict == {"packages": [], "opens": False, "connects": False, "folder": "/", "leads": True}


def test_pickle_scanner_imports_itself_and_the_standard_library_only() -> None:
    assert pickle_scanner.__file__ is not None
    for path in Path(pickle_scanner.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert {name.name.partition(".")[0] for name in node.names} <= sys.stdlib_module_names
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert str(node.module).partition(".")[0] in sys.stdlib_module_names
            assert not (
                isinstance(node, ast.Attribute) and node.attr in {"Unpickler", "loads"} and path.name != "program.py"
            )


class StrictReader(builders.MemoryReader):
    """A reader that fails the test if a range outside of the file is requested."""

    def read(self, start: int, length: int) -> bytes:
        assert 0 <= start <= start + length <= self.size
        return super().read(start, length)


def test_run_in_sandbox_whose_program_ends_without_a_verdict_raises_sandbox_failed() -> None:
    for boot in ("raise SystemExit(1)", "import sys; sys.stdin.buffer.read(8); sys.stdout.buffer.write(b'x')"):
        with pytest.raises(SandboxFailed):
            run_in_sandbox(
                replace(SCANNER, boot=boot), builders.MemoryReader(builders.build_checkpoint()), SandboxLimits()
            )


def test_inspect_pickle_with_invalid_sandbox_output_raises_sandbox_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    for verdict in (
        struct.pack("<cQQ", b"R", 0, 2**40),
        struct.pack("<cQQ", b"R", 2**63, 16),
        struct.pack("<cQQ", b"V", 0, 2) + b"no",
        struct.pack("<cQQ", b"V", 0, 4) + b"true",
        struct.pack("<cQQ", b"V", 0, 2) + b"{}",
        struct.pack("<cQQ", b"V", 0, 11) + b'{"clean":1}',
    ):
        boot = f"import sys; sys.stdin.buffer.read(8); sys.stdout.buffer.write({verdict!r})"
        monkeypatch.setattr(pickles, "SCANNER", replace(SCANNER, boot=boot))
        reader = StrictReader(builders.build_checkpoint())
        with pytest.raises(SandboxFailed):
            inspect_pickle(reader, "scan")


@pytest.mark.parametrize(
    "facts",
    [
        '"names": 1',
        '"dtypes": [1]',
        '"dtypes": {"F16": null}',
        '"elements": {}',
        '"elements": "x"',
        '"elements": 1e999',
    ],
)
def test_inspect_pickle_with_malformed_clean_verdict_raises_sandbox_failed(
    monkeypatch: pytest.MonkeyPatch, facts: str
) -> None:
    verdict = f'{{"clean": true, {facts}}}'.encode()
    message = struct.pack("<cQQ", b"V", 0, len(verdict)) + verdict
    boot = f"import sys; sys.stdin.buffer.read(8); sys.stdout.buffer.write({message!r})"
    monkeypatch.setattr(pickles, "SCANNER", replace(SCANNER, boot=boot))
    with pytest.raises(SandboxFailed):
        inspect_pickle(StrictReader(builders.build_checkpoint()), "scan")
