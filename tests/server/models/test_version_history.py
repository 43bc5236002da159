"""What a roll-back goes back to: the history of current versions."""

from typing import Any

import pytest

from tests.server.harness import ApiCaller, make_model_file


def replay(team: ApiCaller, steps: str) -> list[int]:
    """Return the numbers that are current after each step: a number makes that version current, ``b`` rolls back.

    A number above all others registers that version. ``-2`` moves version 2 to the trash and ``+2`` restores it. A
    roll-back without a target is 0.
    """
    model_id, count, seen = "", 0, list[int]()
    for step in steps.split():
        if step[0] in "+-":
            address = f"/models/{model_id}/versions/{step[1:]}"
            answer = team.delete(address) if step[0] == "-" else team.post(f"{address}/restore")
            assert answer.is_success, answer.text
            continue
        target = next(iter(find_previous(team, model_id)), 0) if step == "b" else int(step)
        seen.append(target)
        if target > count:
            replaced = {"replaces": model_id} if model_id else {}
            model_id, count = team.register(make_model_file(f"{steps} {target}"), **replaced), target
        elif target:
            activated = team.post(f"/models/{model_id}/versions/{target}/activate")
            assert activated.status_code == 200, activated.text
    return seen


def find_previous(team: ApiCaller, model_id: str) -> list[int]:
    listed: list[dict[str, Any]] = team.get(f"/models/{model_id}/versions").json()["version_list"]
    marked = [version["version"] for version in listed if version["is_previous"]]
    for version in listed:
        one = team.get(f"/models/{model_id}/versions/{version['version']}").json()
        assert one["is_previous"] is (version["version"] in marked)
    return marked


@pytest.mark.parametrize(
    ("steps", "current"),
    [
        pytest.param("1 b", [1, 0], id="first version has none"),
        pytest.param("1 2 3 b b b", [1, 2, 3, 2, 1, 0], id="each roll-back goes one further"),
        pytest.param("1 2 3 b 4 b b", [1, 2, 3, 2, 4, 2, 1], id="a version that was left stays left after a push"),
        pytest.param("1 2 3 b 3 b", [1, 2, 3, 2, 3, 2], id="undone roll-back"),
        pytest.param("1 2 3 1 b", [1, 2, 3, 1, 0], id="going back by number leaves all that followed"),
        pytest.param("1 2 3 1 2 b", [1, 2, 3, 1, 2, 1], id="a version that was left, activated again"),
        pytest.param("1 2 3 1 3 2 b b", [1, 2, 3, 1, 3, 2, 3, 1], id="order of being current, not of numbers"),
        pytest.param("1 2 3 -2 b +2 b", [1, 2, 3, 1, 0], id="one in the trash is skipped, and was left by that"),
        pytest.param("1 2 3 -2 +2 b", [1, 2, 3, 2], id="one that was restored counts"),
        pytest.param("1 2 3 b -3 +3 4 b", [1, 2, 3, 2, 4, 2], id="one that was left and restored stays left"),
    ],
)
def test_rollback_goes_back_along_history(team: ApiCaller, steps: str, current: list[int]) -> None:
    assert replay(team, steps) == current
