"""What a roll-back goes back to: the history of current versions, as a function and through the API."""

from typing import Any

import pytest

from modelyard.server.models.versions.history import PastVersion, decide_positions, find_previous_version
from tests.server.harness import ApiCaller, make_model_file


def replay(steps: str) -> list[int]:
    """Return the numbers that are current after each step: a number makes that version current, ``b`` rolls back.

    ``-2`` moves version 2 to the trash and ``+2`` restores it. A roll-back without a target is 0.
    """
    positions, trash, seen = dict[int, int](), set[int](), list[int]()
    for step in steps.split():
        if step[0] in "+-":
            (trash.add if step[0] == "-" else trash.discard)(int(step[1:]))
            continue
        current = next((number for number in reversed(seen) if number), None)
        history = [PastVersion(number, place, number not in trash) for number, place in positions.items()]
        target = find_previous_version(history, current) if step == "b" else int(step)
        seen.append(target or 0)
        changed = decide_positions(history, current, target) if target else {}
        positions |= {number: place for number, place in changed.items() if place is not None}
        positions = {number: place for number, place in positions.items() if changed.get(number, place) is not None}
    return seen


@pytest.mark.parametrize(
    ("steps", "current"),
    [
        pytest.param("1 b", [1, 0], id="first version has none"),
        pytest.param("1 2 3 b b b", [1, 2, 3, 2, 1, 0], id="each roll-back goes one further"),
        pytest.param("1 2 3 b 4 b", [1, 2, 3, 2, 4, 2], id="a version that was left stays left after a push"),
        pytest.param("1 2 3 b 4 b b", [1, 2, 3, 2, 4, 2, 1], id="and after two roll-backs"),
        pytest.param("1 2 3 b 3 b", [1, 2, 3, 2, 3, 2], id="undone roll-back"),
        pytest.param("1 2 3 1 b", [1, 2, 3, 1, 0], id="going back by number leaves all that followed"),
        pytest.param("1 2 3 1 2 b", [1, 2, 3, 1, 2, 1], id="a version that was left, activated again"),
        pytest.param("1 3 2 b b", [1, 3, 2, 3, 1], id="activated late: order of being current, not of numbers"),
        pytest.param("1 2 3 -2 b", [1, 2, 3, 1], id="one in the trash is skipped"),
        pytest.param("1 2 3 -2 +2 b", [1, 2, 3, 2], id="one that was restored counts"),
        pytest.param("1 2 3 -2 b +2 b", [1, 2, 3, 1, 0], id="one that was skipped was left too"),
        pytest.param("1 2 3 b -3 +3 4 b", [1, 2, 3, 2, 4, 2], id="one that was left and restored stays left"),
    ],
)
def test_rollback_goes_back_along_history(steps: str, current: list[int]) -> None:
    assert replay(steps) == current


def test_decide_positions_current_version_without_place_gets_one() -> None:
    """A server of an earlier release made version 2 current."""
    assert decide_positions([PastVersion(1, 1)], 2, 3) == {2: 2, 3: 3}
    assert decide_positions([PastVersion(1, 1)], 2, 1) == {}


def find_previous(team: ApiCaller, model_id: str) -> list[int]:
    listed: list[dict[str, Any]] = team.get(f"/models/{model_id}/versions").json()["version_list"]
    return [version["version"] for version in listed if version["is_previous"]]


def test_list_versions_marks_what_a_rollback_goes_to(team: ApiCaller) -> None:
    contents = [make_model_file(f"version {number}") for number in range(1, 5)]
    model_id = team.register(contents[0])
    assert find_previous(team, model_id) == []
    for content in contents[1:3]:
        team.register(content, replaces=model_id)
    assert find_previous(team, model_id) == [2]
    team.post(f"/models/{model_id}/versions/2/activate")
    assert find_previous(team, model_id) == [1]
    team.register(contents[3], replaces=model_id)
    assert find_previous(team, model_id) == [2]
    assert team.get(f"/models/{model_id}/versions/2").json()["is_previous"] is True
    team.delete(f"/models/{model_id}/versions/2")
    assert find_previous(team, model_id) == [1]
    team.post(f"/models/{model_id}/versions/2/restore")
    assert find_previous(team, model_id) == [2]
