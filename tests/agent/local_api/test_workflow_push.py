"""Pushes of workflows through the local API: their files, and a collection of their models."""

import asyncio

import pytest

from tests.agent.agent_machine import AgentMachine
from tests.agent.local_api.push_client import build_workflow, create_viewer, push_workflow, sign_in, wait_for_first_plan
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file

pytestmark = pytest.mark.slow


async def test_push_workflow_pushes_what_the_team_lacks_and_makes_a_collection(
    team: ApiCaller, signed_in_machine: AgentMachine
) -> None:
    ink = team.register(make_model_file("ink"), "loras/ink.safetensors", required_labels=["gpu24"])
    async with signed_in_machine.running():
        await wait_for_first_plan(signed_in_machine)
        workflow = build_workflow("ink.safetensors", "sub/mine.safetensors", "gone.safetensors")
        answer = await push_workflow(signed_in_machine, "Winter", workflow)
        assert answer.status == 200, answer
        result = answer.json()
        assert (result["collection_name"], result["version"], result["model_count"]) == ("Winter", 1, 2)
        assert (result["pushed_list"], result["missing_list"]) == (["sub/mine.safetensors"], ["gone.safetensors"])
        assert [failed["path"] for failed in result["failed_list"]] == ["gone.safetensors"]
        collection = team.get(f"/collections/{result['collection_id']}").json()
        paths = {model["model_path"] for model in collection["model_list"]}
        assert paths == {"loras/ink.safetensors", "loras/sub/mine.safetensors"}

        other = build_workflow("ink.safetensors")
        asked = await push_workflow(signed_in_machine, "winter", other)
        assert (asked.status, asked.json()["type"]) == (409, "/problems/collection-exists")
        named = [asked.json()[fact] for fact in ("collection_name", "version", "model_count")]
        assert named == ["Winter", 1, 2]
        assert asked.json()["errors"][0]["field"] == "name"
        assert team.get(f"/collections/{result['collection_id']}").json()["version"] == 1
        again = (await push_workflow(signed_in_machine, "winter", other, expected_version=1)).json()
        assert (again["collection_id"], again["version"]) == (result["collection_id"], 2)
        stale = await push_workflow(signed_in_machine, "winter", workflow, expected_version=1, replace=True)
        assert (stale.status, stale.json()["type"]) == (409, "/problems/version-conflict")
        newest = team.get(f"/collections/{result['collection_id']}").json()
        assert [model["model_id"] for model in newest["model_list"]] == [ink]


async def test_push_workflow_without_models_is_422_and_creates_no_collection(
    team: ApiCaller, signed_in_machine: AgentMachine
) -> None:
    async with signed_in_machine.running():
        await wait_for_first_plan(signed_in_machine)
        for workflow in ({"1": {"class_type": "SaveImage", "inputs": {}}}, build_workflow("gone.safetensors")):
            refused = await push_workflow(signed_in_machine, "Winter", workflow)
            assert (refused.status, refused.json()["type"]) == (422, "/problems/workflow-without-models")
        assert "gone.safetensors" in refused.json()["detail"]
        assert team.get("/collections").json()["collection_list"] == []


async def test_push_workflow_that_would_drop_models_of_a_collection_needs_replace(
    team: ApiCaller, signed_in_machine: AgentMachine
) -> None:
    for name in ("ink", "oil"):
        team.register(make_model_file(name), f"loras/{name}.safetensors", required_labels=["gpu24"])
    async with signed_in_machine.running():
        await wait_for_first_plan(signed_in_machine)
        whole = build_workflow("ink.safetensors", "oil.safetensors")
        collection_id = (await push_workflow(signed_in_machine, "Winter", whole)).json()["collection_id"]
        workflow = build_workflow("ink.safetensors", "gone.safetensors")
        refused = await push_workflow(signed_in_machine, "winter", workflow, expected_version=1)
        assert (refused.status, refused.json()["type"]) == (409, "/problems/collection-incomplete")
        assert "gone.safetensors" in refused.json()["detail"]
        assert team.get(f"/collections/{collection_id}").json()["version"] == 1

        confirmed = {"expected_version": 1, "replace": True}
        replaced = (await push_workflow(signed_in_machine, "winter", workflow, **confirmed)).json()
        assert (replaced["collection_id"], replaced["version"], replaced["model_count"]) == (collection_id, 2, 1)


async def test_push_workflow_names_files_of_which_the_team_has_other_content(
    team: ApiCaller, signed_in_machine: AgentMachine
) -> None:
    team.register(make_model_file("ink"), "loras/ink.safetensors", required_labels=["gpu24"])
    declared = {"name": "ink.safetensors", "directory": "loras", "hash": "0" * 64, "hash_type": "SHA256"}
    node = {"id": 1, "type": "LoraLoader", "mode": 0, "widgets_values": ["ink.safetensors", 1, 1]}
    workflow = {"nodes": [node | {"properties": {"models": [declared]}}], "links": [], "version": 0.4}
    async with signed_in_machine.running():
        await wait_for_first_plan(signed_in_machine)
        result = (await push_workflow(signed_in_machine, "Winter", workflow)).json()
        assert (result["other_content_list"], result["missing_list"]) == (["ink.safetensors"], [])


async def test_push_workflow_of_a_viewer_ends_with_the_problem(
    registry: RunningServer, team: ApiCaller, pushing_machine: AgentMachine
) -> None:
    viewer = await asyncio.to_thread(create_viewer, registry, team)
    await asyncio.to_thread(sign_in, registry, viewer, pushing_machine)
    async with pushing_machine.running():
        await wait_for_first_plan(pushing_machine)
        workflow = build_workflow("sub/mine.safetensors")
        refused = await push_workflow(pushing_machine, "Winter", workflow)
        assert (refused.status, refused.json()["type"]) == (403, "/problems/role-too-low")
