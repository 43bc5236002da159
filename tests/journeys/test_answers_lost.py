"""The registry did it, and its answer never came: the program asks again, and there is one model."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys.between import Between, LoseAnswer
from tests.journeys.program import Program
from tests.journeys.sizes import MEBIBYTE
from tests.server.world import Someone

API = "/api/v1"
WHOLE, IN_PARTS = 2 * MEBIBYTE, 33 * MEBIBYTE


@pytest.mark.parametrize(
    ("size", "method", "path"),
    [
        (WHOLE, "POST", f"{API}/models/presign"),
        (WHOLE, "PUT", "/blobs/.*"),
        (WHOLE, "POST", f"{API}/models"),
        (IN_PARTS, "POST", f"{API}/uploads/multipart/initiate"),
        (IN_PARTS, "POST", f"{API}/uploads/multipart/presign"),
        (IN_PARTS, "PUT", "/blobs/.*"),
        (IN_PARTS, "POST", f"{API}/uploads/multipart/complete"),
        (IN_PARTS, "POST", f"{API}/models"),
    ],
)
def test_a_push_whose_answer_is_lost_ends_with_one_model(
    size: int,
    method: str,
    path: str,
    modelyard: Program,
    between: Between,
    team: Someone,
    new_file: Callable[[int], Path],
) -> None:
    file = new_file(size)
    between.once(LoseAnswer(), method, path)

    pushed = modelyard.run("push", file)

    assert pushed.code == 0, pushed
    assert [each.status for each in between.exchanges].count(None) == 1
    [model] = team.get("/models").json()["model_list"]
    assert (model["model_path"], model["file_size"]) == ("models/loras/ink.safetensors", size)
    assert model["verification"] == "verified"
    assert modelyard.unfinished_uploads == []
