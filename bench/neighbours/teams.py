"""The person who sends a flood: their teams and models, made through the API, so that any commit's server has them."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.running import RunningServer
from tests.server.harness import PASSWORD, ApiCaller, hash_of, make_model_file

CALLERS = 4


def create_flooder(server: RunningServer, teams: int) -> list[ApiCaller]:
    """Create a user, and return them in each of so many teams of their own, which accept pickles after a scan."""
    owner, flooder = server.owner(), server.anonymous()
    invited = owner.post("/invitations", email_address="flooder@studio.test", invitation_role="viewer").json()
    flooder.post(
        "/invitations/accept",
        invitation_token=invited["invitation_token"],
        first_name="A",
        last_name="Flooder",
        user_password=PASSWORD,
    )
    login = flooder.post("/auth/login", email_address="flooder@studio.test", user_password=PASSWORD)
    token = login.json()["access_token"]
    flooder = ApiCaller(flooder.client, token)
    ids = [flooder.post("/teams", display_name=f"Flood {number}").json()["id"] for number in range(teams)]
    callers = [ApiCaller(flooder.client, token, team_id) for team_id in ids]
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
