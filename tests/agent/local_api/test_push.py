"""Pushes of files in models folders through the local API, with a real registry and the key of a paired device."""

import asyncio

import pytest

from tests.agent.agent_machine import AgentMachine
from tests.agent.local_api.local_client import call, wait_for_socket
from tests.agent.local_api.push_client import CONTENT, create_viewer, push, sign_in, wait_for_first_plan
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file

pytestmark = pytest.mark.slow


async def test_push_registers_the_file_as_the_signed_in_user(team: ApiCaller, signed_in_machine: AgentMachine) -> None:
    async with signed_in_machine.running():
        await wait_for_first_plan(signed_in_machine)
        status = (await call(signed_in_machine, "GET", "/v1/status")).json()
        assert (status["may_push"], status["push_hint"]) == (True, None)
        answer = await push(signed_in_machine, "loras", "sub\\mine.safetensors")
        assert answer.status == 200, answer
        pushed = answer.json()
        assert (pushed["state"], pushed["outcome"], pushed["version"]) == ("done", "registered", 1)
        model = team.get(f"/models/{pushed['id']}").json()
        assert (model["model_path"], model["verification"]) == ("loras/sub/mine.safetensors", "verified")
        assert model["created_by"]["kind"] == "device"
        again = (await push(signed_in_machine, "loras", "sub/mine.safetensors")).json()
        assert (again["outcome"], again["id"]) == ("already there", pushed["id"])


async def test_push_without_sign_in_is_409_with_the_command(pushing_machine: AgentMachine) -> None:
    async with pushing_machine.running():
        await wait_for_first_plan(pushing_machine)
        status = (await call(pushing_machine, "GET", "/v1/status")).json()
        assert status["may_push"] is False
        assert f"modelyard login {pushing_machine.url} --device" in status["push_hint"]
        answer = await push(pushing_machine, "loras", "sub/mine.safetensors")
        assert (answer.status, answer.json()["type"]) == (409, "/problems/not-logged-in")
        assert "--device" in answer.json()["detail"]


async def test_push_of_what_is_no_file_of_a_models_folder_is_refused(
    team: ApiCaller, signed_in_machine: AgentMachine
) -> None:
    (signed_in_machine.folder / "secret.safetensors").write_bytes(CONTENT)
    async with signed_in_machine.running():
        await wait_for_first_plan(signed_in_machine)
        statuses = [
            (await push(signed_in_machine, folder, path)).status
            for folder, path in (
                ("loras", "unknown.safetensors"),
                ("loras", "../../secret.safetensors"),
                ("loras", str(signed_in_machine.folder / "secret.safetensors")),
                ("loras", "sub"),
                ("..", "secret.safetensors"),
                ("custom_nodes", "sub/mine.safetensors"),
            )
        ]
        assert statuses == [404, 422, 422, 404, 422, 422]
        assert team.get("/models").json()["model_list"] == []


async def test_push_of_other_content_needs_replace(team: ApiCaller, signed_in_machine: AgentMachine) -> None:
    model_id = team.register(make_model_file("theirs"), "loras/sub/mine.safetensors", required_labels=["gpu24"])
    async with signed_in_machine.running():
        await wait_for_first_plan(signed_in_machine)
        refused = await push(signed_in_machine, "loras", "sub/mine.safetensors")
        assert (refused.status, refused.json()["type"]) == (409, "/problems/model-path-taken")
        pushed = (await push(signed_in_machine, "loras", "sub/mine.safetensors", replace=True, note="ours")).json()
        assert (pushed["id"], pushed["outcome"], pushed["version"]) == (model_id, "new version", 2)


async def test_push_with_a_revoked_key_asks_to_sign_in(team: ApiCaller, signed_in_machine: AgentMachine) -> None:
    for credential in team.get("/credentials", kind="device").json()["credentials"]:
        team.delete(f"/credentials/{credential['id']}")
    async with signed_in_machine.running():
        await wait_for_first_plan(signed_in_machine)
        answer = await push(signed_in_machine, "loras", "sub/mine.safetensors")
        assert (answer.status, answer.json()["type"]) == (409, "/problems/not-logged-in")


async def test_push_to_another_team_than_the_machines_is_409_naming_both(
    registry: RunningServer, team: ApiCaller, pushing_machine: AgentMachine
) -> None:
    other = await asyncio.to_thread(registry.create_team, "Elsewhere")
    await asyncio.to_thread(sign_in, registry, other, pushing_machine)
    async with pushing_machine.running():
        await wait_for_first_plan(pushing_machine)
        refused = await push(pushing_machine, "loras", "sub/mine.safetensors")
        assert (refused.status, refused.json()["type"]) == (409, "/problems/other-team")
        assert [name in refused.json()["detail"] for name in ("Elsewhere", "Agents")] == [True, True]
        status = (await call(pushing_machine, "GET", "/v1/status")).json()
        assert (status["may_push"], "Elsewhere" in status["push_hint"]) == (False, True)
    assert other.get("/models").json()["model_list"] == []


async def test_status_for_a_viewer_says_that_nothing_can_be_pushed(
    registry: RunningServer, team: ApiCaller, pushing_machine: AgentMachine
) -> None:
    viewer = await asyncio.to_thread(create_viewer, registry, team)
    await asyncio.to_thread(sign_in, registry, viewer, pushing_machine)
    async with pushing_machine.running():
        await wait_for_first_plan(pushing_machine)
        status = (await call(pushing_machine, "GET", "/v1/status")).json()
        assert (status["may_push"], "viewer" in status["push_hint"]) == (False, True)


async def test_push_of_a_malformed_body_names_its_field(pushing_machine: AgentMachine) -> None:
    bodies = [{}, {"folder": 5, "path": "x"}, {"workflow": []}, {"workflow": {}, "name": ""}]
    async with pushing_machine.running():
        await wait_for_socket(pushing_machine)
        answers = [await call(pushing_machine, "POST", "/v1/push", body) for body in bodies]
    assert [answer.status for answer in answers] == [422] * 4
    fields = ["folder", "folder", "workflow", "name"]
    assert [field in answer.json()["detail"] for field, answer in zip(fields, answers, strict=True)] == [True] * 4
