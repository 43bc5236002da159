"""Two servers on one database and one bucket, behind one nginx."""

import filecmp
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.journeys.command_line import CommandLine
from tests.journeys.fault_proxy import FaultProxy
from tests.journeys.postgres_and_bucket import create_database_and_bucket
from tests.journeys.upload_sizes import MEBIBYTE, PART_SIZE, SINGLE_PUT_LIMIT
from tests.nginx import RunningNginx
from tests.ports import free_port
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.harness import ApiCaller
from tests.waiting import PATIENCE_SECONDS, pause, wait_until
from tools.model_files import write_safetensors

SIZE = 60 * MEBIBYTE
FILES = 12
CREATORS = 4


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[RunningNginx]:
    with RunningNginx(tmp_path / "nginx") as nginx:
        yield nginx


@contextmanager
def running_servers(folder: Path, **settings: str) -> Iterator[list[RunningServer]]:
    """Run two servers with small upload parts, each on a port of its own that stays the same after a restart."""
    settings |= {"part_size": str(PART_SIZE), "single_put_limit": str(SINGLE_PUT_LIMIT)}
    pair = [RunningServer(folder / name, port=free_port(), **settings) for name in ("left", "right")]
    with pair[0], pair[1]:
        yield pair


@pytest.fixture
def two_servers(
    tmp_path: Path, postgres_server: RunningPostgres, seaweed_server: RunningSeaweed
) -> Iterator[list[RunningServer]]:
    """Run two servers on one database and bucket."""
    with (
        create_database_and_bucket(postgres_server, seaweed_server) as settings,
        running_servers(tmp_path, **settings) as servers,
    ):
        yield servers


@pytest.fixture
def servers(
    tmp_path: Path, nginx: RunningNginx, postgres_server: RunningPostgres, seaweed_server: RunningSeaweed
) -> Iterator[list[RunningServer]]:
    """Run two servers on one database and bucket behind nginx."""
    proxied = {"public_url": nginx.url, "trusted_proxies": "127.0.0.1"}
    with (
        create_database_and_bucket(postgres_server, seaweed_server) as settings,
        running_servers(tmp_path, **settings, **proxied) as servers,
    ):
        nginx.serve(*(server.port for server in servers))
        yield servers


@pytest.fixture
def modelyard(tmp_path: Path, nginx: RunningNginx, servers: list[RunningServer]) -> CommandLine:
    program = CommandLine(tmp_path / "home", nginx.url, servers[0].owner())
    program.set_environment(SSL_CERT_FILE=str(nginx.certificate))
    return program


@contextmanager
def killing_alternately(servers: list[RunningServer], seconds_up: float) -> Iterator[list[RunningServer]]:
    """Kill and restart one server after the other until the block ends; yield the list of those killed so far."""
    killed: list[RunningServer] = []
    is_over = threading.Event()

    def kill_until_over() -> None:
        for server in itertools.cycle(servers):
            if is_over.wait(seconds_up):
                return
            server.kill()
            killed.append(server)
            server.start()

    killer = threading.Thread(target=kill_until_over)
    killer.start()
    try:
        yield killed
    finally:
        is_over.set()
        killer.join()


def test_push_while_one_of_two_servers_is_killed_registers_every_file(
    servers: list[RunningServer], modelyard: CommandLine, new_file: Callable[..., Path], tmp_path: Path
) -> None:
    large_file = new_file(SIZE, "large.safetensors")
    for number in range(FILES):
        write_safetensors(large_file.with_name(f"small-{number}.safetensors"), MEBIBYTE)
    push = modelyard.start("push", large_file.parent, "--limit-rate", "5MB", "--no-wait", "--json")

    with killing_alternately(servers, seconds_up=1.0) as killed:
        result = push.wait_for_exit()

    assert len(killed) >= 2
    assert result.code == 0, result
    assert [file["outcome"] for file in json.loads(result.out)["files"]] == ["registered"] * (FILES + 1)
    models = modelyard.run_json("ls", "--all")["model_list"]
    assert len(models) == FILES + 1
    wait_until_verified(modelyard)
    modelyard.run_json("pull", *(model["id"] for model in models), "-o", tmp_path / "pulled")
    files = [file.name for file in large_file.parent.iterdir()]
    assert filecmp.cmpfiles(large_file.parent, tmp_path / "pulled", files, shallow=False)[0] == files


@pytest.mark.core
def test_push_whose_server_is_killed_continues_on_the_other_server(
    tmp_path: Path, two_servers: list[RunningServer], new_file: Callable[..., Path]
) -> None:
    left, right = two_servers
    owner = left.owner()
    proxy = FaultProxy(left.url)
    modelyard = CommandLine(tmp_path / "home", proxy.url, owner)
    file = new_file(SIZE)
    push = modelyard.start("push", file, "--limit-rate", "20MB")
    wait_until(lambda: modelyard.unfinished_uploads)

    left.kill()
    proxy.forward_to(right.url)

    assert push.wait_for_exit().code == 0
    assert modelyard.run("pull", "ink", "-o", tmp_path / "pulled").code == 0
    proxy.close()
    assert filecmp.cmp(file, tmp_path / "pulled" / file.name, shallow=False)
    assert modelyard.unfinished_uploads == []


class TeamCreator:
    """Creates teams through nginx until stopped; calls without a response or with a 503 are not repeated."""

    def __init__(self, caller: ApiCaller, nginx: RunningNginx) -> None:
        self.acknowledged: set[str] = set()
        self.statuses: set[int] = set()
        self._caller, self._nginx = caller, nginx
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._create_until_over)
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _create_until_over(self) -> None:
        """Create teams until stopped; record the acknowledged ids and all statuses."""
        headers = self._caller.headers
        with httpx2.Client(verify=self._nginx.trusting_context, trust_env=False, headers=headers, timeout=60) as client:
            while not self._is_over.is_set():
                try:
                    response = client.post(
                        f"{self._nginx.url}/api/v1/teams", json={"display_name": "Created during kills"}
                    )
                except httpx2.TransportError:
                    pause(0.05)
                    continue
                self.statuses.add(response.status_code)
                if response.status_code == 201:
                    self.acknowledged.add(response.json()["id"])
                else:
                    # Calls that fail at once would exceed the 200 a second that nginx allows an address.
                    pause(0.05)


def test_write_acknowledged_by_killed_server_is_visible_on_the_other(
    servers: list[RunningServer], nginx: RunningNginx
) -> None:
    owner = servers[0].owner()
    creators = [TeamCreator(owner, nginx) for _ in range(CREATORS)]
    with killing_alternately(servers, seconds_up=0.5) as killed:
        try:
            wait_until(lambda: len(killed) >= 3, 4 * PATIENCE_SECONDS)
        finally:
            for creator in creators:
                creator.stop()

    # nginx responds with 503 to a call whose server was killed.
    assert {201} <= set().union(*(creator.statuses for creator in creators)) <= {201, 503}
    acknowledged = set[str]().union(*(creator.acknowledged for creator in creators))
    listed = {team["id"] for team in servers[1].owner().get("/users/me").json()["team_list"]}
    assert len(acknowledged) > len(killed)
    assert acknowledged <= listed


def wait_until_verified(modelyard: CommandLine) -> None:
    """Wait until every model is verified: a killed server's lease must expire before another one verifies its blob."""
    wait_until(lambda: not modelyard.run_json("ls", "--verification", "pending")["model_list"], 4 * PATIENCE_SECONDS)
