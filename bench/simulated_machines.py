"""Simulated machines without files: one process that runs the agent protocol for hundreds of them.

    python -m bench.simulated_machines URL < orders

The first line of input has the machines' names and keys, `[["bench-000", "ak-…"], …]`; each later one is the phase of
all machines from then on. For each received manifest a line is printed: the machine's number, the time (of the
monotonic clock, which all processes share), and the number of models in it; or null for a heartbeat that was refused
with a 503.

HTTP is written directly to sockets: two hundred clients of a library would use more of the two cores than the measured
server. Like the real agent, a machine keeps one connection for its long polls and one for heartbeats, and does not
reuse a connection that was idle for five seconds.
"""

import asyncio
import gzip
import json
import random
import sys
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from modelyard.agent.registry.connection import LONG_POLL_SECONDS
from modelyard.agent.schedule import (
    BUSY_HEARTBEAT_SECONDS,
    EARLY_POLL_SECONDS,
    IDLE_HEARTBEAT_SECONDS,
    Backoff,
    PollSchedule,
)
from modelyard.wire.agents.values import MAX_HEARTBEAT_STATES

MAX_IDLE_SECONDS = 5.0
RETRY_SECONDS = 1.0
Models = dict[str, str]  # by id: when it last changed


class Response(NamedTuple):
    """One HTTP response of the registry."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A connection to the registry, reopened when it was idle for too long."""

    def __init__(self, url: str, key: str) -> None:
        self._address = urlsplit(url)
        self._head = f"Host: {self._address.netloc}\r\nAuthorization: Bearer {key}\r\nAccept-Encoding: gzip\r\n"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._last_used = 0.0

    async def request(self, method_and_path: str, headers: str = "", body: bytes = b"") -> Response:
        """Send a request (for example with ``GET /path``) until it is answered, and return the response."""
        while True:
            try:
                return await self._send(method_and_path, headers, body)
            except (OSError, asyncio.IncompleteReadError):
                self._streams = None
                await asyncio.sleep(RETRY_SECONDS)

    async def _send(self, method_and_path: str, headers: str, body: bytes) -> Response:
        """Send a request once, and return the response."""
        loop = asyncio.get_running_loop()
        if self._streams is not None and loop.time() - self._last_used > MAX_IDLE_SECONDS:
            self._streams[1].close()
            self._streams = None
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._address.hostname, self._address.port)
        reader, writer = self._streams
        length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        writer.write(f"{method_and_path} HTTP/1.1\r\n{self._head}{headers}{length}\r\n".encode() + body)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        received = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        content = await reader.readexactly(int(received.get("content-length", 0)))
        self._last_used = loop.time()
        return Response(int(first.split()[1]), received, content)


class Fleet:
    """What all machines share: the received manifests, parsed once for each ETag, and the current phase."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.phase = "idle"
        self.phase_changed = asyncio.Event()
        self._parsed: dict[str, Models] = {}

    def parse_manifest(self, response: Response) -> Models:
        """Return the manifest's models with their change times; parsed once for each ETag."""
        etag = response.headers["etag"]
        if etag not in self._parsed:
            manifest = json.loads(gzip.decompress(response.body))
            self._parsed[etag] = {model["id"]: model["updated_at"] for model in manifest["model_list"]}
        return self._parsed[etag]

    def set_phase(self, phase: str) -> None:
        self.phase = phase
        self.phase_changed.set()
        self.phase_changed = asyncio.Event()


