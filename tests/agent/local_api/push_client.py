"""Requests for pushes, as the extension makes them, and the key that they need."""

from typing import Any

from modelyard.client.profile import Profile, ProfileFile
from tests.agent.agent_machine import AgentMachine
from tests.agent.local_api.local_client import LocalAnswer, call, wait_for_answer, wait_for_socket
from tests.running import RunningServer
from tests.server.harness import PASSWORD, ApiCaller, make_model_file
from tests.waiting import wait_until_async

CONTENT = make_model_file("mine", 5000)


def sign_in(registry: RunningServer, team: ApiCaller, machine: AgentMachine) -> None:
    """Store the device key that pairing gives, as ``modelyard login --device`` does."""
    anonymous = registry.anonymous()
    started = anonymous.post("/desktop/pair/start").json()
    assert team.post("/desktop/pair/confirm", user_code=started["user_code"], device_name="box").status_code == 200
    keys = anonymous.post("/desktop/pair/poll", device_code=started["device_code"]).json()
    assert machine.client is not None
    ProfileFile(machine.client.profile_file).save(Profile(url=registry.url, token=keys["raw_key"]))


def create_viewer(registry: RunningServer, team: ApiCaller) -> ApiCaller:
    """Create a user who may only read in the team."""
    email = f"viewer-{team.team_id}@studio.test"
    invited = team.post("/invitations", email_address=email, invitation_role="viewer").json()
    anonymous = registry.anonymous()
    names = {"first_name": "Vera", "last_name": "Viewer", "user_password": PASSWORD}
    accepted = anonymous.post("/invitations/accept", invitation_token=invited["invitation_token"], **names)
    assert accepted.status_code < 300, accepted.text
    tokens = anonymous.post("/auth/login", email_address=email, user_password=PASSWORD).json()
    return ApiCaller(anonymous.client, tokens["access_token"], team.team_id)


async def push(machine: AgentMachine, folder: str, path: str, **fields: Any) -> LocalAnswer:
    """Repeat a push until it is done or failed, and return the last answer."""
    return await _push_until_done(machine, {"folder": folder, "path": path} | fields)


async def wait_for_first_plan(machine: AgentMachine) -> None:
    """Wait until the agent has found its folders, and the registry has said which team is the machine's."""
    await wait_for_socket(machine)
    await wait_for_answer(
        machine,
        "/v1/status",
        None,
        lambda status: status["last_synced_at"] is not None and status["team_name"] is not None,
    )


def build_workflow(*names: str) -> dict[str, Any]:
    return {
        str(number): {"class_type": "LoraLoader", "inputs": {"lora_name": name}} for number, name in enumerate(names)
    }


async def push_workflow(machine: AgentMachine, name: str, workflow: object, **fields: Any) -> LocalAnswer:
    """Repeat the push of a workflow until it is done or failed, and return the last answer."""
    return await _push_until_done(machine, {"workflow": workflow, "name": name} | fields)


async def _push_until_done(machine: AgentMachine, body: dict[str, Any]) -> LocalAnswer:
    answers: list[LocalAnswer] = []

    async def is_done() -> bool:
        answers.append(await call(machine, "POST", "/v1/push", body))
        is_running = answers[-1].status == 202
        assert not is_running or answers[-1].json()["state"] == "running"
        return not is_running

    await wait_until_async(is_done)
    return answers[-1]
