"""The Python part of ComfyUI's extension and a real agent: they understand each other."""

import json
from typing import Any

import pytest

from modelyard_bridge.agent_connection import AgentUnavailableError, call_agent
from tests.agent.agent_machine import AgentMachine
from tests.agent.local_api.local_client import get_socket, wait_for_answer, wait_for_socket
from tests.server.harness import ApiCaller, make_model_file
from tests.server.previews.drawings import make_png

pytestmark = pytest.mark.slow


async def ask(machine: AgentMachine, method: str, path: str, body: object = None) -> tuple[int, str, Any]:
    content = None if body is None else json.dumps(body).encode()
    answer = await call_agent(get_socket(machine), method, path, content)
    is_json = answer.content_type.endswith("json")
    return answer.status, answer.content_type, json.loads(answer.body) if is_json else answer.body


async def test_extension_reads_models_and_pictures_and_fetches_a_model(team: ApiCaller, machine: AgentMachine) -> None:
    path = "loras/ink.safetensors"
    ink = team.register(make_model_file("ink"), path, required_labels=["gpu24"])
    team.call("PUT", f"/models/{ink}/versions/1/preview", content=make_png("#aa5500", (80, 100)))
    workflow = {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "ink.safetensors"}}}
    async with machine.running():
        await wait_for_socket(machine)
        status, kind, answer = await ask(machine, "GET", "/v1/status")
        assert (status, kind, answer["may_fetch"]) == (200, "application/json", True)
        _, _, page = await ask(machine, "POST", "/v1/models", {"q": "ink"})
        [model] = page["model_list"]
        assert (model["id"], model["state"], model["trigger_words"]) == (ink, "absent", [])
        status, kind, picture = await ask(machine, "GET", f"/v1/previews/{model['preview_sha256']}")
        assert (status, kind, picture[:4]) == (200, "image/webp", b"RIFF")
        _, _, report = await ask(machine, "POST", "/v1/workflow-check", {"workflow": workflow})
        assert report["reference_list"][0]["model_id"] == ink
        _, _, result = await ask(machine, "POST", "/v1/fetch", {"model_ids": [ink]})
        assert result == {"requested": [ink], "refused": []}
        body = {"model_ids": [ink]}
        await wait_for_answer(
            machine, "/v1/progress", body, lambda found: bool(found["model_list"][0]["state"] == "ready")
        )
        assert machine.has_file(path)
        status, kind, problem = await ask(machine, "POST", "/v1/push", {"folder": "loras", "path": "ink.safetensors"})
        assert (status, kind) == (409, "application/problem+json")
        assert problem["detail"]


async def test_extension_says_that_the_agent_does_not_run(machine: AgentMachine) -> None:
    with pytest.raises(AgentUnavailableError, match="cannot be reached"):
        await ask(machine, "GET", "/v1/status")
