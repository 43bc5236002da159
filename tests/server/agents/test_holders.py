"""Who should have a model and who has it: the counts, what is missing where, and that they never drift apart."""

import random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from modelyard.server.models.holders.tables import AgentModelRow, AgentRow
from modelyard.server.models.tables import ModelRow
from tests.server.agents.machine import Machine, agents, counts, machine_of, missing, ready, states_on
from tests.server.places import only_on
from tests.server.plans import recorded
from tests.server.world import Someone, World, a_model_file


@pytest.fixture
def machine(shared_world: World, team: Someone) -> Machine:
    return machine_of(shared_world, team)


def model(team: Someone, word: str, **changed: Any) -> str:
    return team.register(a_model_file(word), f"loras/{word}.safetensors", **changed)


def test_a_model_is_wanted_by_the_machines_that_have_its_labels(team: Someone, machine: Machine) -> None:
    Machine(machine.key, "big", ("gpu24", "north")).beat()
    plain, labelled = model(team, "plain"), model(team, "labelled", required_labels=["north", "gpu24"])
    elsewhere = model(team, "elsewhere", required_labels=["gpu2"])
    assert [counts(team, one) for one in (plain, labelled, elsewhere)] == [(0, 2), (0, 1), (0, 0)]
    listed = {entry["id"]: entry["agents_wanted"] for entry in team.get("/models").json()["model_list"]}
    assert listed == {plain: 2, labelled: 1, elsewhere: 0}
    assert {name: shown["models_wanted"] for name, shown in agents(team).items()} == {"render-07": 1, "big": 2}


def test_a_model_that_leaves_a_machine_is_reported_anew_when_it_comes_back(team: Someone, machine: Machine) -> None:
    one = model(team, "one")
    machine.begin(ready(one))
    for away, back in (({"model_status": "disabled"}, {"model_status": "active"}), ({}, {})):
        if away:
            team.put(f"/models/{one}", **away)
        else:
            team.delete(f"/models/{one}")
        assert agents(team)["render-07"]["models_ready"] == 0
        assert machine.report(ready(one))["resend_all"] is False
        if back:
            team.put(f"/models/{one}", **back)
        else:
            team.post(f"/models/{one}/restore")
        assert (counts(team, one), states_on(team)) == ((0, 1), {one: "wanted"})
        machine.report(ready(one))
        assert counts(team, one) == (1, 1)


def test_labels_that_come_and_go_make_the_machine_say_everything_again(team: Someone, machine: Machine) -> None:
    one, plain = model(team, "one", required_labels=["night"]), model(team, "plain")
    team.put("/agents/render-07", agent_labels=["night"])
    machine.begin(ready(one, plain))
    assert (counts(team, one), counts(team, plain)) == ((1, 1), (1, 1))
    team.put("/agents/render-07", agent_labels=[])
    assert (counts(team, one), agents(team)["render-07"]["models_ready"]) == ((0, 0), 1)
    team.put("/agents/render-07", agent_labels=["night"])
    assert counts(team, one) == (0, 1)
    assert machine.beat()["resend_all"] is True
    machine.begin(ready(one, plain), series="two")
    assert counts(team, one) == (1, 1)


def test_a_model_that_asks_for_more_labels_is_forgotten_where_they_are_not(team: Someone, machine: Machine) -> None:
    big = Machine(machine.key, "big", ("gpu24",))
    big.beat()
    one = model(team, "one")
    for each in (machine, big):
        each.begin(ready(one))
    assert counts(team, one) == (2, 2)
    team.put(f"/models/{one}", required_labels=["gpu24"])
    assert counts(team, one) == (1, 1)
    assert {name: shown["models_ready"] for name, shown in agents(team).items()} == {"render-07": 0, "big": 1}


def test_missing_is_what_is_wanted_and_not_ready(team: Someone, machine: Machine) -> None:
    big = Machine(machine.key, "big", ("gpu24",))
    big.beat()
    everywhere, here, nowhere = (model(team, word) for word in ("everywhere", "here", "nowhere"))
    labelled = model(team, "labelled", required_labels=["gpu24"])
    elsewhere = model(team, "elsewhere", required_labels=["gpu2"])
    disabled = model(team, "disabled")
    team.put(f"/models/{disabled}", model_status="disabled")
    machine.begin(ready(everywhere, here))
    big.begin([*ready(everywhere), *ready(labelled, state="downloading")])
    assert missing(team) == [labelled, nowhere, here]
    assert missing(team, "render-07") == [nowhere]
    assert missing(team, "big") == [labelled, nowhere, here]
    assert missing(team, "nobody") == []
    assert missing(team, sort="display_name") == [here, labelled, nowhere]
    assert missing(team, q="nowhere") == [nowhere]
    assert missing(team, model_status="disabled") == missing(team, deleted="true") == []
    assert elsewhere not in missing(team)
    page = team.get("/models", missing_on="any", per_page=2).json()
    assert (page["page_meta"]["total_count"], len(page["model_list"])) == (3, 2)
    first = team.get("/models", missing_on="any", per_page=2, cursor="").json()
    rest = missing(team, cursor=first["page_meta"]["next_cursor"])
    assert [entry["id"] for entry in first["model_list"]] + rest == [labelled, nowhere, here]


