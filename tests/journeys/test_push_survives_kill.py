"""A push that is killed goes on where it stopped, and sends nothing twice."""

import filecmp
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.transfer.network import Pace
from tests.journeys.between import Between
from tests.journeys.program import Program
from tests.journeys.sizes import MEBIBYTE, PART_SIZE
from tests.server.world import Someone

SIZE = 100 * MEBIBYTE + 4096
RATE = 60 * MEBIBYTE


def finished_parts(modelyard: Program, team: Someone) -> set[str]:
    """The numbers of the parts that the registry holds of the one upload that the program remembers."""
    [note] = modelyard.unfinished_uploads
    answer = team.get("/uploads/multipart/parts", storage_key=note["storage_key"], upload_id=note["upload_id"])
    assert answer.status_code == 200, answer.text
    return {str(part["part_number"]) for part in answer.json()["part_list"]}


@pytest.mark.parametrize("percent", [10, 50, 99])
def test_a_push_killed_half_way_goes_on_without_sending_finished_parts_again(
    percent: int, modelyard: Program, between: Between, team: Someone, new_file: Callable[[int], Path], tmp_path: Path
) -> None:
    file = new_file(SIZE)
    between.pace = Pace(RATE)
    with between.holding_after("PUT", SIZE * percent // 100):
        push = modelyard.start("push", file)
        between.wait_until_moved("PUT", SIZE * percent // 100)
        assert push.end(signal.SIGKILL).code == -signal.SIGKILL
    between.wait_until_quiet()
    finished = finished_parts(modelyard, team)
    acknowledged = {each.query["part"] for each in between.of_bytes("PUT") if each.status == 200}
    assert acknowledged <= finished
    assert len(finished) * PART_SIZE >= SIZE * percent // 100 - 5 * PART_SIZE

    between.forget()
    between.pace = None
    answer = modelyard.ask("push", file)

    sent_again = {each.query["part"] for each in between.of_bytes("PUT")}
    assert not sent_again & finished
    assert between.moved("PUT") == SIZE - sum(min(PART_SIZE, SIZE - (int(n) - 1) * PART_SIZE) for n in finished)
    assert [(each["outcome"], each["model"]["verification"]) for each in answer["files"]] == [
        ("registered", "verified")
    ]
    assert modelyard.unfinished_uploads == []
    assert modelyard.run("pull", "ink.safetensors", "-o", tmp_path / "pulled").code == 0
    assert filecmp.cmp(file, tmp_path / "pulled" / file.name, shallow=False)


def test_ctrl_c_says_that_the_same_command_goes_on_and_so_it_does(
    modelyard: Program, between: Between, team: Someone, new_file: Callable[[int], Path]
) -> None:
    file = new_file(SIZE)
    between.pace = Pace(RATE)
    with between.holding_after("PUT", SIZE // 2):
        push = modelyard.start("push", file)
        between.wait_until_moved("PUT", SIZE // 2)

        interrupted = push.end(signal.SIGINT)

    assert interrupted.code == 130
    assert "the same command goes on from there" in interrupted.err
    assert "Traceback" not in interrupted.err
    between.wait_until_quiet()
    finished = finished_parts(modelyard, team)
    between.forget()
    between.pace = None
    assert modelyard.run("push", file).code == 0
    assert finished
    assert not {each.query["part"] for each in between.of_bytes("PUT")} & finished
