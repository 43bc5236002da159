"""Commands of which one response is lost after the registry executed the request: a retry must duplicate nothing."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.journeys.command_line import CommandLine
from tests.journeys.fault_proxy import DropResponse, Exchange, Fault, FaultProxy, RespondInstead
from tests.journeys.upload_sizes import MEBIBYTE
from tests.server.harness import ApiCaller

API = "/api/v1"
ONE_PUT_SIZE, MULTIPART_SIZE = 2 * MEBIBYTE, 33 * MEBIBYTE


class LostResponse(NamedTuple):
    """The size of the pushed file, and the method and path of the request whose first response is dropped."""

    size: int
    method: str
    path: str


@pytest.mark.parametrize(
    "lost",
    [
        LostResponse(ONE_PUT_SIZE, "POST", f"{API}/models/presign"),
        LostResponse(ONE_PUT_SIZE, "PUT", "/blobs/.*"),
        pytest.param(LostResponse(ONE_PUT_SIZE, "POST", f"{API}/models"), marks=pytest.mark.core),
        LostResponse(MULTIPART_SIZE, "POST", f"{API}/uploads/multipart/initiate"),
        LostResponse(MULTIPART_SIZE, "POST", f"{API}/uploads/multipart/presign"),
        LostResponse(MULTIPART_SIZE, "PUT", "/blobs/.*"),
        pytest.param(LostResponse(MULTIPART_SIZE, "POST", f"{API}/uploads/multipart/complete"), marks=pytest.mark.core),
        LostResponse(MULTIPART_SIZE, "POST", f"{API}/models"),
    ],
    ids=lambda lost: f"{lost.method} {lost.path}, {lost.size} bytes",
)
def test_push_first_response_lost_registers_exactly_one_model(
    lost: LostResponse, modelyard: CommandLine, proxy: FaultProxy, team: ApiCaller, new_file: Callable[[int], Path]
) -> None:
    file = new_file(lost.size)
    proxy.inject_once(DropResponse(), lost.method, lost.path)

    pushed = modelyard.run("push", file)

    assert pushed.code == 0, pushed
    assert [each.status for each in proxy.exchanges].count(None) == 1
    [model] = team.get("/models").json()["model_list"]
    assert (model["model_path"], model["file_size"]) == ("models/loras/ink.safetensors", lost.size)
    assert model["verification"] == "verified"
    assert modelyard.unfinished_uploads == []


def test_login_device_response_with_keys_lost_stores_the_only_keys_that_were_made(
    modelyard: CommandLine, proxy: FaultProxy, team: ApiCaller, tmp_path: Path
) -> None:
    machine = CommandLine(tmp_path / "machine")
    is_confirmed, lost = threading.Event(), threading.Event()

    def rule(exchange: Exchange) -> Fault | None:
        if exchange.path != f"{API}/desktop/pair/poll" or lost.is_set():
            return None
        if not is_confirmed.is_set():
            return RespondInstead(200, b'{"status":"pending"}')
        lost.set()
        return DropResponse()

    proxy.rule = rule
    login = machine.start("login", proxy.url, "--device")
    code = login.read_line().removeprefix("Code: ").strip()
    assert modelyard.run("machine", "add", code).code == 0
    is_confirmed.set()

    paired = login.wait_for_exit()

    assert lost.is_set()
    assert paired.code == 0, paired
    assert machine.run("whoami").code == 0
    keys = team.get("/credentials").json()["credentials"]
    assert sorted(key["kind"] for key in keys if key["key_prefix"][:3] in ("dk-", "ak-")) == ["agent", "device"]


def test_machine_add_response_lost_confirms_the_code(
    modelyard: CommandLine, proxy: FaultProxy, team: ApiCaller
) -> None:
    proxy.inject_once(DropResponse(), "POST", f"{API}/desktop/pair/confirm")
    started = team.post("/desktop/pair/start").json()

    assert modelyard.run("machine", "add", started["user_code"]).code == 0

    assert team.post("/desktop/pair/poll", device_code=started["device_code"]).json()["status"] == "approved"
