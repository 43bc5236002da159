"""The local API of a real agent, with a real registry, over its real socket."""

import asyncio
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from modelyard.agent.local_api.http import MAX_BODY_BYTES
from modelyard.agent.local_api.registry_problems import build_registry_problem
from modelyard.agent.local_api.server import MAX_LARGE_REQUESTS
from modelyard.transfer.portable import local_sockets
from modelyard.wire.problems import AgentUnknown
from tests.agent.agent_machine import AgentMachine, wait_until
from tests.agent.local_api.local_client import call, get_socket, send_raw, wait_for_answer, wait_for_socket
from tests.running import RunningServer
from tests.server.harness import ApiCaller, make_model_file
from tests.server.previews.drawings import make_png

pytestmark = pytest.mark.slow

PATH = "loras/ink.safetensors"
CONTENT = make_model_file("ink", 5000)


def register_ink(team: ApiCaller) -> str:
    """Register a model that the machine should not hold by its labels."""
    return team.register(CONTENT, PATH, required_labels=["gpu24"])


async def get_progress(machine: AgentMachine, model_id: str) -> dict[str, Any]:
    [progress] = (await call(machine, "POST", "/v1/progress", {"model_ids": [model_id]})).json()["model_list"]
    return dict(progress)


async def wait_for_state(machine: AgentMachine, model_id: str, state: str) -> dict[str, Any]:
    """Wait until a model is in this state, and return its progress."""
    body = {"model_ids": [model_id]}
    answer = await wait_for_answer(
        machine, "/v1/progress", body, lambda found: bool(found["model_list"][0]["state"] == state)
    )
    return dict(answer["model_list"][0])


async def test_fetch_places_the_verified_file_and_progress_becomes_ready(
    team: ApiCaller, machine: AgentMachine
) -> None:
    ink = register_ink(team)
    async with machine.running():
        await wait_for_socket(machine)
        assert await get_progress(machine, ink) == {
            "id": ink,
            "state": "absent",
            "received_bytes": 0,
            "file_size": None,
            "problem": None,
        }
        unknown = str(uuid4())
        result = (await call(machine, "POST", "/v1/fetch", {"model_ids": [ink, unknown]})).json()
        assert (result["requested"], [refused["id"] for refused in result["refused"]]) == ([ink], [unknown])
        progress = await wait_for_state(machine, ink, "ready")
        assert (machine.models / PATH).read_bytes() == CONTENT
        assert (progress["received_bytes"], progress["file_size"]) == (len(CONTENT), len(CONTENT))
        [model] = (await call(machine, "POST", "/v1/models", {"q": "ink"})).json()["model_list"]
        assert model["id"] == ink
        await wait_until(lambda: team.get("/agents/render-07/models").json()["agent_model_list"][0]["state"] == "ready")
        [model] = (await call(machine, "POST", "/v1/models", {})).json()["model_list"]
        assert model["state"] == "ready"
    assert not get_socket(machine).exists()


async def test_agent_whose_state_folder_has_a_long_path_listens_elsewhere(
    new_machine: Callable[..., AgentMachine], tmp_path: Path
) -> None:
    machine = replace(new_machine(), folder=tmp_path / ("n" * local_sockets.MAX_SOCKET_PATH_BYTES))
    async with machine.running():
        await wait_for_socket(machine)
        assert get_socket(machine).is_symlink()
    assert not get_socket(machine).is_symlink()


async def test_models_are_listed_page_by_page_with_pictures(team: ApiCaller, machine: AgentMachine) -> None:
    for word in ("one", "two", "three"):
        model_id = team.register(make_model_file(word), f"loras/{word}.safetensors", required_labels=["gpu24"])
        picture = make_png("#aa5500", (80, 100))
        team.call("PUT", f"/models/{model_id}/versions/1/preview", content=picture)
    async with machine.running():
        await wait_for_socket(machine)
        first = (await call(machine, "POST", "/v1/models", {"model_type": "loras", "limit": 2})).json()
        second = (await call(machine, "POST", "/v1/models", {"limit": 2, "cursor": first["next_cursor"]})).json()
        assert [len(page["model_list"]) for page in (first, second)] == [2, 1]
        assert second["next_cursor"] is None
        picture_hash = first["model_list"][0]["preview_sha256"]
        shown = await call(machine, "GET", f"/v1/previews/{picture_hash}")
        assert (shown.status, shown.content_type, shown.body[8:12]) == (200, "image/webp", b"WEBP")
        assert (await call(machine, "GET", f"/v1/previews/{'0' * 64}")).status == 404


