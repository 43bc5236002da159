"""Confirming a pairing, and the name that it gives."""

from typing import Any

import pytest

from tests.server.accounts_support.answers import Answer
from tests.server.agents.machine import add_machine
from tests.server.harness import ApiCaller, Harness


def _start(registry: Harness, *, is_for_agent: bool = False, agent_id: str | None = None) -> dict[str, Any]:
    query = f"is_for_agent={is_for_agent}" + ("" if agent_id is None else f"&agent_id={agent_id}")
    started: dict[str, Any] = registry.anonymous.post(f"/desktop/pair/start?{query}").json()
    return started


def _confirm(user: ApiCaller, code: str, **body: Any) -> Answer:
    return user.post("/desktop/pair/confirm", user_code=code, **body)


def _poll(registry: Harness, started: dict[str, Any]) -> dict[str, Any]:
    answer = registry.anonymous.post("/desktop/pair/poll", device_code=started["device_code"])
    assert answer.status_code == 200, answer.text
    polled: dict[str, Any] = answer.json()
    return polled


def _assert_name_refused(answer: Answer) -> str:
    """Assert that the name was refused; return the sentence that says why."""
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert error["field"] == "device_name"
    return str(error["message"])


def test_confirm_pairing_ignores_case_dashes_and_spaces(registry: Harness) -> None:
    for change in (str.lower, lambda code: code.replace("-", ""), lambda code: f" {code.replace('-', ' ')} "):
        assert _confirm(registry.owner, change(_start(registry)["user_code"])).status_code == 200


def test_confirm_pairing_again_succeeds_for_same_user_only(registry: Harness) -> None:
    started = _start(registry)
    user = registry.create_member("viewer")
    assert [_confirm(user, started["user_code"]).status_code for _ in range(2)] == [200, 200]
    assert _confirm(registry.owner, started["user_code"]).status_code == 404


@pytest.mark.parametrize("name", ["", "x" * 101, "a\nb", 7])
def test_confirm_pairing_with_invalid_device_name_returns_422(registry: Harness, name: object) -> None:
    answer = _confirm(registry.owner, _start(registry)["user_code"], device_name=name)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "device_name"


def test_confirm_pairing_again_for_another_team_returns_404(shared_registry: Harness, team: ApiCaller) -> None:
    started, other = _start(shared_registry), shared_registry.create_team()
    assert _confirm(team, started["user_code"]).status_code == 200
    assert _confirm(other, started["user_code"]).status_code == 404


@pytest.mark.parametrize("is_for_agent", [False, True], ids=["device", "agent"])
@pytest.mark.parametrize("first", [{}, {"device_name": "render-08"}], ids=["no name", "a name"])
def test_confirm_pairing_again_with_another_name_before_the_keys_were_fetched_changes_it(
    shared_registry: Harness, team: ApiCaller, is_for_agent: bool, first: dict[str, str]
) -> None:
    started = _start(shared_registry, is_for_agent=is_for_agent)
    for body in (first, {"device_name": "render-09"}, {}):
        assert _confirm(team, started["user_code"], **body).status_code == 200
    assert _poll(shared_registry, started)["device_name"] == "render-09"
    assert {key["display_name"] for key in team.get("/credentials").json()["credentials"]} == {"render-09"}


def test_confirm_pairing_again_with_another_name_after_the_keys_were_fetched_returns_422(
    shared_registry: Harness, team: ApiCaller
) -> None:
    started = _start(shared_registry, is_for_agent=True)
    assert _confirm(team, started["user_code"], device_name="render-08").status_code == 200
    _poll(shared_registry, started)
    assert "'render-08'" in _assert_name_refused(_confirm(team, started["user_code"], device_name="render-09"))
    for body in ({}, {"device_name": "render-08"}):
        assert _confirm(team, started["user_code"], **body).status_code == 200


def test_confirm_pairing_of_agent_with_a_name_that_no_machine_can_have_returns_422_and_stays_open(
    shared_registry: Harness, team: ApiCaller
) -> None:
    started = _start(shared_registry, is_for_agent=True)
    _assert_name_refused(_confirm(team, started["user_code"], device_name="GPU box 1"))
    assert _confirm(team, started["user_code"], device_name="gpu-box-1").status_code == 200


