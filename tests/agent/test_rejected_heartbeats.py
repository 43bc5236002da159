"""Heartbeats that a registry refuses for what they contain, as an older registry does with states that it lacks."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from modelyard.agent.registry.rejections import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Rejections,
    is_rejection,
)
from modelyard.agent.schedule import IDLE_HEARTBEAT_SECONDS, HeartbeatSchedule
from modelyard.agent.startup import open_agent
from modelyard.transfer.errors import TransferFailed, Unreachable
from modelyard.wire import problems
from modelyard.wire.problems import Problem
from tests.agent.agent_machine import AgentMachine, wait_until
from tests.agent.malicious_registry import CannedResponse, MaliciousRegistry, build_entry, build_manifest_response
from tests.agent.test_polling import ACCEPTED, UNCHANGED

CONTENT = b"good" * 6
DESIRED = build_entry("loras/ink.pt", CONTENT)
REFUSED = {"type": "/problems/invalid-request", "status": 422, "detail": "Not valid: 'model_list.0.state'."}


class OlderRegistry(MaliciousRegistry):
    """A registry that refuses each heartbeat with a model state; with ``refuses_all`` any heartbeat."""

    refuses_states = True
    refuses_all = False

    def answer_post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | CannedResponse:
        if path.endswith("/models/download-batch"):
            return super().answer_post(path, body)
        self.heartbeats.append(body)
        if self.refuses_all or (self.refuses_states and body.get("model_list")):
            return CannedResponse(json.dumps(REFUSED).encode(), 422)
        return ACCEPTED

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The heartbeats that had states."""
        return [each for each in self.heartbeats if each.get("model_list")]


@pytest.mark.slow
async def test_rejected_report_is_held_back_while_models_are_placed_and_heartbeats_go_on(tmp_path: Path) -> None:
    manifests = [build_manifest_response(DESIRED), *[UNCHANGED] * 10_000]
    with OlderRegistry(manifests, {DESIRED["id"]: CONTENT}) as registry:
        machine = AgentMachine(tmp_path / "machine", registry.url, "ak-x", "machine")
        async with machine.running() as agent:
            rejections = agent.status.rejections
            rejections.get_now = lambda: 0.0
            await wait_until(lambda: machine.has_file("loras/ink.pt") and rejections.reason)
            await agent.poller.send_heartbeat()
            assert len(registry.reports) == 1
            assert "'model_list.0.state'" in registry.heartbeats[-1]["problem"]
            assert agent.status.connection.is_up
            await wait_until(lambda: machine.status and machine.status.link_reason == rejections.reason)
            await wait_until(lambda: agent.status.is_idle)
            registry.refuses_states = False
            rejections.get_now = lambda: FIRST_PAUSE_SECONDS
            await agent.poller.send_heartbeat()
            again = registry.reports[-1]
            assert (again["is_whole"], again["report_number"], again["problem"]) == (True, 1, None)
            assert again["report_series"] != registry.reports[0]["report_series"]
            assert rejections.reason is None


@pytest.mark.slow
@pytest.mark.parametrize("refuses_all", [False, True], ids=["states", "all heartbeats"])
async def test_run_once_with_rejected_report_places_models_reports_once_and_logs_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, refuses_all: bool
) -> None:
    caplog.set_level(logging.WARNING, "modelyard.agent")
    with OlderRegistry([build_manifest_response(DESIRED)], {DESIRED["id"]: CONTENT}) as registry:
        registry.refuses_all = refuses_all
        machine = AgentMachine(tmp_path / "machine", registry.url, "ak-x", "machine")
        async with open_agent(machine.start_options) as agent:
            agent.status.rejections.get_now = lambda: 0.0
            result = await agent.run_once()
        assert result is not None
        assert [each.state for each in result.replica_states] == ["ready"]
        assert len(registry.reports) == (0 if refuses_all else 1)
        assert registry.heartbeats[-1]["is_stopping"]
        assert [record.message for record in caplog.records if "upgrade the registry" in record.message] == [
            agent.status.rejections.reason
        ]


def test_rejections_pause_doubles_up_to_the_longest_and_is_the_first_again_after_acceptance() -> None:
    rejections = Rejections(get_now=lambda: 0.0)
    refused = problems.InvalidRequest("Not valid.")
    waits = [rejections.record(refused, was_minimal=True) for _ in range(6)]
    assert waits == [FIRST_PAUSE_SECONDS * 2**count for count in range(4)] + [LONGEST_PAUSE_SECONDS] * 2
    rejections.record_acceptance()
    assert rejections.record(refused, was_minimal=True) == FIRST_PAUSE_SECONDS


def test_rejections_hold_content_beyond_the_next_heartbeat_until_the_pause_ends() -> None:
    times = [0.0]
    rejections = Rejections(get_now=lambda: times[0])
    assert not rejections.is_holding
    wait = rejections.record(problems.InvalidRequest("Not valid."), was_minimal=False)
    times[0] = wait
    assert (wait, rejections.is_holding) == (IDLE_HEARTBEAT_SECONDS, True)
    times[0] = FIRST_PAUSE_SECONDS
    assert not rejections.is_holding


def test_heartbeat_schedule_request_does_not_shorten_the_wait_after_a_rejection() -> None:
    schedule = HeartbeatSchedule()
    schedule.record_rejection(100, 60)
    schedule.request()
    assert schedule.get_wait(100) == 60


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (problems.InvalidRequest("Not valid."), True),
        (problems.BodyTooLarge("Too large."), True),
        (problems.parse_problem(422, {"type": "/problems/one-of-a-newer-registry"}), True),
        (problems.parse_problem(500, {}), False),
        (problems.Unauthenticated("Unknown key."), False),
        (problems.TooManyAttempts("Wait."), False),
        (problems.TooManyMachines("Too many."), False),
        (Unreachable("It does not answer."), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_is_rejection_only_of_what_a_heartbeat_contains(failure: Problem | TransferFailed, expected: bool) -> None:
    assert is_rejection(failure) is expected