async def test_models_say_whether_their_base_model_is_only_claimed(team: ApiCaller, machine: AgentMachine) -> None:
    labels = {"required_labels": ["gpu24"]}
    team.register(make_model_file("one"), "loras/claimed.safetensors", sidecar={"base_model": "Pony"}, **labels)
    team.register(make_model_file("two"), "loras/told.safetensors", base_model="Pony", **labels)
    team.register(make_model_file("three"), "loras/unknown.safetensors", **labels)
    async with machine.running():
        await wait_for_socket(machine)
        listed = (await call(machine, "POST", "/v1/models", {})).json()["model_list"]
    bases = {model["model_path"]: (model["base_model"], model["is_base_claimed"]) for model in listed}
    assert bases == {
        "loras/claimed.safetensors": ("Pony", True),
        "loras/told.safetensors": ("Pony", False),
        "loras/unknown.safetensors": (None, False),
    }


async def test_workflow_check_names_what_is_missing_on_this_machine_only(
    team: ApiCaller, new_machine: Callable[..., AgentMachine]
) -> None:
    ink = register_ink(team)
    machine, other = new_machine(), new_machine("render-08")
    await other.reconcile()
    workflow = {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "ink.safetensors"}}}
    async with machine.running():
        await wait_for_socket(machine)
        report = (await call(machine, "POST", "/v1/workflow-check", {"workflow": workflow})).json()
        [reference] = report["reference_list"]
        assert (reference["model_id"], reference["state"]) == (ink, "present")
        assert (report["machine"]["agent_id"], report["machine"]["missing_list"]) == ("render-07", [ink])


def write_check(strength: str = "1", title: str = "") -> bytes:
    """Return the body of a check, with a number and a text as they are to be sent."""
    inputs = f'{{"lora_name": "ink.safetensors", "strength_model": {strength}}}'
    return f'{{"workflow": {{"1": {{"class_type": "LoraLoader", "title": "{title}", "inputs": {inputs}}}}}}}'.encode()


CHECKS = {
    "not a number": (write_check(strength="NaN"), 200),
    "half a surrogate pair": (write_check(title="\\ud800"), 200),
    # A copy with escapes would be longer than the registry takes.
    "long text of other letters": (write_check(title="\u00e9" * (12 * 1024**2)), 200),
    "list": (b'{"workflow": []}', 422),
    "nothing": (b"{}", 422),
    "no object": (b"[]", 400),
    "broken": (b'{"workflow": {', 422),
}


async def test_workflow_check_of_each_body_returns_its_status(machine: AgentMachine) -> None:
    async with machine.running():
        await wait_for_socket(machine)
        found = {
            name: (await call(machine, "POST", "/v1/workflow-check", body)).status for name, (body, _) in CHECKS.items()
        }
    assert found == {name: status for name, (_, status) in CHECKS.items()}


async def test_large_request_while_others_arrive_is_read_after_them(machine: AgentMachine) -> None:
    large = b" " * MAX_BODY_BYTES + b"[]"
    head = f"POST /v1/workflow-check HTTP/1.1\r\nContent-Length: {len(large)}\r\n\r\n".encode()
    async with machine.running():
        await wait_for_socket(machine)
        slow = [await asyncio.open_unix_connection(get_socket(machine)) for _ in range(MAX_LARGE_REQUESTS)]
        for _, writer in slow:
            writer.write(head + large[:-1])
            await writer.drain()
        assert (await call(machine, "GET", "/v1/status")).status == 200
        waiting = asyncio.create_task(call(machine, "POST", "/v1/workflow-check", large))
        for _ in range(5):
            assert (await call(machine, "GET", "/v1/status")).status == 200
        assert not waiting.done()
        for reader, writer in slow:
            writer.write(b"]")
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            writer.close()
        assert (await waiting).status == 400


