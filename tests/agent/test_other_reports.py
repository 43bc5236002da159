"""Two agents that report as one machine, as on copies of one disk: how each identifies itself, and its log."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from modelyard.agent.doctor.agent import check_agent
from modelyard.wire.agents.values import REPORTED_BY_TWO_REASON
from tests.agent.agent_machine import AgentMachine, wait_until
from tests.agent.malicious_registry import CannedResponse, MaliciousRegistry, build_entry, build_manifest_response
from tests.agent.test_polling import ACCEPTED

CONTENT = b"good" * 6
DESIRED = build_entry("loras/ink.pt", CONTENT)
MANIFESTS = [build_manifest_response(DESIRED)] * 10_000


class TellingRegistry(MaliciousRegistry):
    """A registry that answers heartbeats with ``told`` besides, or refuses them with ``status``."""

    told: dict[str, Any] = {}  # noqa: RUF012 - each test sets its own
    status = 200

    def answer_post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | CannedResponse:
        if path.endswith("/models/download-batch"):
            return super().answer_post(path, body)
        self.heartbeats.append(body)
        return ACCEPTED | self.told if self.status == 200 else CannedResponse(b"{}", self.status)

    def take_processes(self) -> list[str]:
        """Return the processes that the heartbeats since the last call name, in order."""
        heartbeats, self.heartbeats = self.heartbeats, []
        return [each["agent_process"] for each in heartbeats]


@pytest.mark.slow
async def test_each_start_of_an_agent_names_another_process_in_all_of_its_heartbeats(tmp_path: Path) -> None:
    with TellingRegistry(MANIFESTS, {DESIRED["id"]: CONTENT}) as registry:
        machine = AgentMachine(tmp_path / "machine", registry.url, "ak-x", "machine")
        await machine.reconcile()
        of_one_run = registry.take_processes()
        async with machine.running() as agent:
            await wait_until(lambda: agent.status.reports.states and agent.status.is_idle)
            for told, status in (({"resend_all": True}, 200), ({}, 503), ({}, 422), ({}, 422), ({}, 200)):
                registry.told, registry.status = told, status
                await agent.poller.send_heartbeat()
        of_running_agent = registry.take_processes()
        assert [len(set(each)) for each in (of_one_run, of_running_agent)] == [1, 1]
        assert of_one_run[0] != of_running_agent[0]


@pytest.mark.slow
async def test_agent_that_another_one_reports_as_says_so_once_until_that_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "modelyard.agent")
    with TellingRegistry(MANIFESTS, {DESIRED["id"]: CONTENT}) as registry:
        machine = AgentMachine(tmp_path / "machine", registry.url, "ak-x", "machine")
        async with machine.running() as agent:
            await wait_until(lambda: machine.has_file("loras/ink.pt"))
            registry.told = {"is_reported_by_two": True}
            for _ in range(2):
                await agent.poller.send_heartbeat()
            await wait_until(lambda: machine.status and machine.status.is_reported_by_two)
            findings = await asyncio.to_thread(lambda: list(check_agent(machine.start_options.folder)))
            assert ("problem", REPORTED_BY_TWO_REASON) in [(each.level, each.sentence) for each in findings]
            # The registry says it itself, and ends it.
            assert REPORTED_BY_TWO_REASON not in str(registry.heartbeats[-1]["problem"])
            registry.told = {}
            await agent.poller.send_heartbeat()
            await wait_until(lambda: machine.status and not machine.status.is_reported_by_two)
    logged = [record.getMessage() for record in caplog.records]
    assert logged.count(REPORTED_BY_TWO_REASON) == 1
    assert logged.count("No other agent reports as this machine any more.") == 1
