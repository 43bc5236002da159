"""An agent with a compromised registry: it writes nothing outside its folders and keeps the user's files."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.agent_machine import AgentMachine, wait_until
from tests.agent.malicious_registry import (
    MaliciousRegistry,
    build_entry,
    build_manifest_response,
    generate_hostile_manifests,
)

REPOSITORY = Path(__file__).parents[2]
MANIFESTS = 300
GOOD_MODELS = {f"loras/good{number}.pt": f"good {number}".encode() * 100 for number in range(12)}

# Syncs as often as the registry has manifests, and prints how many syncs ended with an error.
PROGRAM = """
import logging, sys
from pathlib import Path
from tests.agent.agent_machine import AgentMachine
from modelyard.transfer.errors import TransferFailed
from modelyard.wire.problems import Problem

logging.basicConfig(level="ERROR")
folder, url, count = sys.argv[1:]
machine, failed = AgentMachine(Path(folder), url, "ak-x", "render-07"), 0
for _ in range(int(count)):
    try:
        machine.reconcile_once()
    except (Problem, TransferFailed):
        failed += 1
print(failed)
"""
WRITING_SYSCALLS = (
    "openat,open,creat,mkdirat,mkdir,renameat2,renameat,rename,linkat,link,symlinkat,symlink,unlinkat,unlink"
)
WRITING_SYSCALLS += ",rmdir,truncate,fchmodat,chmod,mknodat,mknod"


def find_written_paths(trace: Path) -> set[str]:
    """Parse an strace log: return every path created, changed or opened for writing, with its folder as resolved."""
    paths: set[str] = set()
    for line in trace.read_text(errors="replace").splitlines():
        opened = re.search(r"\b(openat|open|creat)\(", line)
        if (opened and not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", line)) or " = -1 " in line:
            continue
        for folder, name in re.findall(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"', line):
            paths.add(os.path.normpath(Path(folder or "/") / name))
    return paths


def describe_files(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Return the mode, modification time and SHA-256 of every file below a folder, by its relative path."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace, which .ci/run installs, records every opened file")
def test_agent_given_300_hostile_manifests_writes_only_below_models_folder_and_keeps_user_files(tmp_path: Path) -> None:
    good = [build_entry(path, content) for path, content in GOOD_MODELS.items()]
    contents = {model["id"]: GOOD_MODELS[model["model_path"]] for model in good}
    folder, beside = tmp_path / "machine", tmp_path / "beside"
    (folder / "models" / "loras").mkdir(parents=True)
    beside.mkdir()
    (beside / "canary.pt").write_bytes(b"not yours")
    (folder / "models" / "loras" / "mine.pt").write_bytes(b"mine")
    (folder / "models" / "checkpoints").symlink_to(beside)
    (folder / "models" / "loras" / "deep").symlink_to(beside)
    script = [
        build_manifest_response(*good),
        *generate_hostile_manifests(MANIFESTS, good),
        build_manifest_response(*good),
    ]
    user_files, outside = describe_files(folder / "models"), describe_files(beside)

    with MaliciousRegistry(script, contents) as registry_server:
        result = subprocess.run(
            ["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-o", tmp_path / "trace", "-e", f"trace={WRITING_SYSCALLS}",
             sys.executable, "-B", "-c", PROGRAM, folder, registry_server.url, str(len(script))],
            cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip

    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert registry_server.manifest_requests == len(script)
    assert 10 <= int(result.stdout) <= 40
    assert describe_files(beside) == outside
    after = describe_files(folder / "models")
    assert {path: after[path] for path in user_files} == user_files
    visible = {path for path in after if not path.startswith(".modelyard/")} - user_files.keys()
    assert visible == GOOD_MODELS.keys()
    assert all((folder / "models" / path).read_bytes() == content for path, content in GOOD_MODELS.items())
    allowed = (str(folder / "models"), str(folder / "state"), "/dev/", "/proc/")
    paths = find_written_paths(tmp_path / "trace")
    assert str(folder / "models" / "loras" / "good0.pt") in paths
    assert [path for path in paths if not path.startswith(allowed)] == []
    assert not [path for path in paths if path.startswith(str(folder / "models" / "custom_nodes"))]


async def test_agent_given_endless_new_manifests_limits_its_polling(tmp_path: Path) -> None:
    script = [build_manifest_response(revision=number) for number in range(1000)]
    with MaliciousRegistry(script, {}) as registry_server:
        machine = AgentMachine(tmp_path / "machine", registry_server.url, "ak-x", "render-07")
        async with machine.running():
            await wait_until(lambda: registry_server.manifest_requests > 2)
            polls_before = registry_server.manifest_requests
            await wait_until(lambda: registry_server.manifest_requests > polls_before + 2)
            assert registry_server.manifest_requests < 20
