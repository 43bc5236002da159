"""The registry did it, and its answer never came: the program asks again, and there is one model."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.journeys.between import Between, LoseAnswer
from tests.journeys.program import Program
from tests.journeys.sizes import MEBIBYTE
from tests.server.world import Someone

API = "/api/v1"
WHOLE, IN_PARTS = 2 * MEBIBYTE, 33 * MEBIBYTE


class Lost(NamedTuple):
    """The size of the file that is pushed, and the first request of which the answer is lost."""

    size: int
    method: str
    path: str


@pytest.mark.parametrize(
    "lost",
    [
        Lost(WHOLE, "POST", f"{API}/models/presign"),
        Lost(WHOLE, "PUT", "/blobs/.*"),
        Lost(WHOLE, "POST", f"{API}/models"),
        Lost(IN_PARTS, "POST", f"{API}/uploads/multipart/initiate"),
        Lost(IN_PARTS, "POST", f"{API}/uploads/multipart/presign"),
        Lost(IN_PARTS, "PUT", "/blobs/.*"),
        Lost(IN_PARTS, "POST", f"{API}/uploads/multipart/complete"),
        Lost(IN_PARTS, "POST", f"{API}/models"),
    ],
    ids=lambda lost: f"{lost.method} {lost.path}, {lost.size} bytes",
)
def test_a_push_whose_answer_is_lost_ends_with_one_model(
    lost: Lost, modelyard: Program, between: Between, team: Someone, new_file: Callable[[int], Path]
) -> None:
    file = new_file(lost.size)
    between.once(LoseAnswer(), lost.method, lost.path)

    pushed = modelyard.run("push", file)

    assert pushed.code == 0, pushed
    assert [each.status for each in between.exchanges].count(None) == 1
    [model] = team.get("/models").json()["model_list"]
    assert (model["model_path"], model["file_size"]) == ("models/loras/ink.safetensors", lost.size)
    assert model["verification"] == "verified"
    assert modelyard.unfinished_uploads == []
