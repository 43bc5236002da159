"""Roll-outs of a collection to 50 simulated machines, also while the server and the machines are killed."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.fleet_simulation import SimulatedFleet, create_key
from bench.scale import no_database
from bench.table import Goal, Table
from tests.ports import free_port
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file

MACHINES, CANARIES = 50, 5
MAX_WAIT_SECONDS, PAUSE_SECONDS = 300.0, 0.2
ENDED = ("finished", "failed", "stopped")


@dataclass
class Studio:
    """A running registry with machines, and a held collection to which all of them are subscribed."""

    server: RunningServer
    models: int
    owner: ApiCaller = field(init=False)
    path: str = field(init=False)
    names: list[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.owner = self.server.owner()
        ids = [
            self.owner.register(make_model_file(f"{number}"), f"loras/{number}.safetensors", required_labels=["none"])
            for number in range(2 * self.models)
        ]
        self.path = f"/collections/{self.owner.post('/collections', name='Bench', model_list=[]).json()['id']}"
        self.owner.put(self.path, is_held=True)
        self.owner.post(f"{self.path}/subscriptions", label="gpu24")
        for part in (ids[: self.models], ids[self.models :]):
            self.owner.post(f"{self.path}/versions", model_list=[{"model_id": each} for each in part])
        self.names = [(f"bench-{number:03}", create_key(self.owner, number)) for number in range(MACHINES)]

    def start_fleet(self) -> SimulatedFleet:
        """Start the machines' process."""
        return SimulatedFleet(self.server.url, self.names)

    def add_labels(self) -> None:
        """Give all machines their labels, once each has sent a heartbeat."""
        _wait(lambda: len(self.owner.get("/agents", per_page=100).json()["agent_list"]) == MACHINES)
        for number, (agent_id, _) in enumerate(self.names):
            labels = ["gpu24", "canary"] if number < CANARIES else ["gpu24"]
            assert self.owner.put(f"/agents/{agent_id}", agent_labels=labels).status_code == 200

    def restart_server(self) -> None:
        """Kill the server, and start it again."""
        self.server.kill()
        self.server.start()
        self.owner = self.server.owner()

    def start_rollout(self, version: int) -> str:
        """Start an automatic roll-out; return its path."""
        started = self.owner.post(f"{self.path}/rollouts", version=version, canary_label="canary", is_automatic=True)
        assert started.status_code == 201, started.text
        return f"{self.path}/rollouts/{started.json()['id']}"

    def get_state(self, rollout: str) -> str:
        return str(self.owner.get(rollout).json()["state"])

    def count_converged(self) -> int:
        """Return how many machines have exactly the models of one version ready."""
        agents = self.owner.get("/agents", per_page=100).json()["agent_list"]
        return sum(each["models_ready"] == each["models_desired"] == self.models for each in agents)


def measure(home: Path, models: int) -> Iterator[tuple[list[Table], list[Goal]]]:
    """Roll out versions of so many models, on one database after the other."""
    with RunningPostgres() as postgres:
        for name, create_database in (("SQLite", no_database), ("PostgreSQL", postgres.database)):
            with create_database() as url:
                settings = {"log_level": "warning"} | ({} if url is None else {"database_url": url})
                folder = home / f"rollout-{name}"
                folder.mkdir()
                with RunningServer(folder / "data", port=free_port(), **settings) as server:
                    yield _measure_server(name, Studio(server, models))


def _measure_server(name: str, studio: Studio) -> tuple[list[Table], list[Goal]]:
    """Measure two roll-outs, of which the second is disturbed."""
    with studio.start_fleet():
        studio.add_labels()
        undisturbed = _time_rollout(studio, 2)
        converged = [studio.count_converged()]
    disturbed = _time_disturbed_rollout(studio, 3)
    converged.append(studio.count_converged())
    rows = [
        ["undisturbed", f"{undisturbed:.1f}", f"{converged[0]} of {MACHINES}"],
        ["server and machines killed in both steps", f"{disturbed:.1f}", f"{converged[1]} of {MACHINES}"],
    ]
    title = f"Roll-out of {studio.models} models to {MACHINES} machines, {CANARIES} of them canaries, {name}"
    goal = Goal(f"{name}: machines that converged after a roll-out", min(converged), MACHINES, at_least=True)
    return [Table(title, ["", "seconds", "converged"], rows)], [goal]


def _time_rollout(studio: Studio, version: int) -> float:
    """Return the seconds of a roll-out."""
    began = time.monotonic()
    rollout = studio.start_rollout(version)
    _wait(lambda: studio.get_state(rollout) in ENDED)
    return time.monotonic() - began


def _time_disturbed_rollout(studio: Studio, version: int) -> float:
    """Return the seconds of a roll-out during which the server is killed, and the machines while others get it."""
    began = time.monotonic()
    rollout = studio.start_rollout(version)
    studio.restart_server()
    with studio.start_fleet():
        _wait(lambda: studio.get_state(rollout) != "canary")
        studio.restart_server()
    with studio.start_fleet():
        _wait(lambda: studio.get_state(rollout) in ENDED)
    return time.monotonic() - began


def _wait(is_done: Callable[[], bool]) -> None:
    """Wait until a condition is true; it fails after ``MAX_WAIT_SECONDS``."""
    ends = time.monotonic() + MAX_WAIT_SECONDS
    while not is_done():
        assert time.monotonic() < ends, "It took too long."
        time.sleep(PAUSE_SECONDS)
