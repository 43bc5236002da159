"""Machines that hold nothing: one process that speaks the agents' protocol for hundreds of them.

    python -m bench.fleet_machines URL < orders

The first order is the machines' names and keys, `[["bench-000", "ak-…"], …]`; each later one is the phase in which all
of them are from then on. For each manifest that comes, a line goes out: which machine, when (by the monotonic clock,
which all processes share), and how many models are in it; or, for a heartbeat that the registry was too busy to take,
null.

HTTP is spoken by hand: two hundred clients of a library would take more of the two cores than the server that is
measured. As the real agent does, a machine keeps the connection of its question for the manifest, and one on which
nothing was said for five seconds is not used again.
"""

import asyncio
import gzip
import json
import random
import sys
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from modelyard.agent.connection import LISTEN_SECONDS
from modelyard.agent.schedule import BUSY_BEAT, IDLE_BEAT, Backoff
from modelyard.wire.agents import MOST_STATES

KEPT_SECONDS = 5.0
Models = dict[str, str]  # by id: when it last changed


class Answer(NamedTuple):
    """What the registry said."""

    status: int
    headers: dict[str, str]
    body: bytes


class Link:
    """A connection to the registry, opened anew when it has rested too long."""

    def __init__(self, url: str, key: str) -> None:
        self._place = urlsplit(url)
        self._head = f"Host: {self._place.netloc}\r\nAuthorization: Bearer {key}\r\nAccept-Encoding: gzip\r\n"
        self._opened: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def ask(self, what: str, headers: str = "", body: bytes = b"") -> Answer:
        """The answer to ``what``: a method and a path."""
        loop = asyncio.get_running_loop()
        if self._opened is not None and loop.time() - self._used > KEPT_SECONDS:
            self._opened[1].close()
            self._opened = None
        if self._opened is None:
            self._opened = await asyncio.open_connection(self._place.hostname, self._place.port)
        reader, writer = self._opened
        length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        writer.write(f"{what} HTTP/1.1\r\n{self._head}{headers}{length}\r\n".encode() + body)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        said = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        content = await reader.readexactly(int(said.get("content-length", 0)))
        self._used = loop.time()
        return Answer(int(first.split()[1]), said, content)


class Fleet:
    """What all machines share: the manifests that came, read once each, and the phase that was ordered."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.phase = "idle"
        self.ordered = asyncio.Event()
        self._read: dict[str, Models] = {}

    def models_of(self, answer: Answer) -> Models:
        etag = answer.headers["etag"]
        if etag not in self._read:
            manifest = json.loads(gzip.decompress(answer.body))
            self._read[etag] = {model["id"]: model["updated_at"] for model in manifest["model_list"]}
        return self._read[etag]

    def order(self, phase: str) -> None:
        self.phase = phase
        self.ordered.set()
        self.ordered = asyncio.Event()


class Machine:
    """One of them: all its models are ready, and while the fleet is busy one comes on."""

    def __init__(self, fleet: Fleet, number: int, agent_id: str, key: str) -> None:
        self._fleet, self._number, self._agent_id = fleet, number, agent_id
        self._asking, self._telling = Link(fleet.url, key), Link(fleet.url, key)
        self._models: Models = {}
        self._untold: list[str] = []
        self._report, self._series, self._progress = 0, "bench", 0
        self._news = asyncio.Event()

    async def live(self, spread: float) -> None:
        """Begin after ``spread`` seconds, so that the heartbeats of a fleet do not come as one."""
        await asyncio.sleep(spread)
        await self._tell({})
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._beat())

    async def _listen(self) -> None:
        etag = ""
        while True:
            path = f"/api/v1/agent/manifest?agent_id={self._agent_id}&wait={LISTEN_SECONDS if etag else 0}"
            answer = await self._asking.ask(f"GET {path}", f"If-None-Match: {etag}\r\n" if etag else "")
            if answer.status == 304:
                continue
            assert answer.status == 200, answer
            etag, models = answer.headers["etag"], self._fleet.models_of(answer)
            self._say(len(models))
            self._untold += [model for model, changed in models.items() if self._models.get(model) != changed]
            self._models = models
            self._news.set()

    async def _beat(self) -> None:
        """The whole at first, then what changed; every two seconds while something comes, or as the registry asks."""
        await self._news.wait()
        await self._tell_whole()
        while True:
            self._news.clear()
            ordered = self._fleet.ordered
            untold, self._untold = self._untold[:MOST_STATES], self._untold[MOST_STATES:]
            states = [_state(model) for model in untold if model in self._models]
            if self._fleet.phase == "downloading":
                self._progress += 1_000_000
                states = [_state(next(iter(self._models)), "downloading", self._progress), *states[1:]]
            self._report += bool(states)
            interval = await self._tell({"model_list": states})
            if await _first_of(interval, ordered, self._news) is ordered:
                # A fleet is not ordered about: each machine gets busy in its own time.
                await asyncio.sleep(random.random() * BUSY_BEAT)  # noqa: S311 - no secret

    async def _tell_whole(self) -> None:
        ids, self._untold = sorted(self._models, key=UUID), []
        parts = [ids[start : start + MOST_STATES] for start in range(0, len(ids), MOST_STATES)] or [[]]
        after = None
        for part in parts:
            self._report += 1
            whole = {"is_whole": True, "whole_after": after, "is_last": part is parts[-1]}
            await self._tell({"model_list": [_state(model) for model in part], **whole})
            after = part[-1] if part else None

    async def _tell(self, said: dict[str, Any]) -> float:
        series = self._series if self._report else ""
        beat = {"agent_id": self._agent_id, "report_series": series, "report_number": self._report}
        beat |= {"sync_phase": self._fleet.phase, "agent_version": "0", "platform_arch": "linux-x86_64"}
        body, backoff = json.dumps(beat | said).encode(), Backoff()
        while (answer := await self._telling.ask("POST /api/v1/agent/heartbeat", body=body)).status == 503:
            self._say(None)
            await asyncio.sleep(backoff.next_wait())
        assert answer.status == 200, answer
        said_back = json.loads(answer.body)
        assert not (said_back["resend_all"] and self._report), said_back
        return float(said_back["interval_seconds"])

    def _say(self, models: int | None) -> None:
        print(json.dumps([self._number, asyncio.get_running_loop().time(), models]), flush=True)


def _state(model: str, state: str = "ready", done: int = 0) -> dict[str, Any]:
    return {"model_id": model, "state": state, "bytes_done": done}


async def _first_of(seconds: float, *events: asyncio.Event) -> asyncio.Event | None:
    """The first event of these to come in so many seconds."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    return next((event for event in events if event.is_set()), None)


async def _run(url: str) -> None:
    orders = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    names = json.loads(await orders.readline())
    fleet = Fleet(url)
    async with asyncio.TaskGroup() as tasks:
        for number, (agent_id, key) in enumerate(names):
            machine = Machine(fleet, number, agent_id, key)
            tasks.create_task(machine.live(IDLE_BEAT * number / len(names)))
        while line := await orders.readline():
            fleet.order(line.decode().strip())


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1]))
