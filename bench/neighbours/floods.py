"""The floods by name: each prepares a server for one from some teams of one person, and returns it."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

from bench.neighbours.files import build_expensive_pickle, build_large_header
from bench.neighbours.flood import Flood, FloodFailedError
from bench.neighbours.latency import MeasuredRequest, MeasuredVerification
from bench.neighbours.teams import create_flooder, register_copies
from modelyard.wire.agents.values import MAX_HEARTBEAT_STATES
from modelyard.wire.collections import MAX_COLLECTION_MODELS
from modelyard.wire.hashes.lookups import MAX_LOOKUPS
from modelyard.wire.uploads import UploadRequest
from tests.attacks.request_head import NESTED_LISTS
from tests.attacks.test_request_bodies import PUBLIC_PATH
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file
from tests.server.models.test_search_limits import EXPENSIVE_SEARCHES

LIST_MODELS = MeasuredRequest("GET /models", "GET", "/api/v1/models")
LIVENESS_PATH = "/healthz"
LIVENESS = MeasuredRequest("GET /healthz", "GET", LIVENESS_PATH)
NEW_UPLOAD = UploadRequest(file_name="a.gguf", file_size=1, model_type="loras", model_path="loras/a.gguf")
PRESIGN = MeasuredRequest("POST /models/presign", "POST", "/api/v1/models/presign", NEW_UPLOAD.model_dump())
LOOKUP_PATH, MEMBERS_PATH = "/api/v1/models/lookup", "/api/v1/uploads/multipart/complete"
MANIFEST_PATH = "/api/v1/agent/manifest"
# Of all teams together.
SEARCHED_MODELS, SEARCH_CONNECTIONS = 2_000, 48
SEARCHES = [search for search, _ in EXPENSIVE_SEARCHES.values()]
BRACKET_CONNECTIONS, CONNECTIONS, HALF_BODIES = 4, 16, 200
MACHINES, PICKLES, HEADERS = 12, 180, 20
POLLING_MACHINES, POLLS, WAIT_SECONDS = 40, 450, 60
SUBSCRIBED_MACHINES, SUBSCRIBED_LABEL = 200, "gpu24"
SPELLINGS = ["Bearer" + " " * count + "{}" for count in range(1, 21)]
PrepareFlood = Callable[[RunningServer, int], Flood]


def prepare_health_checks(server: RunningServer, teams: int) -> Flood:
    """Send the cheapest requests that there are, which no limit holds back: what the other floods compare with.

    The sender itself takes processor time from the server, as it does in the other floods.
    """
    model_id = server.owner().register(make_model_file("other"), "loras/other.safetensors")
    flood = _build_requests(server, create_flooder(server, teams), CONNECTIONS, [("GET", LIVENESS_PATH, None)])
    return replace(flood, requests=[LIST_MODELS, PRESIGN, _build_change(model_id)])


def prepare_searches(server: RunningServer, teams: int) -> Flood:
    """Search teams whose models have names and tags of great length that repeat two letters."""
    callers = create_flooder(server, teams)
    for caller in callers:
        register_copies(caller, _build_repetitive_records(SEARCHED_MODELS // teams))
    searches = [{"q": search, "sort": "file_size", "per_page": "100"} for search in SEARCHES]
    paths = [f"/api/v1/models?{urlencode(search)}" for search in searches]
    return _build_requests(server, callers, SEARCH_CONNECTIONS, [("GET", path, None) for path in paths])


def prepare_lookups(server: RunningServer, teams: int) -> Flood:
    """Look up as many paths and beginnings of hashes as one request may have, of which each finds many models."""
    callers = create_flooder(server, teams)
    for caller in callers:
        register_copies(caller, _build_repetitive_records(SEARCHED_MODELS // teams))
    first = callers[0].get("/models").json()["model_list"][0]["file_hash"].removeprefix("sha256:")
    hashes = [first[: 10 + number % 50] for number in range(MAX_LOOKUPS // 2)]
    paths = [f"loras/{number}.safetensors" for number in range(MAX_LOOKUPS // 2)]
    body = json.dumps({"hashes": hashes, "paths": paths, "records": True})
    return _build_requests(server, callers, CONNECTIONS, [("POST", LOOKUP_PATH, body)])


def prepare_nested_lists(server: RunningServer, teams: int) -> Flood:
    """Send a megabyte of nested lists in a field that the route ignores, with a key that may only read."""
    callers = create_flooder(server, teams)
    keys = [_create_reading_key(caller) for caller in callers]
    return _build_requests(server, keys, CONNECTIONS, [("POST", LOOKUP_PATH, NESTED_LISTS.decode())])


def prepare_half_bodies(server: RunningServer, teams: int) -> Flood:
    """Send bodies without their last byte, with as many spellings of the credential as there are."""
    callers = create_flooder(server, teams)
    spelled = [
        json.dumps(caller.headers | {"Authorization": spelling.format(caller.token)})
        for caller in callers
        for spelling in SPELLINGS
    ]
    arguments = [str(server.port), "/api/v1/models/presign", str(HALF_BODIES)]
    statuses = frozenset({"408", "503", "none"})
    return Flood([LIST_MODELS, PRESIGN], "send_half_bodies", arguments, statuses, frozenset({"503", "none"}), spelled)


def prepare_brackets(
    server: RunningServer, teams: int, path: str, statuses: frozenset[str], *, signed_in: bool = False
) -> Flood:
    """Send a megabyte of JSON brackets again and again, on four connections."""
    arguments = [
        str(server.port),
        path,
        str(BRACKET_CONNECTIONS),
        *(_get_credentials(create_flooder(server, teams)[0]) if signed_in else []),
    ]
    # An early refusal may end in a broken connection.
    return Flood([LIVENESS, LIST_MODELS], "send_brackets", arguments, statuses | {"none"}, statuses)


def prepare_heartbeats(server: RunningServer, teams: int) -> Flood:
    """Let machines of one team all report as many changes as a heartbeat may carry, while another team writes."""
    model_id = server.owner().register(make_model_file("other"), "loras/other.safetensors")
    [team, *_] = create_flooder(server, teams)
    model_ids = register_copies(team, ({} for _ in range(MAX_HEARTBEAT_STATES - 1)))
    key = _create_agent_key(team)
    arguments, statuses = [str(server.port), key, str(MACHINES)], frozenset({"200", "503"})
    return Flood([_build_change(model_id)], "send_heartbeats", arguments, statuses, frozenset({"200"}), model_ids)


def prepare_long_polls(server: RunningServer, teams: int) -> Flood:
    """Send more long polls than may wait, and repeat each that is answered at once, without a pause."""
    polls = list[str]()
    for caller in create_flooder(server, teams):
        key = ApiCaller(caller.client, _create_agent_key(caller))
        for number in range(POLLING_MACHINES // teams):
            name = f"render-{number}"
            assert key.post("/agent/heartbeat", agent_id=name).status_code == 200
            etag = key.get("/agent/manifest", agent_id=name).headers["ETag"]
            query = urlencode({"agent_id": name, "wait": WAIT_SECONDS})
            headers = {"Authorization": key.headers["Authorization"], "If-None-Match": etag}
            polls.append(
                json.dumps({"method": "GET", "path": f"{MANIFEST_PATH}?{query}", "headers": headers, "body": None})
            )
    arguments = [str(server.port), str(POLLS)]
    requests = [LIST_MODELS, PRESIGN]
    return Flood(requests, "send_requests", arguments, frozenset({"304", "503", "none"}), frozenset({"304"}), polls)


def prepare_collections(server: RunningServer, teams: int) -> Flood:
    """Pin and unpin a collection of as many models as it may have on many machines, while another team writes."""
    model_id = server.owner().register(make_model_file("other"), "loras/other.safetensors")
    [team, *_] = create_flooder(server, teams)
    models = [{"model_id": each} for each in register_copies(team, ({} for _ in range(MAX_COLLECTION_MODELS - 1)))]
    key = ApiCaller(team.client, _create_agent_key(team))
    for number in range(SUBSCRIBED_MACHINES):
        heartbeat = key.post("/agent/heartbeat", agent_id=f"render-{number}", agent_labels=[SUBSCRIBED_LABEL])
        assert heartbeat.status_code == 200
    path = f"/collections/{team.post('/collections', name='Winter', model_list=models).json()['id']}"
    assert team.post(f"{path}/subscriptions", label=SUBSCRIBED_LABEL).status_code == 201
    bodies = [json.dumps({"is_pinned": is_pinned}) for is_pinned in (True, False)]
    flood = _build_requests(server, [team], CONNECTIONS, [("PUT", f"/api/v1{path}", body) for body in bodies])
    return replace(flood, requests=[_build_change(model_id)])


def prepare_files(server: RunningServer, teams: int) -> Flood:
    """Upload many small files that are expensive to inspect, and register all of them at once."""
    owner = server.owner()
    for number in range(20):
        owner.register(make_model_file(f"{number}"), f"loras/{number}.safetensors")
    callers = create_flooder(server, teams)
    requests = []
    for number in range(PICKLES + HEADERS):
        caller = callers[number % teams]
        content, path = (
            (build_expensive_pickle(number), f"checkpoints/{number}.pt")
            if number < PICKLES
            else (build_large_header(number), f"loras/{number}.safetensors")
        )
        requests.append({"headers": caller.headers, "body": caller.new_model(content, path)})
    return Flood(
        [LIST_MODELS, PRESIGN, MeasuredVerification()],
        "send_registrations",
        [str(server.port)],
        frozenset({"201"}),
        frozenset({"201"}),
        [json.dumps(each) for each in requests],
        partial(_check_some_wait, callers),
    )


def _check_some_wait(callers: list[ApiCaller]) -> None:
    """Check that files of the flood wait for verification, or are not registered yet."""
    waiting = [caller.get("/models", verification="pending").json()["page_meta"]["total_count"] for caller in callers]
    if not sum(waiting):
        raise FloodFailedError("all files were inspected before the measurement ended; measure for fewer --seconds")


def _build_requests(
    server: RunningServer, callers: list[ApiCaller], connections: int, requests: list[tuple[str, str, str | None]]
) -> Flood:
    """Build a flood of requests that each of the callers repeats: method, path and body."""
    lines = [
        json.dumps({"method": method, "path": path, "headers": _get_headers(caller), "body": body})
        for method, path, body in requests
        for caller in callers
    ]
    arguments = [str(server.port), str(connections)]
    statuses = frozenset({"200", "400", "503", "none"})
    return Flood([LIST_MODELS], "send_requests", arguments, statuses, frozenset({"200", "400"}), lines)


def _build_change(model_id: str) -> MeasuredRequest:
    """Build the request that changes a model's description."""
    return MeasuredRequest("PUT /models/{id}", "PUT", f"/api/v1/models/{model_id}", {"description": "A note."})


