"""Unusable manifest entries and download URLs fail alone; the agent syncs all other models."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelyard.agent.reconcile_result import ReconcileResult
from modelyard.sync.desired import MAX_ENTRIES
from modelyard.transfer.errors import TransferFailed
from modelyard.transfer.retry import RetryDeadline
from tests.agent.agent_machine import AgentMachine, wait_until
from tests.agent.malicious_registry import CannedResponse, MaliciousRegistry, build_entry, build_manifest_response

pytestmark = pytest.mark.slow

GOOD = b"good" * 100
_LIMIT_MB = 600


def reconcile_with_responses(
    folder: Path, *responses: CannedResponse, download_urls: dict[str, str] | None = None
) -> tuple[AgentMachine, ReconcileResult]:
    """Reconcile once for each response; return the machine and the last result."""
    good = build_entry("loras/good.pt", GOOD)
    with MaliciousRegistry(list(responses), {good["id"]: GOOD}, download_urls) as registry_server:
        machine = AgentMachine(folder, registry_server.url, "ak-x", "render-07")
        results = [machine.reconcile_once() for _ in responses]
    assert results[-1] is not None
    return machine, results[-1]


def get_state_and_reason(result: ReconcileResult, path: str) -> tuple[str | None, str]:
    replica_state = next(each for each in result.replica_states if each.model_path == path)
    return replica_state.state, replica_state.reason or ""


@pytest.mark.parametrize(
    "url",
    ["http://[::1", f"http://{'a' * 64}.example/key", "http://127.0.0.1:99999/key", "file:///etc/passwd", ""],
    ids=["bracket", "idna", "port", "scheme", "empty"],
)
def test_agent_unusable_download_url_fails_only_its_model_without_retries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    retried: list[TransferFailed] = []
    wait_after = RetryDeadline.wait_after

    def record_retry(deadline: RetryDeadline, failure: TransferFailed, wait: float) -> float:
        retried.append(failure)
        return wait_after(deadline, failure, wait)

    monkeypatch.setattr(RetryDeadline, "wait_after", record_retry)
    bad, good = build_entry("loras/bad.pt", b"bad"), build_entry("loras/good.pt", GOOD)

    machine, result = reconcile_with_responses(
        tmp_path / "machine", build_manifest_response(bad, good), download_urls={bad["id"]: url}
    )

    state, reason = get_state_and_reason(result, "loras/bad.pt")
    assert state == "failed"
    assert url.partition("://")[2].partition("/")[0] in reason
    assert machine.has_file("loras/good.pt")
    assert retried == []


@pytest.mark.parametrize(
    "overrides",
    [
        {"file_size": "large"},
        {"version": None},
        {"version": 0},
        {"version": 10**18},
        {"updated_at": "yesterday"},
        {"model_path": None},
        {"keep": "perhaps"},
        {"file_hash": ["sha256"]},
    ],
    ids=str,
)
def test_agent_malformed_manifest_entry_fails_only_its_model(tmp_path: Path, overrides: dict[str, Any]) -> None:
    bad, good = build_entry("loras/bad.pt", b"bad"), build_entry("loras/good.pt", GOOD)

    machine, result = reconcile_with_responses(tmp_path / "machine", build_manifest_response(bad | overrides, good))

    assert machine.has_file("loras/good.pt")
    [failed] = [replica_state for replica_state in result.replica_states if replica_state.state == "failed"]
    assert str(failed.model_id) == bad["id"]
    assert next(iter(overrides)) in (failed.reason or "")


def test_agent_manifest_entry_of_release_0_3_0_is_placed(tmp_path: Path) -> None:
    newer = {"version", "preview_sha256", "is_folder", "pin_conflict"}
    entry = {name: value for name, value in build_entry("loras/good.pt", GOOD).items() if name not in newer}

    machine, result = reconcile_with_responses(tmp_path / "machine", build_manifest_response(entry))

    assert machine.has_file("loras/good.pt")
    assert [(each.state, each.version) for each in result.replica_states] == [("ready", 1)]


def test_agent_manifest_entry_becomes_malformed_keeps_its_file(tmp_path: Path) -> None:
    good = build_entry("loras/good.pt", GOOD)

    machine, _ = reconcile_with_responses(
        tmp_path / "machine", build_manifest_response(good), build_manifest_response(good | {"file_size": None})
    )

    assert machine.has_file("loras/good.pt")


@pytest.mark.parametrize("broken", [None, 5, {}, {"id": "../../x", "model_path": "loras/good.pt"}], ids=str)
def test_agent_manifest_entry_without_id_removes_nothing_and_adds_note(tmp_path: Path, broken: Any) -> None:
    good = build_entry("loras/good.pt", GOOD)

    machine, result = reconcile_with_responses(
        tmp_path / "machine", build_manifest_response(good), build_manifest_response(broken)
    )

    assert machine.has_file("loras/good.pt")
    assert any("Nothing is removed" in note for note in result.notes)


async def test_agent_malformed_manifest_entry_does_not_delay_next_poll(tmp_path: Path) -> None:
    good = build_entry("loras/good.pt", GOOD)
    script = [build_manifest_response(good, {"id": "no id"}, revision=number) for number in range(4)]
    with MaliciousRegistry(script, {good["id"]: GOOD}) as registry_server:
        machine = AgentMachine(tmp_path / "machine", registry_server.url, "ak-x", "render-07")
        async with machine.running() as agent:
            await wait_until(lambda: registry_server.manifest_requests > 3 and machine.has_file("loras/good.pt"))
            assert agent.status.connection.is_up


# Processes a manifest as an agent does, without network; prints the peak memory of the process in MiB.
PROGRAM = """
import sys
from datetime import datetime
from modelyard.agent.registry.reports import Reports
from modelyard.agent.reconcile_result import list_planned_states
from modelyard.client.api.manifests import read_manifest
from modelyard.sync.inventory.inventory import Inventory
from modelyard.sync.planning.planner import Policy, plan_sync
from modelyard.sync.desired import build_desired_state

with open(sys.argv[1], "rb") as file:
    manifest = read_manifest(file.read())
desired, reports = build_desired_state(manifest.model_list, manifest.unreadable), Reports()
assert len(desired.kept_ids) == int(sys.argv[2]) and not desired.models, desired.notes
for _ in range(3):
    plan = plan_sync(desired, Inventory(), Policy(datetime.now().astimezone()))
    reports.set_all_states(list_planned_states(plan, "paused"))
# Not ru_maxrss, which begins at the memory of the process that started this one.
with open("/proc/self/status") as file:
    print(next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmHWM:")))
"""


@pytest.mark.extended(reason="a bound on memory, seconds each; the tests of malformed entries above have their states")
@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param({"model_path": "../" + "x" * 60}, id="path"),
        pytest.param({"file_size": "large"}, id="malformed"),
        pytest.param({"model_type": "custom_nodes"}, id="type"),
    ],
)
def test_read_and_plan_manifest_of_200_000_rejected_entries_uses_bounded_memory(
    tmp_path: Path, overrides: dict[str, Any]
) -> None:
    file = tmp_path / "manifest.json"
    template = build_entry("loras/0.pt", b"x") | overrides
    entries = (template | {"id": f"00000000-0000-4000-8000-{number:012x}"} for number in range(MAX_ENTRIES))
    with file.open("w") as output:
        output.write('{"revision": 1, "model_list": [')
        output.writelines(f"{',' if number else ''}{json.dumps(each)}" for number, each in enumerate(entries))
        output.write("]}")

    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(file), str(MAX_ENTRIES)], capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < _LIMIT_MB
