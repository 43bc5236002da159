"""Agents that are killed at any moment, while models come, go and are replaced: what is visible is whole and right."""

import hashlib
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.journeys.large import serving
from tests.journeys.machines import Machine, Poller, new_machine
from tests.journeys.waiting import wait_for
from tests.running import RunningServer
from tests.server.world import Someone, a_model_file

# On each set-up.
KILLS = int(os.environ.get("MODELYARD_TEST_KILLS", "100"))
# Killed side by side: an agent waits most of the time, for its rate limit and its disk.
MACHINES = 4
NIGHTLY = "loras/nightly.safetensors"
# A file takes most of a second, so that many lives end in the middle of one.
RATE = "0.6MB"
SIZES = {"one": 150_000, "two": 300_000, "three": 450_000}
LIFE_SECONDS, LONGEST_LIFE_SECONDS = 1.4, 5.0
CHANGE_SECONDS = 0.6
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module", params=["small", "large"])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(request, tmp_path_factory.mktemp("registry")) as server:
        yield server


class Studio:
    """Models that come, go and are replaced, and every content that was ever right."""

    def __init__(self, team: Someone) -> None:
        self._team = team
        self._chance = random.Random(4)
        self._number = 0
        self.right: set[str] = set()
        self.now: dict[str, bytes] = {}
        self._ids = {path: self._push(path) for path in (NIGHTLY, *(f"loras/{name}.safetensors" for name in SIZES))}

    def _push(self, path: str, **replaces: str) -> str:
        self._number += 1
        name = Path(path).stem
        content = a_model_file(f"{self._number} {name}", SIZES.get(name, 250_000))
        self.right.add(hashlib.sha256(content).hexdigest())
        self.now[path] = content
        return str(self._team.post("/models", **self._team.new_model(content, path, **replaces)).json()["id"])

    def change(self) -> None:
        """The nightly one is only ever replaced; of the others one is replaced, or goes, or comes back."""
        path = self._chance.choice(list(self._ids))
        status = self._chance.choice(["active", "disabled", "active"])
        if path == NIGHTLY or status == "active":
            self._ids[path] = self._push(path, replaces=self._ids[path])
        if path != NIGHTLY:
            self._team.put(f"/models/{self._ids[path]}", model_status=status)

    def calm(self) -> None:
        """Everything is wanted, and nothing changes any more."""
        for model_id in self._ids.values():
            self._team.put(f"/models/{model_id}", model_status="active")
            self._team.wait_until_read(model_id)


def killed_often(machine: Machine, poller: Poller, kills: int, seed: int) -> int:
    """Begin and kill the machine's agent so many times; how often that was in the middle of a file.

    Half of its lives end at any moment, half of them just after a new content was seen.
    """
    chance, halves = random.Random(seed), 0
    with machine.nursery() as agent:
        for number in range(kills):
            known, ends = len(poller.digests), time.monotonic() + LONGEST_LIFE_SECONDS
            agent.begin(machine.log, *machine.arguments)
            if number % 2:
                time.sleep(chance.uniform(0.1, LIFE_SECONDS))
            while not number % 2 and len(poller.digests) == known and time.monotonic() < ends:
                time.sleep(0.002)
            before = machine.unfinished()
            assert agent.end(signal.SIGKILL) == -signal.SIGKILL
            halves += any(name.endswith(".part") for name in before)
    return halves


def settle(machines: list[Machine], studio: Studio) -> None:
    """Let every machine's agent work until all is there, and end."""
    studio.calm()
    agents = [machine.start() for machine in machines]
    wait_for(lambda: all(machine.has(*wanted) for machine in machines for wanted in studio.now.items()))
    for agent in agents:
        agent.send_signal(signal.SIGTERM)
    assert [agent.wait(30) for agent in agents] == [0] * len(agents)


def test_agents_that_are_killed_at_any_moment_show_whole_files_only(
    tmp_path: Path, registry: RunningServer, team: Someone, capsys: pytest.CaptureFixture[str]
) -> None:
    studio = Studio(team)
    machines = [new_machine(team, tmp_path / f"render-{n}", registry.url, RATE_LIMIT=RATE) for n in range(MACHINES)]
    each = KILLS // MACHINES
    with ExitStack() as opened, ThreadPoolExecutor(MACHINES) as threads:
        pollers = [opened.enter_context(Poller(machine.models, (NIGHTLY,))) for machine in machines]
        killing = [
            threads.submit(killed_often, machine, poller, each, seed)
            for seed, (machine, poller) in enumerate(zip(machines, pollers, strict=True))
        ]
        while not all(one.done() for one in killing):
            time.sleep(CHANGE_SECONDS)
            studio.change()
        settle(machines, studio)
    seen = {digest for poller in pollers for digest in poller.digests}
    with capsys.disabled():
        sys.stdout.write(
            f"\n{each * MACHINES} kills, {sum(one.result() for one in killing)} of them with a file half there;"
            f" {sum(poller.polls for poller in pollers)} looks hashed"
            f" {sum(poller.digests.total() for poller in pollers)} files: {len(seen)} contents of {len(studio.right)}\n"
        )
    assert seen <= studio.right
    assert len(seen) > len(studio.now)
    assert [poller.gaps[NIGHTLY] for poller in pollers] == [0] * MACHINES
    # What is wanted no more rests for a day: half files, and what a kill kept from the trash.
    wanted = {hashlib.sha256(content).hexdigest() for content in studio.now.values()}
    left = {name for machine in machines for name in machine.unfinished()}
    assert left.isdisjoint(f"{digest}.render-{number}.part" for digest in wanted for number in range(MACHINES))
