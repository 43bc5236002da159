"""Agents as processes on several machines, against a registry on SQLite and on PostgreSQL with a bucket."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.journeys.agent_processes import FilePoller, create_machine, get_resident_bytes, running_agents
from tests.journeys.command_line import CommandLine
from tests.journeys.postgres_and_bucket import create_database_and_bucket, run_registry
from tests.journeys.upload_sizes import MEBIBYTE, PART_SIZE, SINGLE_PUT_LIMIT
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.harness import ApiCaller
from tests.waiting import wait_until

MAX_RESIDENT_BYTES = 150 * MEBIBYTE
INK = "loras/ink.safetensors"
PUSHES = 6
# Poll rounds in which an agent has certainly received a new manifest and applied it, several times.
POLLS_TO_WAIT = 200
SIZES = {"part_size": str(PART_SIZE), "single_put_limit": str(SINGLE_PUT_LIMIT)}


@pytest.fixture(scope="module", params=["small", "large"])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with run_registry(request, tmp_path_factory.mktemp("registry"), **SIZES) as server:
        yield server


@pytest.mark.core
def test_machines_download_pushed_model_remove_disabled_one_and_restore_it_from_trash(
    tmp_path: Path, registry: RunningServer, team: ApiCaller, modelyard: CommandLine, new_file: Callable[..., Path]
) -> None:
    machines = [create_machine(team, tmp_path / name, registry.url) for name in ("render-01", "render-02")]
    with running_agents(machines) as agents:
        file = new_file(12 * MEBIBYTE)
        content = file.read_bytes()
        assert modelyard.run("push", file).code == 0
        wait_until(lambda: all(machine.has_file(INK, content) for machine in machines))
        wait_until(lambda: bool(modelyard.run_json("show", "ink")["agents_ready"] == 2))
        assert modelyard.run("disable", "ink").code == 0
        wait_until(lambda: not any((machine.models / INK).exists() for machine in machines))
        assert modelyard.run("enable", "ink").code == 0
        wait_until(lambda: all(machine.has_file(INK, content) for machine in machines))
        # The file appears a moment before the log line that says where it came from.
        wait_until(lambda: all("from trash" in machine.log.read_text() for machine in machines))
        assert max(map(get_resident_bytes, agents)) <= MAX_RESIDENT_BYTES


def test_machine_replacing_file_after_each_push_never_misses_the_file(
    tmp_path: Path, registry: RunningServer, team: ApiCaller, modelyard: CommandLine, new_file: Callable[..., Path]
) -> None:
    machine = create_machine(team, tmp_path / "render-01", registry.url)
    contents = []
    with running_agents([machine]), FilePoller(machine.models, (INK,)) as poller:
        for _ in range(PUSHES):
            file = new_file(6 * MEBIBYTE)
            contents.append(file.read_bytes())
            assert modelyard.run("push", file, "--replace").code == 0
            wait_until(lambda: machine.has_file(INK, contents[-1]) and poller.has_seen(contents[-1]))
    assert poller.gaps[INK] == 0
    assert len(set(contents)) == PUSHES
    assert all(map(poller.has_seen, contents))
    assert len(poller.digests) == PUSHES


class RegistryWithoutWorker:
    """A registry on PostgreSQL and a bucket that verifies uploads only inside the blocks of ``worker``."""

    def __init__(self, server: RunningServer, folder: Path, settings: dict[str, str]) -> None:
        self.server = server
        self._worker = CommandLine(folder)
        self._worker.set_environment(**{f"MODELYARD_{name.upper()}": value for name, value in settings.items()})
        self._folder = folder

    @contextmanager
    def running_worker(self) -> Iterator[None]:
        """Run a worker process until the block ends, and check that it exits with 0."""
        running = self._worker.start("serve", "--no-http", "--data-dir", self._folder / "worker")
        try:
            yield
        finally:
            assert running.wait_for_exit(signal.SIGTERM).code == 0


@pytest.fixture
def registry_without_worker(
    tmp_path: Path, postgres_server: RunningPostgres, seaweed_server: RunningSeaweed
) -> Iterator[RegistryWithoutWorker]:
    with (
        create_database_and_bucket(postgres_server, seaweed_server) as settings,
        RunningServer(tmp_path / "server", port=0, verification_workers="0", **settings) as server,
    ):
        yield RegistryWithoutWorker(server, tmp_path, settings)


@pytest.mark.core
def test_machines_keep_current_version_until_pushed_version_is_verified(
    tmp_path: Path, registry_without_worker: RegistryWithoutWorker, new_file: Callable[..., Path]
) -> None:
    owner = registry_without_worker.server.owner()
    modelyard = CommandLine(tmp_path / "home", registry_without_worker.server.url, owner)
    first, second = (
        create_machine(owner, tmp_path / name, registry_without_worker.server.url)
        for name in ("render-01", "render-02")
    )
    synced_folder = tmp_path / "by-hand"
    synced_folder.mkdir()
    file = new_file(3 * MEBIBYTE)
    old = file.read_bytes()
    with (
        running_agents([first]),
        FilePoller(first.models, (INK,)) as poller,
        FilePoller(synced_folder, (INK,)) as sync_poller,
    ):
        with registry_without_worker.running_worker():
            assert modelyard.run("push", file).code == 0
            wait_until(lambda: first.has_file(INK, old))
            assert modelyard.run("sync", synced_folder).code == 0
        new = new_file(4 * MEBIBYTE).read_bytes()
        assert modelyard.run("push", file, "--replace", "--no-wait").code == 0
        model = modelyard.run_json("show", "ink")
        assert (model["version"], model["verification"], model["pending_version"]["version"]) == (1, "verified", 2)

        with running_agents([second]):
            wait_until(lambda: second.has_file(INK, old))
            assert owner.post("/agents/render-01/sync").status_code == 200
            assert modelyard.run("sync", synced_folder).code == 0
            assert (synced_folder / INK).read_bytes() == old
            polls = poller.polls + POLLS_TO_WAIT
            wait_until(lambda: poller.polls > polls)
            assert first.has_file(INK, old)
            with registry_without_worker.running_worker():
                wait_until(lambda: all(machine.has_file(INK, new) for machine in (first, second)))
                assert modelyard.run("sync", synced_folder).code == 0
        assert (synced_folder / INK).read_bytes() == new
    assert poller.gaps[INK] == sync_poller.gaps[INK] == 0
    assert len(poller.digests) == len(sync_poller.digests) == 2
