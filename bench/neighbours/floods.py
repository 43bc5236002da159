"""The floods by name: each prepares a server for one, and returns it."""

import json
from collections.abc import Callable
from functools import partial

from bench.neighbours.files import build_expensive_pickle, build_large_header
from bench.neighbours.flood import Flood, FloodFailedError
from bench.neighbours.latency import MeasuredRequest
from bench.neighbours.teams import create_team, create_viewer, register_copies
from modelyard.wire.agents.values import MAX_HEARTBEAT_STATES
from modelyard.wire.uploads import UploadRequest
from tests.attacks.test_request_bodies import PUBLIC_PATH
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file
from tests.server.models.test_search_limits import EXPENSIVE_SEARCHES

LIST_MODELS = MeasuredRequest("GET /models", "GET", "/api/v1/models")
LIVENESS = MeasuredRequest("GET /healthz", "GET", "/healthz")
SEARCHED_MODELS, SEARCH_CONNECTIONS = 2_000, 48
SEARCHES = [search for search, _ in EXPENSIVE_SEARCHES.values()]
BRACKET_CONNECTIONS, MACHINES, PICKLES, HEADERS = 4, 12, 180, 20
PrepareFlood = Callable[[RunningServer], Flood]


def prepare_searches(server: RunningServer) -> Flood:
    """Create a team whose models have names and tags of great length that repeat two letters, and search it."""
    team = create_team(server, "Expensive")
    register_copies(
        team,
        (
            {"display_name": "ab" * 47 + f"{n:06}", "tags": [f"{'ab' * 29}{n % 50:02}{tag:04}" for tag in range(16)]}
            for n in range(SEARCHED_MODELS)
        ),
    )
    arguments = [str(server.port), str(SEARCH_CONNECTIONS), *_get_credentials(team), *SEARCHES]
    return Flood([LIST_MODELS], "send_searches", arguments, frozenset({"200", "503"}), frozenset({"200"}))


def prepare_brackets(server: RunningServer, path: str, statuses: frozenset[str], *, signed_in: bool = False) -> Flood:
    """Send a megabyte of JSON brackets again and again, on four connections."""
    arguments = [
        str(server.port),
        path,
        str(BRACKET_CONNECTIONS),
        *(_get_credentials(create_viewer(server)) if signed_in else []),
    ]
    # An early refusal may end in a broken connection.
    return Flood([LIVENESS, LIST_MODELS], "send_brackets", arguments, statuses | {"none"}, statuses)


def prepare_heartbeats(server: RunningServer) -> Flood:
    """Let machines of one team all report as many changes as a heartbeat may carry, while another team writes."""
    owner = server.owner()
    model_id = owner.register(make_model_file("other"), "loras/other.safetensors")
    team = create_team(server, "Many machines")
    model_ids = register_copies(team, ({} for _ in range(MAX_HEARTBEAT_STATES - 1)))
    key = team.post("/credentials", kind="agent", display_name="Machines").json()["raw_key"]
    change = MeasuredRequest("PUT /models/{id}", "PUT", f"/api/v1/models/{model_id}", {"description": "A note."})
    arguments = [str(server.port), key, str(MACHINES)]
    return Flood([change], "send_heartbeats", arguments, frozenset({"200", "503"}), frozenset({"200"}), model_ids)


def prepare_files(server: RunningServer) -> Flood:
    """Upload many small files that are expensive to inspect, which a viewer's team registers at once."""
    owner = server.owner()
    for number in range(20):
        owner.register(make_model_file(f"{number}"), f"loras/{number}.safetensors")
    sender = create_viewer(server)
    bodies = [sender.new_model(build_expensive_pickle(each), f"checkpoints/{each}.pt") for each in range(PICKLES)]
    bodies += [sender.new_model(build_large_header(each), f"loras/{each}.safetensors") for each in range(HEADERS)]
    new = UploadRequest(file_name="a.gguf", file_size=1, model_type="loras", model_path="loras/a.gguf").model_dump()
    presign = MeasuredRequest("POST /models/presign", "POST", "/api/v1/models/presign", new)
    return Flood(
        [LIST_MODELS, presign],
        "send_registrations",
        [str(server.port), *_get_credentials(sender)],
        frozenset({"201"}),
        frozenset({"201"}),
        [json.dumps(body) for body in bodies],
        partial(_check_some_wait, sender),
    )


def _check_some_wait(sender: ApiCaller) -> None:
    """Check that files of the sender wait for verification, or are not registered yet."""
    counted = sender.get("/models", verification="pending").json()["page_meta"]["total_count"]
    if not counted:
        raise FloodFailedError("all files were inspected before the measurement ended; measure for fewer --seconds")


def _get_credentials(caller: ApiCaller) -> list[str]:
    return [caller.headers["Authorization"], caller.headers["X-Team-ID"]]


MEMBERS_PATH = "/api/v1/uploads/multipart/complete"
FLOODS: dict[str, PrepareFlood] = {
    "searches": prepare_searches,
    "brackets-public": partial(prepare_brackets, path=PUBLIC_PATH, statuses=frozenset({"413"})),
    "brackets-stranger": partial(prepare_brackets, path="/api/v1/models", statuses=frozenset({"401"})),
    "brackets-member": partial(prepare_brackets, path=MEMBERS_PATH, statuses=frozenset({"400"}), signed_in=True),
    "heartbeats": prepare_heartbeats,
    "files": prepare_files,
}
