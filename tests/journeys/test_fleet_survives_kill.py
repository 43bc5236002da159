"""Agents killed at random moments while models are disabled and get versions: visible files are complete and right."""

import hashlib
import os
import random
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.journeys.agent_processes import FilePoller, Machine, create_machine
from tests.journeys.postgres_and_bucket import run_registry
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file
from tests.waiting import PATIENCE_SECONDS, pause, wait_until

# On each of the two registries; `make kills` has 200.
KILLS = int(os.environ.get("MODELYARD_TEST_KILLS", "48"))
# Killed in parallel: an agent mostly waits for its rate limit and its disk.
MACHINES = 4
NIGHTLY = "loras/nightly.safetensors"
# A file takes most of a second, so that many kills interrupt a download.
RATE = "0.6MB"
SIZES = {"one": 150_000, "two": 300_000, "three": 450_000}
MAX_RANDOM_SECONDS = 1.4
CHANGE_SECONDS = 0.6
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module", params=["small", "large"])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with run_registry(request, tmp_path_factory.mktemp("registry")) as server:
        yield server


class ChangingModels:
    """The team's models, changed at random; with the SHA-256 of every content ever pushed, and the current contents."""

    def __init__(self, team: ApiCaller) -> None:
        self._team = team
        self._random = random.Random(4)
        self._number = 0
        self.all_hashes: set[str] = set()
        self.current: dict[str, bytes] = {}
        self._ids = {path: self._push(path) for path in (NIGHTLY, *(f"loras/{name}.safetensors" for name in SIZES))}

    def _push(self, path: str, **replaces: str) -> str:
        """Register new content at this path, as a new model or as a version, and return the model's id."""
        self._number += 1
        name = Path(path).stem
        content = make_model_file(f"{self._number} {name}", SIZES.get(name, 250_000))
        self.all_hashes.add(hashlib.sha256(content).hexdigest())
        self.current[path] = content
        return str(self._team.post("/models", **self._team.new_model(content, path, **replaces)).json()["id"])

    def change(self) -> None:
        """Give a random model a version, disable or enable it; the nightly one only gets versions."""
        path = self._random.choice(list(self._ids))
        status = self._random.choice(["active", "disabled", "active"])
        if path == NIGHTLY or status == "active":
            assert self._push(path, replaces=self._ids[path]) == self._ids[path]
        if path != NIGHTLY:
            self._team.put(f"/models/{self._ids[path]}", model_status=status)

    def enable_all(self) -> None:
        """Enable every model and wait until all are verified."""
        for model_id in self._ids.values():
            self._team.put(f"/models/{model_id}", model_status="active")
            self._team.wait_until_verified(model_id)


def kill_repeatedly(machine: Machine, poller: FilePoller, kills: int, seed: int) -> int:
    """Start and kill the machine's agent ``kills`` times; return how many kills interrupted a download.

    Every second kill comes at a random moment, the others just after the poller saw a new content.
    """
    random_source, interrupted = random.Random(seed), 0
    for number in range(kills):
        seen_before = len(poller.digests)
        agent = machine.start_forked()
        if number % 2:
            pause(random_source.uniform(0.1, MAX_RANDOM_SECONDS))
        else:
            wait_until(partial(poller.has_seen_more_than, seen_before))
        work_files = machine.list_work_files()
        agent.kill()
        assert agent.wait() == -signal.SIGKILL
        interrupted += any(name.endswith(".part") for name in work_files)
    return interrupted


def sync_completely(machines: list[Machine], models: ChangingModels) -> None:
    """Enable all models, run every agent until its machine has all of them, and stop the agents."""
    models.enable_all()
    agents = [machine.start() for machine in machines]
    wait_until(lambda: all(machine.has_file(*desired) for machine in machines for desired in models.current.items()))
    for agent in agents:
        agent.send_signal(signal.SIGTERM)
    assert [agent.wait(PATIENCE_SECONDS) for agent in agents] == [0] * len(agents)


def test_agents_killed_at_random_moments_show_only_complete_files(
    tmp_path: Path, registry: RunningServer, team: ApiCaller, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ChangingModels(team)
    machines = [create_machine(team, tmp_path / f"render-{n}", registry.url, RATE_LIMIT=RATE) for n in range(MACHINES)]
    kills_per_machine = KILLS // MACHINES
    with ExitStack() as opened, ThreadPoolExecutor(MACHINES) as threads:
        pollers = [opened.enter_context(FilePoller(machine.models, (NIGHTLY,))) for machine in machines]
        futures = [
            threads.submit(kill_repeatedly, machine, poller, kills_per_machine, seed)
            for seed, (machine, poller) in enumerate(zip(machines, pollers, strict=True))
        ]
        while not all(future.done() for future in futures):
            pause(CHANGE_SECONDS)
            models.change()
        sync_completely(machines, models)
    seen = {digest for poller in pollers for digest in poller.digests}
    with capsys.disabled():
        sys.stdout.write(
            f"\n{kills_per_machine * MACHINES} kills, {sum(future.result() for future in futures)} of them"
            f" during a download;"
            f" {sum(poller.polls for poller in pollers)} polls hashed"
            f" {sum(poller.digests.total() for poller in pollers)} files:"
            f" {len(seen)} contents of {len(models.all_hashes)}\n"
        )
    assert seen <= models.all_hashes
    assert len(seen) > len(models.current)
    assert [poller.gaps[NIGHTLY] for poller in pollers] == [0] * MACHINES
    # Files of models that are no longer desired stay for a day: partial files, and files that a kill kept from the
    # trash.
    desired = {hashlib.sha256(content).hexdigest() for content in models.current.values()}
    left_over = {name for machine in machines for name in machine.list_work_files()}
    assert left_over.isdisjoint(f"{digest}.render-{number}.part" for digest in desired for number in range(MACHINES))