def test_agent_that_the_registry_does_not_know_yet_is_told_as_not_connected() -> None:
    problem = build_registry_problem(AgentUnknown("No machine of this name uses this key yet. Send a heartbeat first."))
    assert (problem.status, problem.document["type"]) == (503, "/problems/agent-not-connected")
    assert problem.document["detail"] == "The agent is not connected yet. Try again in a moment."


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has SO_PEERCRED")
def test_credentials_of_a_large_uid_are_read_as_it_is() -> None:
    raw = (
        (7).to_bytes(4, sys.byteorder) + (2**31 + 5).to_bytes(4, sys.byteorder) + (2**32 - 2).to_bytes(4, sys.byteorder)
    )
    assert local_sockets.CREDENTIALS.unpack(raw) == (7, 2**31 + 5, 2**32 - 2)


async def test_model_deleted_after_it_was_requested_is_absent_with_a_reason(
    team: ApiCaller, machine: AgentMachine
) -> None:
    ink = register_ink(team)
    async with machine.running():
        await wait_for_socket(machine)
        await call(machine, "POST", "/v1/fetch", {"model_ids": [ink]})
        await wait_for_state(machine, ink, "ready")
        team.delete(f"/models/{ink}")
        progress = await wait_for_state(machine, ink, "absent")
        assert "deleted" in progress["problem"]
        [refused] = (await call(machine, "POST", "/v1/fetch", {"model_ids": [ink]})).json()["refused"]
        assert (refused["id"], "no such model" in refused["problem"]) == (ink, True)


async def test_model_deleted_while_it_is_fetched_is_absent_and_leaves_no_file(
    team: ApiCaller, new_machine: Callable[..., AgentMachine]
) -> None:
    machine = new_machine(rate_limit="20KB")
    big = team.register(make_model_file("big", 3_000_000), PATH, required_labels=["gpu24"])
    async with machine.running():
        await wait_for_socket(machine)
        await call(machine, "POST", "/v1/fetch", {"model_ids": [big]})
        body = {"model_ids": [big]}
        await wait_for_answer(
            machine, "/v1/progress", body, lambda found: bool(found["model_list"][0]["received_bytes"] > 0)
        )
        progress = await get_progress(machine, big)
        assert (progress["state"], progress["received_bytes"] < progress["file_size"]) == ("downloading", True)
        team.delete(f"/models/{big}")
        progress = await wait_for_state(machine, big, "absent")
        assert "deleted" in progress["problem"]
        await wait_until(lambda: machine.status is not None and machine.status.phase == "idle")
        assert not machine.has_file(PATH)


async def test_status_says_whether_the_team_lets_the_machine_fetch(team: ApiCaller, machine: AgentMachine) -> None:
    ink = register_ink(team)
    team.put("/teams/current", machines_may_request=False)
    async with machine.running():
        await wait_for_socket(machine)
        status = (await call(machine, "GET", "/v1/status")).json()
        assert (status["team_name"], status["machine_name"], status["may_fetch"]) == ("Agents", "render-07", False)
        assert (status["is_registry_reachable"], status["problem"]) == (True, None)
        answer = await call(machine, "POST", "/v1/fetch", {"model_ids": [ink]})
        assert (answer.status, answer.content_type) == (403, "application/problem+json")
        assert "does not let machines request models" in answer.json()["detail"]


async def test_without_registry_calls_get_503_in_words_and_the_agent_goes_on(
    registry: RunningServer, team: ApiCaller, machine: AgentMachine
) -> None:
    ink = register_ink(team)
    async with machine.running():
        await wait_for_socket(machine)
        await call(machine, "POST", "/v1/fetch", {"model_ids": [ink]})
        await wait_for_state(machine, ink, "ready")
        registry.kill()
        try:
            answer = await call(machine, "POST", "/v1/models", {})
            assert (answer.status, answer.json()["type"]) == (503, "/problems/registry-unreachable")
            assert "cannot be reached" in answer.json()["title"]
            status = await wait_for_answer(
                machine, "/v1/status", None, lambda status: not status["is_registry_reachable"]
            )
            assert "cannot be reached" in status["problem"]
            assert (await get_progress(machine, ink))["state"] == "ready"
        finally:
            await asyncio.to_thread(registry.start)
        await wait_for_socket(machine)
        assert (await call(machine, "POST", "/v1/models", {})).status == 200