class SimulatedMachine:
    """A simulated machine that reports all its models as ready, or one as downloading in that phase."""

    def __init__(self, fleet: Fleet, number: int, agent_id: str, key: str) -> None:
        self._fleet, self._number, self._agent_id = fleet, number, agent_id
        self._polling, self._heartbeats = Connection(fleet.url, key), Connection(fleet.url, key)
        self._models: Models = {}
        self._unreported: list[str] = []
        self._report, self._series, self._progress = 0, "bench", 0
        self._has_new_manifest = asyncio.Event()

    async def run(self, delay: float) -> None:
        """Start after ``delay`` seconds, so that a fleet's heartbeats are spread; then poll and send heartbeats."""
        await asyncio.sleep(delay)
        await self._send_heartbeat({})
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll_manifest())
            tasks.create_task(self._send_heartbeats())

    async def _poll_manifest(self) -> None:
        """Long-poll the manifest forever; report each new one and mark its changed models as unreported."""
        etag, schedule, loop = "", PollSchedule(), asyncio.get_running_loop()
        while True:
            began = loop.time()
            path = f"/api/v1/agent/manifest?agent_id={self._agent_id}&wait={LONG_POLL_SECONDS if etag else 0}"
            response = await self._polling.request(f"GET {path}", f"If-None-Match: {etag}\r\n" if etag else "")
            took = loop.time() - began
            if response.status == 304 and took < LONG_POLL_SECONDS - EARLY_POLL_SECONDS:
                await asyncio.sleep(schedule.next_wait(took))
                continue
            schedule.reset()
            if response.status == 304:
                continue
            assert response.status == 200, response
            etag, models = response.headers["etag"], self._fleet.parse_manifest(response)
            self._print_report(len(models))
            self._unreported += [model for model, changed in models.items() if self._models.get(model) != changed]
            self._models = models
            self._has_new_manifest.set()

    async def _send_heartbeats(self) -> None:
        """Report all models once, then changes, at the interval that the registry requests or at once on a change."""
        await self._has_new_manifest.wait()
        await self._report_all()
        while True:
            self._has_new_manifest.clear()
            phase_changed = self._fleet.phase_changed
            unreported, self._unreported = (
                self._unreported[:MAX_HEARTBEAT_STATES],
                self._unreported[MAX_HEARTBEAT_STATES:],
            )
            states = [_build_state(model) for model in unreported if model in self._models]
            if self._fleet.phase == "downloading":
                self._progress += 1_000_000
                states = [_build_state(next(iter(self._models)), "downloading", self._progress), *states[1:]]
            self._report += bool(states)
            interval = await self._send_heartbeat({"model_list": states})
            if await _wait_for_first(interval, phase_changed, self._has_new_manifest) is phase_changed:
                # In a real fleet the machines do not all change their phase at the same moment.
                await asyncio.sleep(random.random() * BUSY_HEARTBEAT_SECONDS)  # noqa: S311 - no secret

    async def _report_all(self) -> None:
        """Send a full report of all models, in parts of the maximum size."""
        ids, self._unreported = sorted(self._models, key=UUID), []
        parts = [ids[start : start + MAX_HEARTBEAT_STATES] for start in range(0, len(ids), MAX_HEARTBEAT_STATES)] or [
            []
        ]
        after = None
        for part in parts:
            self._report += 1
            report_fields = {"is_whole": True, "whole_after": after, "is_last": part is parts[-1]}
            await self._send_heartbeat({"model_list": [_build_state(model) for model in part], **report_fields})
            after = part[-1] if part else None

    async def _send_heartbeat(self, fields: dict[str, Any]) -> float:
        """Send a heartbeat, repeated with backoff after a 503; return the interval that the registry requires."""
        series = self._series if self._report else ""
        heartbeat = {"agent_id": self._agent_id, "report_series": series, "report_number": self._report}
        heartbeat |= {"sync_phase": self._fleet.phase, "agent_version": "0", "platform_arch": "linux-x86_64"}
        body, backoff = json.dumps(heartbeat | fields).encode(), Backoff()
        while (response := await self._heartbeats.request("POST /api/v1/agent/heartbeat", body=body)).status == 503:
            self._print_report(None)
            await asyncio.sleep(backoff.next_wait())
        assert response.status == 200, response
        reply = json.loads(response.body)
        assert not (reply["resend_all"] and self._report), reply
        return float(reply["interval_seconds"])

    def _print_report(self, models: int | None) -> None:
        print(json.dumps([self._number, asyncio.get_running_loop().time(), models]), flush=True)


def _build_state(model: str, state: str = "ready", done: int = 0) -> dict[str, Any]:
    return {"model_id": model, "state": state, "bytes_done": done}


async def _wait_for_first(seconds: float, *events: asyncio.Event) -> asyncio.Event | None:
    """Wait for the first of the events, at most ``seconds``; return it, or None on timeout."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    return next((event for event in events if event.is_set()), None)


async def _run(url: str) -> None:
    """Read the machines and then phases from stdin, and run all machines until it is closed."""
    orders = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    names = json.loads(await orders.readline())
    fleet = Fleet(url)
    async with asyncio.TaskGroup() as tasks:
        for number, (agent_id, key) in enumerate(names):
            describe_machine = SimulatedMachine(fleet, number, agent_id, key)
            tasks.create_task(describe_machine.run(IDLE_HEARTBEAT_SECONDS * number / len(names)))
        while line := await orders.readline():
            fleet.set_phase(line.decode().strip())


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1]))
