"""Some models on all machines at once, and what of one machine's models is not there yet."""

from typing import Any

import pytest

from tests.server.agents.machine import Machine, machine_of, ready, states_on
from tests.server.places import only_on
from tests.server.plans import recorded
from tests.server.world import Someone, World, a_model_file


@pytest.fixture
def machine(shared_world: World, team: Someone) -> Machine:
    return machine_of(shared_world, team)


def model(team: Someone, word: str, **changed: Any) -> str:
    return team.register(a_model_file(word), f"loras/{word}.safetensors", **changed)


def shown(team: Someone, *model_ids: str) -> list[dict[str, Any]]:
    answer = team.get("/agent-states", model_id=list(model_ids))
    assert answer.status_code == 200, answer.text
    listed: list[dict[str, Any]] = answer.json()["model_list"]
    return listed


def test_models_are_shown_on_every_machine_that_should_hold_them(team: Someone, machine: Machine) -> None:
    big = Machine(machine.key, "big", ("gpu24",))
    big.beat()
    plain, labelled = model(team, "plain"), model(team, "labelled", required_labels=["gpu24"])
    machine.begin(ready(plain))
    big.begin(ready(labelled, reason="ComfyUI does not load it.") + ready(plain, state="failed", reason="No room."))
    states = [{"agent_id": "big", "state": "failed", "reason": "No room.", "bytes_done": 0}]
    not_loaded = {"agent_id": "big", "state": "ready", "reason": "ComfyUI does not load it.", "bytes_done": 0}
    assert shown(team, labelled, plain, plain) == [
        {"model_id": labelled, "ready": [], "state_list": [not_loaded]},
        {"model_id": plain, "ready": ["render-07"], "state_list": states},
    ]


def test_a_machine_that_has_said_nothing_will_get_the_model(team: Someone, machine: Machine) -> None:
    one = model(team, "one")
    waits = {"agent_id": "render-07", "state": "wanted", "reason": None, "bytes_done": 0}
    assert shown(team, one) == [{"model_id": one, "ready": [], "state_list": [waits]}]


def test_a_model_that_no_machine_should_hold_is_left_out(shared_world: World, team: Someone, machine: Machine) -> None:
    one, off = model(team, "one"), model(team, "off")
    machine.begin(ready(one, off))
    team.put(f"/models/{off}", model_status="disabled")
    stranger = shared_world.other_team()
    assert [each["model_id"] for each in shown(team, off, one)] == [one]
    assert shown(stranger, one) == []


@only_on("sqlite", reason="PostgreSQL reads small tables whole")
def test_models_are_looked_up_and_not_looked_for(shared_world: World, team: Someone, machine: Machine) -> None:
    some = [model(team, str(number)) for number in range(10)]
    engine = shared_world.parts.database.engine
    with recorded(engine, of_all_threads=True) as statements:
        assert len(shown(team, *some)) == 10
    with engine.connect() as connection:
        steps = [step for plan in statements.plans(connection) for step in plan.splitlines() if " models " in step]
    assert steps
    assert [step for step in steps if "(id=?)" not in step] == []


def test_unchanged_states_are_not_sent_again(team: Someone, machine: Machine) -> None:
    one = model(team, "one")
    machine.begin([])
    query = {"model_id": one}
    etag = team.get("/agent-states", **query).headers["ETag"]
    machine.beat(sync_percent=3)
    assert team.call("GET", "/agent-states", params=query, headers={"If-None-Match": etag}).status_code == 304
    machine.report(ready(one))
    assert team.call("GET", "/agent-states", params=query, headers={"If-None-Match": etag}).status_code == 200


def test_a_question_names_between_one_and_a_hundred_models(team: Someone) -> None:
    one = model(team, "one")
    assert team.get("/agent-states").status_code == 422
    assert team.get("/agent-states", model_id=[one] * 101).status_code == 422
    assert team.get("/agent-states", model_id="ink").status_code == 422


def test_what_is_not_ready_on_a_machine_is_listed_alone(team: Someone, machine: Machine) -> None:
    has, fetches, unheard = model(team, "has"), model(team, "fetches"), model(team, "unheard")
    machine.begin(ready(has) + ready(fetches, state="downloading"))
    assert states_on(team, missing=True) == {unheard: "wanted", fetches: "downloading"}
    assert states_on(team, missing=True, state="downloading") == {fetches: "downloading"}
    machine.begin(ready(has, fetches, unheard), series="two")
    assert states_on(team, missing=True) == {}