def _build_repetitive_records(count: int) -> Iterable[dict[str, Any]]:
    """Build the fields of models whose names and tags are as long as they may be, and repeat two letters."""
    for n in range(count):
        tags = [f"{'ab' * 29}{n % 50:02}{tag:04}" for tag in range(16)]
        yield {"display_name": "ab" * 47 + f"{n:06}", "tags": tags}


def _create_reading_key(caller: ApiCaller) -> ApiCaller:
    created = caller.post("/credentials", kind="integration", display_name="Reads", access="read").json()
    return ApiCaller(caller.client, created["raw_key"])


def _create_agent_key(caller: ApiCaller) -> str:
    return str(caller.post("/credentials", kind="agent", display_name="Machines").json()["raw_key"])


def _get_headers(caller: ApiCaller) -> dict[str, str]:
    return caller.headers | {"Content-Type": "application/json"}


def _get_credentials(caller: ApiCaller) -> list[str]:
    return [caller.headers["Authorization"], caller.headers["X-Team-ID"]]


FLOODS: dict[str, PrepareFlood] = {
    "health-checks": prepare_health_checks,
    "searches": prepare_searches,
    "lookups": prepare_lookups,
    "nested-lists": prepare_nested_lists,
    "half-bodies": prepare_half_bodies,
    "brackets-public": partial(prepare_brackets, path=PUBLIC_PATH, statuses=frozenset({"413"})),
    "brackets-stranger": partial(prepare_brackets, path="/api/v1/models", statuses=frozenset({"401"})),
    "brackets-member": partial(prepare_brackets, path=MEMBERS_PATH, statuses=frozenset({"400"}), signed_in=True),
    "heartbeats": prepare_heartbeats,
    "collections": prepare_collections,
    "long-polls": prepare_long_polls,
    "files": prepare_files,
}
# Those whose cost depends on the number of teams that send them.
FROM_MANY_TEAMS = ("searches", "lookups", "nested-lists", "half-bodies", "long-polls", "files")
