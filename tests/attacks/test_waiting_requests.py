"""Clients that hold many waiting requests: others must still be served, and clients that have gone hold none."""

import contextlib
import re
import selectors
import socket
from collections.abc import Iterator

import pytest

from modelyard.server.http.waiting.places import PLACES_PER_CALLER
from tests.running import RunningServer
from tests.server.agents.machine import Machine
from tests.server.harness import ApiCaller
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow

# Of these files, 112 may be connections, 56 of those may wait, and 42 for one person or team.
OPEN_FILES = 424
TEAM_PLACES = 42
# All polls at once would need all connections until they are authenticated.
BATCH = 60
BATCHES = (BATCH, 2 * BATCH)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = RunningServer(tmp_path_factory.mktemp("registry") / "data")
    server.open_files = (OPEN_FILES, OPEN_FILES)
    with server:
        yield server


@pytest.fixture
def owner(server: RunningServer) -> ApiCaller:
    """The owner in a new team."""
    return server.create_team()


def create_machine(server: RunningServer, owner: ApiCaller, agent_id: str = "render-07") -> Machine:
    """Return a machine of the owner's team, with a key of its own, that has sent a heartbeat."""
    key = owner.post("/credentials", kind="agent", display_name=agent_id).json()["raw_key"]
    machine = Machine(ApiCaller(owner.client, key), agent_id)
    machine.beat()
    return machine


def get_etag(machine: Machine) -> str:
    """Return the ETag of a machine's current manifest."""
    return machine.manifest().headers["ETag"]


class LongPolls(contextlib.ExitStack):
    """Long polls, each on a connection of its own, which is open until the block ends."""

    def __init__(self, server: RunningServer) -> None:
        super().__init__()
        self._port = server.port
        self._unanswered = selectors.DefaultSelector()
        self.answers: list[bytes] = []

    def send(self, machine: Machine, etag: str) -> None:
        """Send a poll of a machine that has the manifest with this ETag."""
        connection = self.enter_context(socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_SECONDS))
        lines = [
            f"GET /api/v1/agent/manifest?agent_id={machine.agent_id}&wait=60 HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Bearer {machine.key.token}",
            f"If-None-Match: {etag}",
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        self._unanswered.register(connection, selectors.EVENT_READ)

    def count_answers(self) -> int:
        """Receive the answers that have arrived, and return how many there are so far."""
        for key, _ in self._unanswered.select(timeout=0):
            self._unanswered.unregister(key.fileobj)
            with contextlib.suppress(ConnectionError):
                self.answers.append(key.fileobj.recv(65536)[:12])  # type: ignore[union-attr]  # a socket
        return len(self.answers)


def count_open_requests(server: RunningServer) -> int:
    """Return how many requests the server answers, apart from this one."""
    [count] = re.findall(r"^modelyard_open_requests (\S+)", server.client().get("/metrics").text, re.MULTILINE)
    return int(float(count)) - 1


def test_polls_of_one_machine_wait_twice_and_leave_connections_to_others(
    server: RunningServer, owner: ApiCaller
) -> None:
    machine = create_machine(server, owner)
    etag = get_etag(machine)
    with LongPolls(server) as polls:
        for sent in BATCHES:
            for _ in range(BATCH):
                polls.send(machine, etag)
            wait_until(lambda: polls.count_answers() == sent - PLACES_PER_CALLER)  # noqa: B023 - called at once
        assert set(polls.answers) == {b"HTTP/1.1 304"}
        assert server.owner().get("/models").status_code == 200


def test_polls_of_many_machines_leave_connections_and_places_to_others(server: RunningServer, owner: ApiCaller) -> None:
    first = create_machine(server, owner)
    machines = [first, *(Machine(first.key, f"render-{number}") for number in range(100, 99 + BATCH))]
    for machine in machines[1:]:
        machine.beat()
    etags = list(map(get_etag, machines))
    other_owner = server.stranger()
    other = create_machine(server, other_owner)
    with LongPolls(server) as polls, LongPolls(server) as others:
        for sent in BATCHES:
            for machine, etag in zip(machines, etags, strict=True):
                polls.send(machine, etag)
            wait_until(lambda: polls.count_answers() == sent - TEAM_PLACES)  # noqa: B023 - called at once
        assert set(polls.answers) == {b"HTTP/1.1 304"}
        others.send(other, get_etag(other))
        wait_until(lambda: count_open_requests(server) == TEAM_PLACES + 1)
        other_owner.register()
        wait_until(others.count_answers)
        assert others.answers == [b"HTTP/1.1 200"]


def test_place_of_a_client_that_has_gone_is_free(server: RunningServer, owner: ApiCaller) -> None:
    machine = create_machine(server, owner)
    etag = get_etag(machine)
    with LongPolls(server) as polls:
        for _ in range(PLACES_PER_CALLER):
            polls.send(machine, etag)
        wait_until(lambda: count_open_requests(server) == PLACES_PER_CALLER)
    wait_until(lambda: count_open_requests(server) == 0)
    with LongPolls(server) as polls:
        for _ in range(PLACES_PER_CALLER):
            polls.send(machine, etag)
        wait_until(lambda: count_open_requests(server) == PLACES_PER_CALLER)
        polls.send(machine, etag)
        wait_until(polls.count_answers)
        assert polls.answers == [b"HTTP/1.1 304"]
