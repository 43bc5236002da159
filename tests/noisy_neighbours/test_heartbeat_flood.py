"""Machines of one team that all report as many changes as a heartbeat may carry: other teams can still write."""

from contextlib import closing
from uuid import UUID, uuid4

from sqlalchemy import insert, select

from modelyard.server.database.session import Database, get_table
from modelyard.server.models.tables import ModelRow
from modelyard.wire.agents.values import MAX_HEARTBEAT_STATES
from tests.noisy_neighbours.latency import Comparison, Latencies, LatencyProbe, assert_stays_fast, for_seconds
from tests.noisy_neighbours.load_program import ExpectedResponses, sending
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file

MACHINES = 12
EXPECTED = ExpectedResponses(frozenset({"200", "503"}), minimum=MACHINES)
QUIET_SECONDS, LOADED_SECONDS = 2.0, 6.0
NOISE_SECONDS = 0.03
# A writer waits for one transaction of the flood. Behind all that wait, the median is twice this.
MAX_TIMES_SLOWER = {0.5: 4.0, 0.99: 10.0}


def create_team_with_many_models(server: RunningServer) -> tuple[ApiCaller, list[str]]:
    """Create a team with as many models as one heartbeat may name, copied from one; return its owner and their ids."""
    owner = server.owner()
    owner.team_id = owner.post("/teams", display_name="Many machines").json()["id"]
    first = owner.register(make_model_file("first"))
    models, ids = get_table(ModelRow), [uuid4() for _ in range(MAX_HEARTBEAT_STATES - 1)]
    with closing(Database(server.database_url)) as database, database.writing(UUID(owner.team_id)) as session:
        row = session.execute(select(models).where(models.c.id == UUID(first))).one()._asdict()
        paths = {model_id: f"loras/{model_id}.safetensors" for model_id in ids}
        rows = [row | {"id": each, "model_path": path, "path_key": path} for each, path in paths.items()]
        session.connection().execute(insert(models), rows)
    return owner, [first, *map(str, ids)]


def test_full_heartbeats_of_many_machines_leave_writes_of_other_teams_fast(server: RunningServer) -> None:
    owner = server.owner()
    model_id = owner.register(make_model_file("other"), "loras/other.safetensors")
    busy_team, model_ids = create_team_with_many_models(server)
    key = busy_team.post("/credentials", kind="agent", display_name="Machines").json()["raw_key"]
    probe = LatencyProbe(server.url, owner)

    def change(seconds: float) -> Latencies:
        return probe.measure("PUT", f"/api/v1/models/{model_id}", for_seconds(seconds), {"description": "A note."})

    def measure() -> list[Comparison]:
        quiet = [change(QUIET_SECONDS), change(QUIET_SECONDS)]
        with sending("send_heartbeats", [str(server.port), key, str(MACHINES)], EXPECTED, model_ids):
            loaded = change(LOADED_SECONDS)
        return [Comparison("PUT /models/{id}", quiet, loaded, MAX_TIMES_SLOWER, NOISE_SECONDS)]

    change(QUIET_SECONDS)
    assert_stays_fast(measure)
