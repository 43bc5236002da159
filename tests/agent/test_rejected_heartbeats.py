"""Heartbeats that a registry refuses for what they contain, as an older registry does with states that it lacks."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from modelyard.agent.registry.rejections import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Rejections,
    is_rejection,
)
from modelyard.agent.schedule import BUSY_HEARTBEAT_SECONDS, IDLE_HEARTBEAT_SECONDS, HeartbeatSchedule
from modelyard.agent.startup import open_agent
from modelyard.agent.use.use_log import UseLog
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.transfer.errors import TransferFailed, Unreachable
from modelyard.wire import problems
from modelyard.wire.agents.values import MAX_HEARTBEAT_STATES
from modelyard.wire.problems import Problem
from tests.agent.agent_machine import AgentMachine, wait_until
from tests.agent.malicious_registry import CannedResponse, MaliciousRegistry, build_entry, build_manifest_response
from tests.agent.test_polling import ACCEPTED

CONTENT = b"good" * 6
DESIRED, OIL = build_entry("loras/ink.pt", CONTENT), build_entry("loras/oil.pt", CONTENT)
REFUSED = {"type": "/problems/invalid-request", "status": 422}
# The same for each request, since one may be ended before its answer is read.
MANIFESTS = [build_manifest_response(DESIRED)] * 10_000
Beat = dict[str, Any]


def has_states(beat: Beat) -> bool:
    return bool(beat.get("model_list"))


def has_descriptions(beat: Beat) -> bool:
    return "platform_arch" in beat


def refuse_nothing(_: Beat) -> bool:
    return False


def refuse_all(_: Beat) -> bool:
    return True


class OlderRegistry(MaliciousRegistry):
    """A registry that refuses heartbeats with model states, or those that ``refuses`` selects, each in other words."""

    refuses: Callable[[Beat], bool] = staticmethod(has_states)

    def answer_post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | CannedResponse:
        if path.endswith("/models/download-batch"):
            return super().answer_post(path, body)
        self.heartbeats.append(body)
        if self.refuses(body):
            detail = f"Not valid: 'model_list.{len(self.heartbeats)}.state'."
            return CannedResponse(json.dumps(REFUSED | {"detail": detail}).encode(), 422)
        return ACCEPTED

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The heartbeats that had states."""
        return [each for each in self.heartbeats if each.get("model_list")]


@pytest.mark.slow
async def test_rejected_report_is_held_back_while_models_are_placed_and_heartbeats_go_on(tmp_path: Path) -> None:
    with OlderRegistry(MANIFESTS, {DESIRED["id"]: CONTENT, OIL["id"]: CONTENT}) as registry:
        machine = AgentMachine(tmp_path / "machine", registry.url, "ak-x", "machine")
        async with machine.running() as agent:
            rejections = agent.status.rejections
            rejections.get_now = lambda: 0.0
            await wait_until(lambda: machine.has_file("loras/ink.pt") and rejections.reason)
            registry.script = [build_manifest_response(DESIRED, OIL, revision=2)] * 10_000
            await wait_until(lambda: machine.has_file("loras/oil.pt"))
            await agent.poller.send_heartbeat()
            assert len(registry.reports) == 1
            shown = registry.heartbeats[-1]
            assert (shown["problem"], has_descriptions(shown)) == (rejections.reason, True)
            assert agent.status.connection.is_up
            await wait_until(lambda: machine.status and machine.status.link_reason == rejections.reason)
            await wait_until(lambda: agent.status.is_idle)
            registry.refuses = refuse_nothing
            rejections.get_now = lambda: FIRST_PAUSE_SECONDS
            await agent.poller.send_heartbeat()
            again = registry.reports[-1]
            assert (again["is_whole"], again["report_number"], again["problem"]) == (True, 1, None)
            assert again["report_series"] != registry.reports[0]["report_series"]
            assert rejections.reason is None


