"""A machine whose registry was taken over: it gets no byte outside its folders, and loses none of its own."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.box import Box, until
from tests.agent.rogue import RogueRegistry, entry, hostile_manifests, manifest

REPOSITORY = Path(__file__).parents[2]
MANIFESTS = 300
PLACED = {f"loras/good{number}.pt": f"good {number}".encode() * 100 for number in range(12)}

# Looks as often as the registry has answers, and says how many looks ended in words instead.
PROGRAM = """
import logging, sys
from pathlib import Path
from tests.agent.box import Box
from modelyard.transfer.failures import TransferFailed
from modelyard.wire.problems import Problem

logging.basicConfig(level="ERROR")
folder, url, count = sys.argv[1:]
box, failed = Box(Path(folder), url, "ak-x", "render-07"), 0
for _ in range(int(count)):
    try:
        box.once()
    except (Problem, TransferFailed):
        failed += 1
print(failed)
"""
CHANGING = "openat,open,creat,mkdirat,mkdir,renameat2,renameat,rename,linkat,link,symlinkat,symlink,unlinkat,unlink"
CHANGING += ",rmdir,truncate,fchmodat,chmod,mknodat,mknod"


def written(trace: Path) -> set[str]:
    """Every path that was made, changed or opened for writing, as the kernel resolved the folder of it."""
    paths: set[str] = set()
    for line in trace.read_text(errors="replace").splitlines():
        opened = re.search(r"\b(openat|open|creat)\(", line)
        if (opened and not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", line)) or " = -1 " in line:
            continue
        for folder, name in re.findall(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"', line):
            paths.add(os.path.normpath(Path(folder or "/") / name))
    return paths


def seen(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Mode, time and bytes of everything in a folder."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace sees what is written")
def test_300_hostile_manifests_write_nowhere_else_and_take_nothing(tmp_path: Path) -> None:
    good = [entry(path, content) for path, content in PLACED.items()]
    bytes_of = {each["id"]: PLACED[each["model_path"]] for each in good}
    folder, beside = tmp_path / "box", tmp_path / "beside"
    (folder / "models" / "loras").mkdir(parents=True)
    beside.mkdir()
    (beside / "canary.pt").write_bytes(b"not yours")
    (folder / "models" / "loras" / "mine.pt").write_bytes(b"mine")
    (folder / "models" / "checkpoints").symlink_to(beside)
    (folder / "models" / "loras" / "deep").symlink_to(beside)
    script = [manifest(*good), *hostile_manifests(MANIFESTS, good), manifest(*good)]
    mine, outside = seen(folder / "models"), seen(beside)

    with RogueRegistry(script, bytes_of) as rogue:
        ran = subprocess.run(
            ["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-o", tmp_path / "trace", "-e", f"trace={CHANGING}",
             sys.executable, "-B", "-c", PROGRAM, folder, rogue.url, str(len(script))],
            cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert rogue.asked == len(script)
    assert 10 <= int(ran.stdout) <= 40
    assert seen(beside) == outside
    after = seen(folder / "models")
    assert {path: after[path] for path in mine} == mine
    visible = {path for path in after if not path.startswith(".modelyard/")} - mine.keys()
    assert visible == PLACED.keys()
    assert all((folder / "models" / path).read_bytes() == content for path, content in PLACED.items())
    allowed = (str(folder / "models"), str(folder / "state"), "/dev/", "/proc/")
    paths = written(tmp_path / "trace")
    assert str(folder / "models" / "loras" / "good0.pt") in paths
    assert [path for path in paths if not path.startswith(allowed)] == []
    assert not [path for path in paths if path.startswith(str(folder / "models" / "custom_nodes"))]


async def test_a_registry_that_always_has_another_manifest_keeps_no_processor_busy(tmp_path: Path) -> None:
    script = [manifest(revision=number) for number in range(1000)]
    with RogueRegistry(script, {}) as rogue:
        box = Box(tmp_path / "box", rogue.url, "ak-x", "render-07")
        async with box.running():
            await until(lambda: rogue.asked > 2)
            before = rogue.asked
            await until(lambda: rogue.asked > before + 2)
            assert rogue.asked < 20
