"""The agent's long polls, when the registry answers them at once as unchanged."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.agent.agent_machine import AgentMachine, wait_until
from tests.agent.malicious_registry import CannedResponse, MaliciousRegistry, build_entry, build_manifest_response

pytestmark = pytest.mark.slow

CONTENT = b"good" * 6
DESIRED = build_entry("loras/ink.pt", CONTENT)
UNCHANGED = CannedResponse(b"", 304)
LIMITED = CannedResponse(b"Too many requests", 429)
ACCEPTED = {
    "resend_all": False,
    "paused": False,
    "approved_removal": None,
    "sync_now": False,
    "interval_seconds": 30,
}


class FullRegistry(MaliciousRegistry):
    """A registry without a place for long polls, whose heartbeats are answered without instructions."""

    def answer_post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | CannedResponse:
        if path.endswith("/models/download-batch"):
            return super().answer_post(path, body)
        self.heartbeats.append(body)
        return ACCEPTED


async def test_agent_polls_answered_at_once_wait_the_interval_until_a_poll_is_requested(tmp_path: Path) -> None:
    waits = threading.Event()
    with FullRegistry([build_manifest_response(), *[UNCHANGED] * 10_000], {DESIRED["id"]: CONTENT}) as registry:
        heartbeats: list[int] = []

        def return_longest_wait() -> float:
            """Return a jitter that makes the interval longer than the test."""
            heartbeats.append(len(registry.heartbeats))
            waits.set()
            return 10_000.0

        machine = AgentMachine(tmp_path / "machine", registry.url, "ak-x", "machine")
        async with machine.running() as agent:
            agent.poller.schedule.get_jitter = return_longest_wait
            await wait_until(waits.is_set)
            polls = registry.manifest_requests
            # Each early answer requests a heartbeat, which may have an instruction.
            await wait_until(lambda: len(registry.heartbeats) > heartbeats[0])
            assert registry.manifest_requests == polls
            registry.script = [build_manifest_response(DESIRED)] * 10_000
            agent.poller.poll_now()
            await wait_until(lambda: machine.has_file("loras/ink.pt"))


class RefusingProxy(MaliciousRegistry):
    """A proxy that answers each request itself."""

    def answer_post(self, path: str, body: dict[str, Any]) -> CannedResponse:
        return LIMITED


async def test_agent_behind_refusing_proxy_names_it_and_when_it_asks_again(tmp_path: Path) -> None:
    with RefusingProxy([LIMITED] * 10_000, {}) as registry:
        machine = AgentMachine(tmp_path / "machine", registry.url, "ak-x", "machine")
        async with machine.running():
            await wait_until(lambda: machine.status and machine.status.link_retry_at)
            status = await asyncio.to_thread(lambda: machine.status)
        ended = await asyncio.to_thread(lambda: machine.status)
    assert status is not None
    assert (status.link, str(status.link_reason).endswith("and the proxies on the way to it.")) == ("lost", True)
    assert ended is not None
    assert (ended.link_retry_at, ended.retry_at) == (None, None)
