import ast
import resource
import struct
import sys
import threading
import time
from pathlib import Path

import pytest

from modelyard.server.models.content import cage, pickles
from modelyard.server.models.content.pickles import CageLimits, examine_pickle
from modelyard.wire.problems import NotAModelFile
from tests.server.models.content import building as b

MEBIBYTE = 2**20
SMALL = 40 * MEBIBYTE


def found(content: bytes, limits: CageLimits) -> str:
    with pytest.raises(NotAModelFile) as refused:
        examine_pickle(b.InMemory(content), "scan", limits)
    return str(refused.value.facts["found"])


def spinner(opcodes: int) -> bytes:
    """A pickle that is long to follow: it makes and drops empty tuples."""
    return b.pickled(b"}" + b")0" * opcodes)


def hoarder(opcodes: int) -> bytes:
    """A pickle that keeps all it makes: a list of lists without end."""
    return b.pickled(b"](" + b"]" * opcodes + b"e")


def test_a_file_of_tensors_fits_into_a_small_cage() -> None:
    facts = examine_pickle(b.InMemory(b.checkpoint()), "scan", CageLimits(SMALL, 2, 10))
    assert facts.extra["pickle_scan"] == "clean"


def test_memory_is_limited() -> None:
    # Some 30 MB of empty lists at the end, if nothing stopped it: then it is clean.
    bomb = hoarder(400_000)
    assert found(bomb, CageLimits(memory=SMALL)) == "oversized pickle"
    assert examine_pickle(b.InMemory(bomb), "scan").extra["pickle_scan"] == "clean"


def test_the_server_s_own_memory_does_not_grow_with_a_bomb() -> None:
    bomb = hoarder(400_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found(bomb, CageLimits(memory=SMALL))
    # In KiB on Linux; the bomb itself and one range of it are here already.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024


def test_processor_time_is_limited() -> None:
    began = time.monotonic()
    # The other limit is far away.
    assert found(spinner(3_000_000), CageLimits(cpu_seconds=1, wall_seconds=250)) == "oversized pickle"
    assert time.monotonic() - began < 8


def test_time_is_limited() -> None:
    began = time.monotonic()
    assert found(spinner(2_000_000), CageLimits(wall_seconds=0.3)) == "oversized pickle"
    assert time.monotonic() - began < 3


def test_a_slow_store_is_not_the_files_fault() -> None:
    seconds = [3.0]

    class Slow(b.InMemory):
        def read(self, start: int, length: int) -> bytes:
            time.sleep(seconds.pop() if seconds else 0)
            return super().read(start, length)

    examine_pickle(Slow(b.checkpoint()), "scan", CageLimits(wall_seconds=2.5))


def test_zip_bombs_are_refused_before_they_are_unpacked() -> None:
    bomb = b.Entry("a/data.pkl", b.pickled(b"}"), method=8, size=80 * MEBIBYTE)
    assert found(b.zipped(bomb), CageLimits()) == "zip bomb"
    many = [b.Entry(f"a/data/{n}", b"x", method=8, size=8 * MEBIBYTE) for n in range(10)]
    assert found(b.zipped(*many), CageLimits()) == "zip bomb"


def test_a_member_that_unpacks_to_more_than_it_says_is_refused() -> None:
    content = b.zipped(b.Entry("a/data.pkl", b.pickled(b"}") + bytes(60 * MEBIBYTE), method=8, size=4))
    assert found(content, CageLimits(memory=SMALL)) == "ambiguous zip"


def test_a_store_s_error_passes_through_and_ends_the_cage() -> None:
    class Failing(b.InMemory):
        def read(self, start: int, length: int) -> bytes:
            raise ConnectionResetError

    before = children()
    with pytest.raises(ConnectionResetError):
        examine_pickle(Failing(b.checkpoint()), "scan")
    assert children() == before


def test_nothing_is_left_running(tmp_path: Path) -> None:
    before = children()
    for content in (b.checkpoint(), spinner(1_000_000), b.bare_checkpoint(b"R")):
        try:
            examine_pickle(b.InMemory(content), "scan", CageLimits(wall_seconds=0.2))
        except NotAModelFile:
            continue
    assert children() == before


def children() -> set[str]:
    """Our child processes, dead ones that nobody waited for included."""
    return set(Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split())


WITNESS = """
import json, os, struct, sys
sys.path.append(sys.argv[1])
from cage.program import _limit
_limit(int(sys.argv[2]), int(sys.argv[3]))
def may(attempt):
    try:
        attempt()
    except (OSError, ImportError):
        return False
    return True
def connect():
    import socket
    socket.socket()
said = json.dumps({
    "environment": sorted(os.environ), "packages": [path for path in sys.path if "site-packages" in path],
    "opens": may(lambda: open("/dev/null")), "connects": may(connect), "folder": os.getcwd(),
    "leads": os.getpgid(0) == os.getpid(),
}).encode()
sys.stdin.buffer.read(8)
sys.stdout.buffer.write(struct.pack("<cQQ", b"V", 0, len(said)) + said)
"""


def test_a_cage_has_no_environment_no_packages_no_files_and_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_CANARY", "made up for this test")
    monkeypatch.setattr(pickles, "_PYTHON", (*pickles._PYTHON[:-1], WITNESS))
    said = pickles._scan(b.InMemory(b"x"), CageLimits())
    # Python itself may set its locale when there is none.
    assert set(said.pop("environment")) <= {"LC_CTYPE"}
    assert said == {"packages": [], "opens": False, "connects": False, "folder": "/", "leads": True}


def test_the_cage_imports_itself_and_the_standard_library_only() -> None:
    assert cage.__file__ is not None
    for path in Path(cage.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert {name.name.partition(".")[0] for name in node.names} <= sys.stdlib_module_names
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert str(node.module).partition(".")[0] in sys.stdlib_module_names
            assert not (
                isinstance(node, ast.Attribute) and node.attr in {"Unpickler", "loads"} and path.name != "program.py"
            )


class Strict(b.InMemory):
    """A store that is never asked for what the file does not have."""

    def read(self, start: int, length: int) -> bytes:
        assert 0 <= start <= start + length <= self.size
        return super().read(start, length)


def test_a_cage_that_talks_nonsense_refuses_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for said in (
        b"",
        b"x",
        struct.pack("<cQQ", b"R", 0, 2**40),
        struct.pack("<cQQ", b"R", 2**63, 16),
        struct.pack("<cQQ", b"V", 0, 2**40),
        struct.pack("<cQQ", b"V", 0, 2) + b"no",
        struct.pack("<cQQ", b"V", 0, 4) + b"true",
        struct.pack("<cQQ", b"V", 0, 2) + b"{}",
        struct.pack("<cQQ", b"V", 0, 11) + b'{"clean":1}',
    ):
        boot = f"import sys; sys.stdin.buffer.read(8); sys.stdout.buffer.write({said!r})"
        monkeypatch.setattr(pickles, "_PYTHON", (*pickles._PYTHON[:-1], boot))
        reader = Strict(b.checkpoint())
        with pytest.raises(NotAModelFile):
            examine_pickle(reader, "scan", CageLimits(wall_seconds=5))
