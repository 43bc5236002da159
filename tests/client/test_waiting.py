"""Waiting for a roll-out at a registry that does not answer for a while."""

import socket
from typing import Any

import pytest

from modelyard.client.api.registry import RegistryApi
from modelyard.client.waiting.rollouts import wait_for_rollout
from modelyard.wire.collections.rollouts import Rollout
from modelyard.wire.problems import RolloutNotFound
from tests.client.scripted_server import Responses
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

ID, TIME = "0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10", "2026-11-26T12:00:00Z"


class Reporter:
    """Records the states and failures that a wait reports."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.failures: list[str] = []

    def on_change(self, rollout: Rollout) -> None:
        self.states.append(rollout.state)

    def on_failure(self, sentence: str) -> None:
        self.failures.append(sentence)


def build_rollout(state: str) -> dict[str, Any]:
    return {
        "id": ID,
        "collection_id": ID,
        "version": 2,
        "previous_version": 1,
        "canary_label": None,
        "is_automatic": False,
        "min_ready_seconds": 0,
        "state": state,
        "reason": None,
        "obstacle": None,
        "created_by": {"kind": "user", "id": None, "display_name": "Ada"},
        "created_at": TIME,
        "updated_at": TIME,
        "progress": None,
    }


async def wait(url: str, reporter: Reporter, timeout_seconds: float | None = None) -> Rollout:
    """Wait for a roll-out that has started, with a client that does not retry by itself."""
    started = Rollout.model_validate(build_rollout("rolling_out"))
    async with RegistryApi(url, "sk-x", retry_seconds=0) as registry:
        return await wait_for_rollout(registry, started, reporter, timeout_seconds)


async def test_wait_for_rollout_at_restarting_registry_continues_and_reports_once(
    responses: Responses, url: str
) -> None:
    reporter = Reporter()
    for status in (503, 502):
        responses.add(status, b"")
    responses.add(200, build_rollout("finished"))
    assert (await wait(url, reporter)).state == "finished"
    assert reporter.states == ["rolling_out", "finished"]
    assert ["does not answer" in sentence for sentence in reporter.failures] == [True]
    assert len(responses.requests) == 3


async def test_wait_for_rollout_with_timeout_at_stopped_registry_returns_what_was_seen_last() -> None:
    reporter = Reporter()
    with socket.socket() as bound:
        # Bound, so that no other program gets the port, and not listening.
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        assert (await wait(url, reporter, 6)).state == "rolling_out"
    assert len(reporter.failures) == 1


async def test_wait_for_rollout_that_finishes_in_the_last_pause_returns_it_finished(
    responses: Responses, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.client.waiting.rollouts._LAST_LOOK_SECONDS", PATIENCE_SECONDS)
    responses.add(200, build_rollout("finished"))
    assert (await wait(url, Reporter(), 0.01)).state == "finished"


async def test_wait_for_rollout_that_was_deleted_raises_not_found(responses: Responses, url: str) -> None:
    responses.add(404, RolloutNotFound("There is no such roll-out.").to_json())
    with pytest.raises(RolloutNotFound):
        await wait(url, Reporter())
