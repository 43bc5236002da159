"""Teams that send floods: their models and files, made through the API, so that any commit's server has them."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.running import RunningServer
from tests.server.harness import PASSWORD, ApiCaller, hash_of, make_model_file

CALLERS = 4


def create_team(server: RunningServer, name: str) -> ApiCaller:
    """Create a team of the owner, and return the owner in it."""
    owner = server.owner()
    owner.team_id = owner.post("/teams", display_name=name).json()["id"]
    return owner


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


def create_viewer(server: RunningServer) -> ApiCaller:
    """Create a viewer of the owner's team, and return them in a team of their own that accepts pickles after a scan."""
    invited = server.owner().post("/invitations", email_address="viewer@studio.test", invitation_role="viewer").json()
    viewer = server.anonymous()
    viewer.post(
        "/invitations/accept",
        invitation_token=invited["invitation_token"],
        first_name="A",
        last_name="Viewer",
        user_password=PASSWORD,
    )
    login = viewer.post("/auth/login", email_address="viewer@studio.test", user_password=PASSWORD)
    viewer.token = login.json()["access_token"]
    viewer.team_id = viewer.post("/teams", display_name="Own").json()["id"]
    assert viewer.put("/teams/current", pickle_policy="scan").status_code == 200
    return viewer