@pytest.mark.slow
@pytest.mark.parametrize("refuses", [has_states, refuse_all])
async def test_run_once_with_rejected_report_places_models_reports_once_and_logs_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, refuses: Callable[[Beat], bool]
) -> None:
    caplog.set_level(logging.WARNING, "modelyard.agent")
    with OlderRegistry([build_manifest_response(DESIRED)], {DESIRED["id"]: CONTENT}) as registry:
        registry.refuses = refuses
        machine = AgentMachine(tmp_path / "machine", registry.url, "ak-x", "machine")
        async with open_agent(machine.start_options) as agent:
            agent.status.rejections.get_now = lambda: 0.0
            result = await agent.run_once()
        assert result is not None
        assert [each.state for each in result.replica_states] == ["ready"]
        assert len(registry.reports) == (1 if refuses is has_states else 0)
        assert registry.heartbeats[-1]["is_stopping"]
        assert len([record for record in caplog.records if "upgrade the registry" in record.message]) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("refuses", "count"), [(has_states, 2), (has_descriptions, 3)], ids=["states", "descriptions"])
async def test_stop_whose_heartbeat_is_refused_is_reported_with_less_at_once(
    tmp_path: Path, refuses: Callable[[Beat], bool], count: int
) -> None:
    with OlderRegistry(MANIFESTS, {DESIRED["id"]: CONTENT}) as registry:
        registry.refuses = refuses
        machine, now = AgentMachine(tmp_path / "machine", registry.url, "ak-x", "machine"), [0.0]
        async with machine.running() as agent:
            agent.status.rejections.get_now = lambda: now[0]
            await wait_until(lambda: machine.has_file("loras/ink.pt") and agent.status.rejections.reason)
            await wait_until(lambda: agent.status.is_idle)
            now[0] = FIRST_PAUSE_SECONDS
        stops = [refuses(beat) for beat in registry.heartbeats if beat["is_stopping"]]
        assert stops == [True] * (count - 1) + [False]


@pytest.mark.slow
async def test_complete_report_whose_second_part_is_refused_is_repeated_after_longer_pauses_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "modelyard.agent")
    with OlderRegistry([], {}) as registry:
        registry.refuses = lambda beat: bool(beat.get("is_last"))
        machine, now = AgentMachine(tmp_path / "machine", registry.url, "ak-x", "machine"), [0.0]
        async with open_agent(machine.start_options) as agent:
            rejections, poller = agent.status.rejections, agent.poller
            rejections.get_now = lambda: now[0]
            numbers = range(1, MAX_HEARTBEAT_STATES + 2)
            agent.status.reports.set_all_states(ReplicaState(UUID(int=each), f"{each}.pt", "ready") for each in numbers)
            for pause in (FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS):
                await poller.send_heartbeat()
                await poller.send_heartbeat()
                assert [len(beat["model_list"]) for beat in registry.heartbeats[-2:]] == [MAX_HEARTBEAT_STATES, 1]
                now[0] += pause - 1
                assert rejections.get_content() == "no_states"
                now[0] += 1
                assert rejections.get_content() == "all"
            assert "upgrade the registry" in registry.heartbeats[-2]["problem"]
            said = [record.message for record in caplog.records if "what this machine reports" in record.message]
            assert len(said) == 1
            registry.refuses = refuse_nothing
            await poller.send_heartbeat()
            assert rejections.reason is not None
            await poller.send_heartbeat()
            assert (rejections.get_content(), registry.heartbeats[-1]["problem"]) == ("all", None)
            assert caplog.messages[-1] == "The registry takes what this machine reports again."


