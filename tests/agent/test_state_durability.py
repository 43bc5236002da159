"""The agent's state survives a power failure: its folders are synced to disk before the first file is placed.

A new folder whose parent was not synced can disappear, and with it the record of which files the agent placed.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.malicious_registry import MaliciousRegistry, build_entry, build_manifest_response

INK = b"ink" * 1000
PROGRAM = """
import sys
from pathlib import Path
from tests.agent.agent_machine import AgentMachine
AgentMachine(Path(sys.argv[1]), sys.argv[2], "ak-x", "render-07").reconcile_once()
"""
REPOSITORY = Path(__file__).parents[2]
_CALLS = "mkdir,mkdirat,fsync,fdatasync,rename,renameat,renameat2,link,linkat"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace, which .ci/run installs, records the fsync calls")
def test_agent_first_placement_happens_after_all_state_folders_are_synced(tmp_path: Path) -> None:
    desired, state = build_entry("loras/ink.pt", INK), tmp_path / "machine" / "state"
    trace = tmp_path / "trace"
    with MaliciousRegistry([build_manifest_response(desired)], {desired["id"]: INK}) as registry_server:
        strace = ["strace", "-f", "-y", "-o", str(trace), "-e", f"trace={_CALLS}"]
        subprocess.run(
            [*strace, sys.executable, "-c", PROGRAM, str(tmp_path / "machine"), registry_server.url],
            cwd=REPOSITORY,
            check=True,
        )
    lines = [line for line in trace.read_text().splitlines() if " = -1 " not in line]
    placed = next(number for number, line in enumerate(lines) if re.search(r"(rename|link).*ink\.pt", line))
    created = {
        path for line in lines[:placed] for path in re.findall(rf'mkdir\w*\(.*?"({re.escape(str(state))}[^"]*)"', line)
    }

    assert created >= {str(state), str(state / "sync")}
    for path in {*created, str(state / "sync" / "render-07.sqlite")}:
        assert any("sync(" in line and f"<{Path(path).parent}>" in line for line in lines[:placed]), path