@only_on("sqlite", reason="PostgreSQL reads small tables whole")
def test_what_is_missing_is_found_in_its_index_and_not_by_looking_at_models(
    shared_world: World, team: Someone, machine: Machine
) -> None:
    model(team, "plain")
    model(team, "labelled", required_labels=["gpu24"])
    Machine(machine.key, "big", ("gpu24",)).beat()
    engine = shared_world.parts.database.engine
    for where in ("any", "big"):
        with recorded(engine, of_all_threads=True) as statements:
            assert len(missing(team, where)) == 2
        with engine.connect() as connection:
            steps = [step for plan in statements.plans(connection) for step in plan.splitlines() if " models " in step]
        assert [step for step in steps if "ix_models_wanted" not in step and "(id=?)" not in step] == []


def test_a_machine_gets_only_the_bytes_that_its_labels_let_it_have(team: Someone, machine: Machine) -> None:
    labelled = model(team, "labelled", required_labels=["gpu24"])
    refused = machine.key.get(f"/models/{labelled}/download")
    assert (refused.status_code, refused.json()["error_code"]) == (404, "model_not_found")
    team.put("/agents/render-07", agent_labels=["gpu24", "north"])
    assert machine.key.get(f"/models/{labelled}/download").status_code == 307


def kept_and_counted(world: World, team: Someone) -> tuple[dict[Any, int], dict[Any, int]]:
    """The counts that are kept, of models and of machines, and what counting gives."""
    kept: dict[Any, int] = {}
    counted: dict[Any, int] = {}
    with world.parts.database.reading() as session:
        for of, count, table in (
            (AgentModelRow.model_id, ModelRow.agents_ready, ModelRow),
            (AgentModelRow.agent_number, AgentRow.models_ready, AgentRow),
        ):
            key = ModelRow.id if table is ModelRow else AgentRow.number
            rows = session.execute(select(key, count).where(table.team_id == UUID(team.team_id)))
            kept |= {row[0]: row[1] for row in rows}
            ready_ones = select(of, func.count()).where(AgentModelRow.state == "ready").group_by(of)
            counted |= {row[0]: row[1] for row in session.execute(ready_ones)}
    return kept, {of: counted.get(of, 0) for of in kept}


class Chance:
    """Something happens to one of the machines or models."""

    def __init__(self, team: Someone, machines: list[Machine], models: list[str]) -> None:
        self.team, self.machines, self.models = team, machines, models
        self.chance = random.Random(7)
        self.series = 0

    def step(self) -> str:
        names = ["report", "report", "report", "begin", "switch", "label", "need", "trash", "restore", "forget"]
        name = self.chance.choice(names)
        getattr(self, name)(self.chance.choice(self.machines), self.chance.choice(self.models))
        return name

    def some_labels(self) -> list[str]:
        return self.chance.sample(["x", "y"], self.chance.randrange(3))

    def report(self, machine: Machine, model_id: str) -> None:
        state = self.chance.choice(["ready", "ready", "failed"])
        if machine.report(ready(model_id, state=state))["resend_all"]:
            self.begin(machine, model_id)

    def begin(self, machine: Machine, model_id: str) -> None:
        self.series += 1
        machine.begin(ready(model_id, self.models[0])[: self.chance.randrange(3)], series=f"series-{self.series}")

    def switch(self, _: Machine, model_id: str) -> None:
        self.team.put(f"/models/{model_id}", model_status=self.chance.choice(["active", "disabled"]))

    def label(self, machine: Machine, _: str) -> None:
        self.team.put(f"/agents/{machine.agent_id}", agent_labels=self.some_labels())

    def need(self, _: Machine, model_id: str) -> None:
        self.team.put(f"/models/{model_id}", required_labels=self.some_labels())

    def trash(self, _: Machine, model_id: str) -> None:
        self.team.delete(f"/models/{model_id}")

    def restore(self, _: Machine, model_id: str) -> None:
        self.team.post(f"/models/{model_id}/restore")

    def forget(self, machine: Machine, _: str) -> None:
        self.team.delete(f"/agents/{machine.agent_id}")


def test_whatever_happens_in_whatever_order_the_counts_are_what_counting_gives(
    shared_world: World, team: Someone, machine: Machine
) -> None:
    needs = {"a": [], "b": ["x"], "c": ["x", "y"]}
    models = [model(team, word, required_labels=labels) for word, labels in needs.items()]
    machines = [machine, Machine(machine.key, "two", ("x",)), Machine(machine.key, "three", ("x", "y"))]
    for each in machines:
        each.begin()
    chance = Chance(team, machines, models)
    for number in range(150):
        name = chance.step()
        kept, counted = kept_and_counted(shared_world, team)
        assert kept == counted, f"after step {number}: {name}"
