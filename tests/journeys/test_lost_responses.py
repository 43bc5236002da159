"""Pushes of which one response is lost after the registry executed the request: a retry must duplicate nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.journeys.command_line import CommandLine
from tests.journeys.fault_proxy import DropResponse, FaultProxy
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
        LostResponse(ONE_PUT_SIZE, "POST", f"{API}/models"),
        LostResponse(MULTIPART_SIZE, "POST", f"{API}/uploads/multipart/initiate"),
        LostResponse(MULTIPART_SIZE, "POST", f"{API}/uploads/multipart/presign"),
        LostResponse(MULTIPART_SIZE, "PUT", "/blobs/.*"),
        LostResponse(MULTIPART_SIZE, "POST", f"{API}/uploads/multipart/complete"),
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
