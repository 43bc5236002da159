"""Two servers on one database and one bucket, behind one nginx."""

import filecmp
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.journeys.large import large
from tests.journeys.program import Program
from tests.journeys.sizes import MEBIBYTE, PART_SIZE, SINGLE_PUT_LIMIT
from tests.journeys.waiting import wait_for
from tests.nginx import RunningNginx
from tests.postgres import RunningPostgres, free_port
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.world import Someone
from tools.model_files import write_safetensors

SIZE = 60 * MEBIBYTE
FILES = 12
CALLERS = 4


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[RunningNginx]:
    with RunningNginx(tmp_path / "nginx") as nginx:
        yield nginx


@pytest.fixture
def servers(
    tmp_path: Path, nginx: RunningNginx, postgres_server: RunningPostgres, seaweed_server: RunningSeaweed
) -> Iterator[list[RunningServer]]:
    with large(postgres_server, seaweed_server) as settings, ExitStack() as opened:
        settings |= {"part_size": str(PART_SIZE), "single_put_limit": str(SINGLE_PUT_LIMIT)}
        settings |= {"public_url": nginx.url, "trusted_proxies": "127.0.0.1"}
        # A port of its own: a server that comes back is where nginx looks for it.
        pair = [RunningServer(tmp_path / name, port=free_port(), **settings) for name in ("left", "right")]
        servers = [opened.enter_context(server) for server in pair]
        nginx.serve(*(server.port for server in servers))
        yield servers


@pytest.fixture
def modelyard(tmp_path: Path, nginx: RunningNginx, servers: list[RunningServer]) -> Program:
    program = Program(tmp_path / "home", nginx.url, servers[0].owner())
    program.export(SSL_CERT_FILE=str(nginx.certificate))
    return program


@contextmanager
def killed_in_turn(servers: list[RunningServer], seconds_up: float) -> Iterator[list[RunningServer]]:
    """One server is killed and started again, then the other, until the block ends; those that were killed."""
    killed: list[RunningServer] = []
    is_over = threading.Event()

    def go_on() -> None:
        for server in itertools.cycle(servers):
            if is_over.wait(seconds_up):
                return
            server.kill()
            killed.append(server)
            server.start()

    killer = threading.Thread(target=go_on)
    killer.start()
    try:
        yield killed
    finally:
        is_over.set()
        killer.join()


def test_one_of_two_servers_is_killed_and_nothing_is_lost(
    servers: list[RunningServer], modelyard: Program, new_file: Callable[..., Path], tmp_path: Path
) -> None:
    large_file = new_file(SIZE, "large.safetensors")
    for number in range(FILES):
        write_safetensors(large_file.with_name(f"small-{number}.safetensors"), MEBIBYTE)
    push = modelyard.start("push", large_file.parent, "--limit-rate", "5MB", "--no-wait", "--json")

    with killed_in_turn(servers, seconds_up=1.0) as killed:
        ended = push.end()

    assert len(killed) >= 2
    assert ended.code == 0, ended
    assert [each["outcome"] for each in json.loads(ended.out)["files"]] == ["registered"] * (FILES + 1)
    models = modelyard.ask("ls", "--all")["model_list"]
    assert len(models) == FILES + 1
    wait_until_verified(modelyard)
    modelyard.ask("pull", *(model["id"] for model in models), "-o", tmp_path / "pulled")
    files = [file.name for file in large_file.parent.iterdir()]
    assert filecmp.cmpfiles(large_file.parent, tmp_path / "pulled", files, shallow=False)[0] == files


class Caller:
    """Makes teams, one after the other, through nginx; a call without an answer, or with a 503, is left at that."""

    def __init__(self, someone: Someone, nginx: RunningNginx) -> None:
        self.acknowledged: set[str] = set()
        self.statuses: set[int] = set()
        self._someone, self._nginx = someone, nginx
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._call_on)
        self._thread.start()

    def end(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _call_on(self) -> None:
        headers = self._someone.headers
        with httpx2.Client(verify=self._nginx.trust, trust_env=False, headers=headers, timeout=60) as client:
            while not self._is_over.is_set():
                try:
                    answer = client.post(f"{self._nginx.url}/api/v1/teams", json={"display_name": "Made under fire"})
                except httpx2.TransportError:
                    continue
                self.statuses.add(answer.status_code)
                if answer.status_code == 201:
                    self.acknowledged.add(answer.json()["id"])


def test_what_one_of_two_servers_acknowledged_before_it_was_killed_is_there(
    servers: list[RunningServer], nginx: RunningNginx
) -> None:
    owner = servers[0].owner()
    callers = [Caller(owner, nginx) for _ in range(CALLERS)]
    with killed_in_turn(servers, seconds_up=0.5) as killed:
        try:
            wait_for(lambda: len(killed) >= 3, seconds=120)
        finally:
            for caller in callers:
                caller.end()

    # 503 is nginx's word for a call whose server died under it.
    assert {201} <= set().union(*(caller.statuses for caller in callers)) <= {201, 503}
    acknowledged = set[str]().union(*(caller.acknowledged for caller in callers))
    there = {team["id"] for team in servers[1].owner().get("/users/me").json()["team_list"]}
    assert len(acknowledged) > len(killed)
    assert acknowledged <= there


def wait_until_verified(modelyard: Program) -> None:
    """What a server read when it was killed is read by nobody else until its lease is over."""
    wait_for(lambda: not modelyard.ask("ls", "--verification", "pending")["model_list"], 200)