@pytest.mark.slow
async def test_uses_are_reported_without_states_and_not_counted_in_heartbeats_of_few_values(tmp_path: Path) -> None:
    ink, oil, moment = UUID(int=1), UUID(int=2), datetime(2026, 11, 24, tzinfo=UTC)
    with OlderRegistry([], {}) as registry:
        machine = AgentMachine(tmp_path / "machine", registry.url, "ak-x", "machine")
        async with open_agent(machine.start_options) as agent:
            agent.status.rejections.get_now = lambda: 0.0
            use_log = agent.status.use_log = UseLog(counted_since=moment, last_uses={ink: moment})
            agent.status.reports.set_all_states([ReplicaState(ink, "ink.pt", "ready")])
            await agent.poller.send_heartbeat()
            await agent.poller.send_heartbeat()
            shown = registry.heartbeats[-1]
            assert [each["model_id"] for each in shown["use_list"]] == [str(ink)]
            assert (has_states(shown), shown["use_counted_since"] is not None) == (False, True)
            registry.refuses = has_descriptions
            use_log.record({oil: moment})
            await agent.poller.send_heartbeat()
            await agent.poller.send_heartbeat()
            assert not {"use_list", "use_counted_since"} & registry.heartbeats[-1].keys()
            assert [each.model_id for each in use_log.list_unreported()] == [oil]


@pytest.mark.slow
async def test_problem_of_the_machine_follows_that_of_the_refusal(tmp_path: Path) -> None:
    with OlderRegistry([], {}) as registry:
        machine = AgentMachine(tmp_path / "machine", registry.url, "ak-x", "machine")
        async with open_agent(machine.start_options) as agent:
            agent.status.rejections.record(problems.InvalidRequest("Not valid."), "all")
            agent.status.error = "The models folder is missing."
            await agent.poller.send_heartbeat()
            expected = f"{agent.status.rejections.reason} The models folder is missing."
            assert registry.heartbeats[-1]["problem"] == expected


def test_rejections_pause_doubles_up_to_the_longest_and_is_the_first_again_after_acceptance() -> None:
    rejections = Rejections(get_now=lambda: 0.0)
    refused = problems.InvalidRequest("Not valid.")
    waits = [rejections.record(refused, "few_values") for _ in range(6)]
    assert waits == [FIRST_PAUSE_SECONDS * 2**count for count in range(4)] + [LONGEST_PAUSE_SECONDS] * 2
    rejections.record_acceptance()
    assert rejections.record(refused, "few_values") == FIRST_PAUSE_SECONDS


def test_rejections_reason_has_the_answer_printable_and_shortened() -> None:
    rejections = Rejections()
    rejections.record(problems.InvalidRequest("\x1b[31m" + "x" * 100_000), "all")
    assert rejections.reason is not None
    assert (rejections.reason.isprintable(), len(rejections.reason) < 1000) == (True, True)


def test_rejections_hold_content_beyond_the_next_heartbeat_until_the_pause_ends() -> None:
    times = [0.0]
    rejections = Rejections(get_now=lambda: times[0])
    assert rejections.get_content() == "all"
    wait = rejections.record(problems.InvalidRequest("Not valid."), "all")
    times[0] = wait
    assert (wait, rejections.get_content()) == (IDLE_HEARTBEAT_SECONDS, "no_states")
    times[0] = FIRST_PAUSE_SECONDS
    assert rejections.get_content() == "all"


def test_rejections_of_a_heartbeat_without_states_leave_few_values_soon_and_do_not_change_the_pause() -> None:
    times = [0.0]
    rejections, refused = Rejections(get_now=lambda: times[0]), problems.InvalidRequest("Not valid.")
    rejections.record(refused, "all")
    assert rejections.record(refused, "no_states") == BUSY_HEARTBEAT_SECONDS
    assert rejections.get_content() == "few_values"
    times[0] = FIRST_PAUSE_SECONDS
    assert rejections.get_content() == "all"


def test_heartbeat_schedule_request_does_not_shorten_the_wait_after_a_rejection() -> None:
    schedule = HeartbeatSchedule()
    schedule.record_rejection(100, 60)
    schedule.request()
    assert schedule.get_wait(100) == 60


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (problems.InvalidRequest("Not valid."), True),
        (problems.MalformedJson("Not JSON."), True),
        (problems.UnsupportedMediaType("Not JSON."), True),
        (problems.BodyTooLarge("Too large."), True),
        (problems.parse_problem(422, {"type": "/problems/one-of-a-newer-registry"}), True),
        (problems.parse_problem(400, {"type": "/problems/one-of-a-newer-registry"}), False),
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