def _add_machine(registry: Harness, user: ApiCaller) -> None:
    """Add the machine ``render-03``, which a user has paired."""
    machine = ApiCaller(registry.client, registry.pair(user, is_for_agent=True)["agent_key"])
    assert machine.post("/agent/heartbeat", agent_id="render-03").status_code == 200


def test_confirm_pairing_of_agent_with_the_name_of_another_persons_machine_returns_422_and_stays_open(
    shared_registry: Harness, team: ApiCaller
) -> None:
    _add_machine(shared_registry, team)
    user = shared_registry.create_member("member", team)
    started = _start(shared_registry, is_for_agent=True)
    refusal = _assert_name_refused(_confirm(user, started["user_code"], device_name="render-03"))
    assert "modelyard machine rm render-03" in refusal
    assert _poll(shared_registry, started) == {"status": "pending"}
    assert _confirm(user, started["user_code"], device_name="render-04").status_code == 200


@pytest.mark.parametrize("by", ["the same person", "an admin"])
def test_confirm_pairing_of_agent_with_the_name_of_a_machine_that_one_may_set_up_again_returns_200(
    shared_registry: Harness, team: ApiCaller, by: str
) -> None:
    user = shared_registry.create_member("viewer", team)
    _add_machine(shared_registry, user)
    started = _start(shared_registry, is_for_agent=True)
    confirming = user if by == "the same person" else shared_registry.create_member("admin", team)
    assert _confirm(confirming, started["user_code"], device_name="render-03").status_code == 200


def test_confirm_pairing_with_the_name_of_a_machine_of_another_team_or_for_a_device_returns_200(
    shared_registry: Harness, team: ApiCaller
) -> None:
    _add_machine(shared_registry, team)
    user = shared_registry.create_member("member", team)
    device, machine = _start(shared_registry), _start(shared_registry, is_for_agent=True)
    assert _confirm(user, device["user_code"], device_name="render-03").status_code == 200
    elsewhere = shared_registry.create_member("viewer", shared_registry.create_team())
    assert _confirm(elsewhere, machine["user_code"], device_name="render-03").status_code == 200


@pytest.mark.parametrize(
    ("announced", "confirmed", "named"),
    [
        ("render-07", {}, ("render-07", True)),
        ("render-07", {"device_name": "render-08"}, ("render-08", False)),
        ("render-08", {}, ("render-08", False)),
        ("render-08", {"device_name": "render-07"}, ("render-07", True)),
        (None, {}, (None, False)),
    ],
)
def test_confirm_pairing_says_each_time_whether_the_name_of_the_machine_is_in_use_in_the_team(
    shared_registry: Harness,
    team: ApiCaller,
    announced: str | None,
    confirmed: dict[str, str],
    named: tuple[str | None, bool],
) -> None:
    add_machine(shared_registry, team, "render-07")
    add_machine(shared_registry, shared_registry.create_team(), "render-08")
    started = _start(shared_registry, is_for_agent=True, agent_id=announced)
    answers = [_confirm(team, started["user_code"], **confirmed).json() for _ in range(2)]
    assert [(answer["agent_id"], answer["is_name_in_use"]) for answer in answers] == [named, named]


def test_confirm_pairing_of_a_device_with_the_name_of_a_machine_says_nothing_of_it(
    shared_registry: Harness, team: ApiCaller
) -> None:
    add_machine(shared_registry, team, "render-07")
    started = _start(shared_registry, agent_id="render-07")
    answer = _confirm(team, started["user_code"], device_name="render-07").json()
    assert (answer["agent_id"], answer["is_name_in_use"]) == (None, False)


def test_start_pairing_with_a_name_that_no_machine_can_have_returns_422(registry: Harness) -> None:
    answer = registry.anonymous.post("/desktop/pair/start?is_for_agent=true&agent_id=a%20b")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "agent_id")