async def test_socket_and_folder_are_open_to_the_user_only(machine: AgentMachine) -> None:
    async with machine.running():
        await wait_for_socket(machine)
        path = get_socket(machine)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(
    sys.platform != "linux" or os.getuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can run a process as another user, with setpriv",
)
async def test_other_user_is_refused_even_if_the_modes_allow_access(machine: AgentMachine) -> None:
    program = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "s.connect(sys.argv[1])\n"
        "s.sendall(b'GET /v1/status HTTP/1.1\\r\\n\\r\\n')\n"
        "print(s.recv(65536).decode())\n"
    )
    path = get_socket(machine)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", program]

    def act_as_other_user() -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)

    async with machine.running():
        await wait_for_socket(machine)
        refused = await asyncio.to_thread(act_as_other_user)
        assert "PermissionError" in refused.stderr
        for folder in path.parents[:6]:
            if folder != Path("/tmp"):  # noqa: S108 - the folder in which all tests work
                folder.chmod(0o755)
        path.chmod(0o666)
        answered = await asyncio.to_thread(act_as_other_user)
        assert answered.stdout.startswith("HTTP/1.1 403 "), answered
        assert "other-user" in answered.stdout


async def test_agent_with_the_setting_off_opens_no_socket(new_machine: Callable[..., AgentMachine]) -> None:
    machine = new_machine(local_api="off")
    async with machine.running():
        await wait_until(lambda: machine.status is not None and machine.status.link == "connected")
        assert not get_socket(machine).parent.exists()


async def test_socket_that_a_killed_agent_left_is_replaced(machine: AgentMachine) -> None:
    import socket

    path = get_socket(machine)
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with machine.running():
        await wait_until(lambda: machine.status is not None and machine.status.link == "connected")
        assert (await call(machine, "GET", "/v1/status")).status == 200


async def test_agent_runs_without_local_api_if_the_socket_cannot_be_opened(
    team: ApiCaller, machine: AgentMachine, caplog: pytest.LogCaptureFixture
) -> None:
    path = get_socket(machine)
    path.parent.mkdir(parents=True)
    path.write_text("not a socket")
    team.register(CONTENT, PATH)
    async with machine.running():
        await wait_until(lambda: machine.has_file(PATH))
    assert path.read_text() == "not a socket"
    assert any("is not a socket" in message for message in caplog.messages)


REQUESTS = {
    "no path": (b"GET\r\n\r\n", 400),
    "other protocol": (b"\x16\x03\x01 x y\r\n\r\n", 400),
    "long head": (b"GET /v1/status HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 400),
    "chunked": (b"POST /v1/fetch HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "repeated length": (b"POST /v1/fetch HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    "negative length": (b"POST /v1/fetch HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
    "too long": (b"POST /v1/fetch HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n", 413),
    "no JSON": (b"POST /v1/fetch HTTP/1.1\r\nContent-Length: 3\r\n\r\n{]}", 400),
    "deep JSON": (b"POST /v1/fetch HTTP/1.1\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000, 400),
    "no ids": (b'POST /v1/fetch HTTP/1.1\r\nContent-Length: 16\r\n\r\n{"model_ids":[]}', 422),
    "other method": (b"POST /v1/status HTTP/1.1\r\n\r\n", 405),
    "unknown path": (b"GET /v1/../status HTTP/1.1\r\n\r\n", 404),
    "web page": (b"GET / HTTP/1.1\r\n\r\n", 404),
}


async def test_malformed_request_gets_a_problem_and_the_api_goes_on(machine: AgentMachine) -> None:
    async with machine.running():
        await wait_for_socket(machine)
        path = get_socket(machine)
        found = {}
        for name, (request, _) in REQUESTS.items():
            answer = await asyncio.to_thread(send_raw, path, request)
            head, _, body = answer.partition(b"\r\n\r\n")
            found[name] = int(head.split(b" ")[1])
            assert {"type", "title", "status", "detail"} <= json.loads(body).keys()
        assert found == {name: status for name, (_, status) in REQUESTS.items()}
        assert (await call(machine, "GET", "/v1/status")).status == 200
