"""Agents as people run them: processes on machines of their own, on both set-ups of a registry."""

import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.journeys.large import large, serving
from tests.journeys.machines import Machine, Poller, new_machine, resident_bytes
from tests.journeys.program import Program
from tests.journeys.sizes import MEBIBYTE, PART_SIZE, SINGLE_PUT_LIMIT
from tests.journeys.waiting import wait_for
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.world import Someone

MOST_RESIDENT = 150 * MEBIBYTE
INK = "loras/ink.safetensors"
NIGHTS = 6
# So many looks of a poller that an agent has heard of news and acted on it meanwhile, several times.
A_WHILE = 200
SIZES = {"part_size": str(PART_SIZE), "single_put_limit": str(SINGLE_PUT_LIMIT)}


@pytest.fixture(scope="module", params=["small", "large"])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(request, tmp_path_factory.mktemp("registry"), **SIZES) as server:
        yield server


@contextmanager
def at_work(machines: Sequence[Machine]) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Their agents, which end as they should after the block."""
    agents = [machine.start() for machine in machines]
    try:
        yield agents
    finally:
        for agent in agents:
            agent.send_signal(signal.SIGTERM)
        codes = [agent.wait(30) for agent in agents]
    assert codes == [0] * len(agents)


def test_what_is_pushed_arrives_on_every_machine_and_what_is_disabled_leaves(
    tmp_path: Path, registry: RunningServer, team: Someone, modelyard: Program, new_file: Callable[..., Path]
) -> None:
    machines = [new_machine(team, tmp_path / name, registry.url) for name in ("render-01", "render-02")]
    with at_work(machines) as agents:
        file = new_file(12 * MEBIBYTE)
        content = file.read_bytes()
        assert modelyard.run("push", file).code == 0
        wait_for(lambda: all(machine.has(INK, content) for machine in machines))
        wait_for(lambda: bool(modelyard.ask("show", "ink")["agents_ready"] == 2))
        assert modelyard.run("disable", "ink").code == 0
        wait_for(lambda: not any((machine.models / INK).exists() for machine in machines))
        assert modelyard.run("enable", "ink").code == 0
        wait_for(lambda: all(machine.has(INK, content) for machine in machines))
        # The file has its name a moment before the log says where it came from.
        wait_for(lambda: all("from trash" in machine.log.read_text() for machine in machines))
        assert max(map(resident_bytes, agents)) <= MOST_RESIDENT


def test_a_nightly_push_never_leaves_a_machine_without_the_file(
    tmp_path: Path, registry: RunningServer, team: Someone, modelyard: Program, new_file: Callable[..., Path]
) -> None:
    machine = new_machine(team, tmp_path / "render-01", registry.url)
    contents = []
    with at_work([machine]), Poller(machine.models, (INK,)) as poller:
        for _ in range(NIGHTS):
            file = new_file(6 * MEBIBYTE)
            contents.append(file.read_bytes())
            assert modelyard.run("push", file, "--replace").code == 0
            wait_for(lambda: machine.has(INK, contents[-1]) and poller.saw(contents[-1]))
    assert poller.gaps[INK] == 0
    assert len(set(contents)) == NIGHTS
    assert all(map(poller.saw, contents))
    assert len(poller.digests) == NIGHTS


class Unread:
    """A registry on PostgreSQL and a bucket that reads what arrives only while its worker works."""

    def __init__(self, server: RunningServer, folder: Path, settings: dict[str, str]) -> None:
        self.server = server
        self._worker = Program(folder)
        self._worker.export(**{f"MODELYARD_{name.upper()}": value for name, value in settings.items()})
        self._folder = folder

    @contextmanager
    def worker(self) -> Iterator[None]:
        running = self._worker.start("serve", "--no-http", "--data-dir", self._folder / "worker")
        try:
            yield
        finally:
            assert running.end(signal.SIGTERM).code == 0


@pytest.fixture
def unread(tmp_path: Path, postgres_server: RunningPostgres, seaweed_server: RunningSeaweed) -> Iterator[Unread]:
    with (
        large(postgres_server, seaweed_server) as settings,
        RunningServer(tmp_path / "server", port=0, verification_workers="0", **settings) as server,
    ):
        yield Unread(server, tmp_path, settings)


def test_while_nobody_has_read_a_nightly_push_every_machine_keeps_what_it_had(
    tmp_path: Path, unread: Unread, new_file: Callable[..., Path]
) -> None:
    owner = unread.server.owner()
    modelyard = Program(tmp_path / "home", unread.server.url, owner)
    first, late = (new_machine(owner, tmp_path / name, unread.server.url) for name in ("render-01", "render-02"))
    by_hand = tmp_path / "by-hand"
    by_hand.mkdir()
    file = new_file(3 * MEBIBYTE)
    old = file.read_bytes()
    with at_work([first]), Poller(first.models, (INK,)) as poller, Poller(by_hand, (INK,)) as beside:
        with unread.worker():
            assert modelyard.run("push", file).code == 0
            wait_for(lambda: first.has(INK, old))
            assert modelyard.run("sync", by_hand).code == 0
        new = new_file(4 * MEBIBYTE).read_bytes()
        assert modelyard.run("push", file, "--replace", "--no-wait").code == 0
        assert modelyard.ask("show", "ink")["verification"] == "pending"

        with at_work([late]):
            wait_for(lambda: late.has(INK, old))
            assert owner.post("/agents/render-01/sync").status_code == 200
            assert "not verified it yet" in modelyard.run("sync", by_hand).err
            looks = poller.polls + A_WHILE
            wait_for(lambda: poller.polls > looks)
            assert first.has(INK, old)
            with unread.worker():
                wait_for(lambda: all(machine.has(INK, new) for machine in (first, late)))
                assert modelyard.run("sync", by_hand).code == 0
        assert (by_hand / INK).read_bytes() == new
    assert poller.gaps[INK] == beside.gaps[INK] == 0
    assert len(poller.digests) == len(beside.digests) == 2
