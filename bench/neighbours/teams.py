"""The person who sends a flood: their teams and models, made through the API, so that any commit's server has them."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.running import RunningServer
from tests.server.harness import ApiCaller, hash_of, make_model_file

CALLERS = 4


def create_flooder(server: RunningServer, teams: int) -> list[ApiCaller]:
    """Create a user, and return them in each of so many teams of their own, which accept pickles after a scan."""
    first = server.stranger()
    ids = [first.post("/teams", display_name=f"Flood {number}").json()["id"] for number in range(teams - 1)]
    callers = [first, *(ApiCaller(first.client, first.token, team_id) for team_id in ids)]
    for caller in callers:
        assert caller.put("/teams/current", pickle_policy="scan").status_code == 200
    return callers


def register_copies(team: ApiCaller, records: Iterable[dict[str, Any]]) -> list[str]:
    """Register one content once for each of these records, with their fields; return the ids of the models."""
    content = make_model_file("copied")
    first = team.register(content, "loras/first.safetensors")
    numbered = list(enumerate(records))

    def register(number: int, record: dict[str, Any]) -> str:
        path = f"loras/{number}.safetensors"
        key = team.upload(content, path, file_hash=hash_of(content))
        answer = team.post("/models", **team.new_model(content, path, storage_key=key, **record))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    with ThreadPoolExecutor(CALLERS) as threads:
        return [first, *threads.map(lambda each: register(*each), numbered)]
