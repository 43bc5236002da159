"""Assignments: machines that should hold a model whatever their labels are, everywhere that it matters."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from modelyard.server.agents.manifest_build import ManifestKey, build_manifest
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow, AssignmentRow
from modelyard.server.models.tables import ModelRow
from tests.server.agents.machine import (
    Machine,
    build_states,
    get_replica_counts,
    list_agents,
    list_missing,
    list_states_on,
    register_model,
)
from tests.server.agents.random_changes import RandomChanges
from tests.server.environments import only_on
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file
from tests.server.query_plans import record_queries

pytestmark = pytest.mark.slow


def assign(team: ApiCaller, model_id: str, agent_id: str = "render-07", *, is_new: bool = True) -> None:
    answer = team.put(f"/agents/{agent_id}/models/{model_id}")
    assert (answer.status_code, answer.json()) == (200, {"is_success": True, "is_new": is_new})


def unassign(team: ApiCaller, model_id: str, agent_id: str = "render-07") -> None:
    assert team.delete(f"/agents/{agent_id}/models/{model_id}").status_code == 204


def list_reasons(team: ApiCaller, agent_id: str = "render-07") -> dict[str, str]:
    """Return why the machine should hold each of its models."""
    listed = team.get(f"/agents/{agent_id}/models").json()["agent_model_list"]
    return {entry["model_id"]: entry["desired_by"] for entry in listed}


def test_assigned_model_is_desired_on_the_machine_despite_its_labels(team: ApiCaller, machine: Machine) -> None:
    Machine(machine.key, "other").beat()
    plain, labelled = register_model(team, "plain"), register_model(team, "labelled", required_labels=["gpu24"])
    assert machine.key.get(f"/models/{labelled}/download").status_code == 404
    assign(team, labelled)
    assert get_replica_counts(team, labelled) == (0, 1)
    assert list_reasons(team) == {labelled: "assignment", plain: "labels"}
    assert list_agents(team)["render-07"]["models_desired"] == 2
    assert list_agents(team)["other"]["models_desired"] == 1
    assert set(machine.desired()) == {"loras/plain.safetensors", "loras/labelled.safetensors"}
    [shown] = team.get(f"/models/{labelled}/agents").json()["agent_model_list"]
    assert (shown["agent_id"], shown["state"], shown["desired_by"]) == ("render-07", "queued", "assignment")
    assert list_missing(team) == list_missing(team, "render-07") == [labelled, plain]
    assert list_missing(team, "other") == [plain]
    assert machine.key.get(f"/models/{labelled}/download").status_code == 307
    found = machine.key.post("/models/lookup", hashes=[hash_of(make_model_file("labelled"))], paths=[]).json()
    assert [match["id"] for match in found["match_list"]] == [labelled]
    machine.begin(build_states(plain, labelled))
    assert get_replica_counts(team, labelled) == (1, 1)
    assert list_missing(team, "render-07") == []
    assert list_missing(team) == [plain]


def test_assigned_model_that_is_ready_elsewhere_by_labels_is_still_missing(team: ApiCaller, machine: Machine) -> None:
    """The labelled machine lacks it and the assigned one has it: as many are ready as have the labels."""
    big = Machine(machine.key, "big", ("gpu24",))
    big.beat()
    model_id = register_model(team, required_labels=["gpu24"])
    assign(team, model_id)
    machine.begin(build_states(model_id))
    big.begin()
    assert get_replica_counts(team, model_id) == (1, 2)
    assert (list_missing(team), list_missing(team, "big"), list_missing(team, "render-07")) == (
        [model_id],
        [model_id],
        [],
    )
    listed = team.get("/models", missing_on="any").json()
    assert listed["page_meta"]["total_count"] == 1


def test_search_for_models_missing_on_one_of_two_machines_lists_each_once(team: ApiCaller, machine: Machine) -> None:
    Machine(machine.key, "other").beat()
    plain, labelled = register_model(team, "plain"), register_model(team, "labelled", required_labels=["gpu24"])
    assign(team, labelled)
    listed = team.get("/models", q="missing:render-07|other").json()
    assert [model["id"] for model in listed["model_list"]] == [labelled, plain]
    assert listed["page_meta"]["total_count"] == 2
    found = [
        [model["id"] for model in team.get("/models", q=search).json()["model_list"]]
        for search in ("machine:render-07 state:queued", "machine:other state:queued")
    ]
    assert found == [[labelled, plain], [plain]]


def test_unassign_deletes_the_state_and_asks_for_a_complete_report(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team, required_labels=["gpu24"])
    assign(team, model_id)
    machine.begin(build_states(model_id))
    assert get_replica_counts(team, model_id) == (1, 1)
    unassign(team, model_id)
    assert (get_replica_counts(team, model_id), list_states_on(team), machine.desired()) == ((0, 0), {}, {})
    assert list_agents(team)["render-07"]["models_ready"] == 0
    assign(team, model_id)
    assert machine.beat()["resend_all"] is True
    machine.begin(build_states(model_id), series="two")
    assert get_replica_counts(team, model_id) == (1, 1)


def test_unassign_keeps_the_state_of_a_model_whose_labels_match(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team)
    assign(team, model_id)
    machine.begin(build_states(model_id))
    assert list_reasons(team) == {model_id: "labels"}
    unassign(team, model_id)
    assert get_replica_counts(team, model_id) == (1, 1)
    assert machine.beat()["resend_all"] is False


def test_assign_and_unassign_repeated_are_recorded_once(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team, required_labels=["gpu24"])
    assign(team, model_id)
    assign(team, model_id, is_new=False)
    unassign(team, model_id)
    unassign(team, model_id)
    events = team.get("/audit-events", object_id=model_id).json()["audit_event_list"]
    ours = [(event["action"], event["facts"]["agent_id"]) for event in events if "assigned" in event["action"]]
    assert ours == [("model.unassigned", "render-07"), ("model.assigned", "render-07")]


def test_assign_unknown_machine_or_model_returns_404(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    model_id = register_model(team)
    foreign = register_model(shared_registry.create_team(), "foreign")
    for change in (team.put, team.delete):
        answers = [
            change(f"/agents/{agent}/models/{model}")
            for agent, model in (
                ("unknown", model_id),
                ("a b", model_id),
                ("render-07", foreign),
                ("render-07", str(uuid4())),
                ("render-07", "none"),
            )
        ]
        assert [answer.json()["error_code"] for answer in answers] == ["agent_not_found"] * 2 + ["model_not_found"] * 3


def test_assignment_outlives_trash_and_ends_with_its_machine(team: ApiCaller, machine: Machine) -> None:
    model_id = register_model(team, required_labels=["gpu24"])
    assign(team, model_id)
    team.delete(f"/models/{model_id}")
    assert machine.desired() == {}
    team.post(f"/models/{model_id}/restore")
    assert len(machine.desired()) == 1
    team.delete("/agents/render-07")
    assert get_replica_counts(team, model_id) == (0, 0)
    machine.beat()
    assert machine.desired() == {}


def test_manifest_etag_changes_with_the_assignments_of_this_machine_only(team: ApiCaller, machine: Machine) -> None:
    other = Machine(machine.key, "other")
    other.beat()
    model_id = register_model(team, required_labels=["gpu24"])
    before, of_other = machine.manifest().headers["ETag"], other.manifest().headers["ETag"]
    assign(team, model_id)
    changed = machine.manifest(before)
    assert (changed.status_code, len(changed.json()["model_list"])) == (200, 1)
    assert machine.manifest(changed.headers["ETag"]).status_code == 304
    assert other.manifest(of_other).status_code == 304
    unassign(team, model_id)
    assert machine.manifest(before).status_code == 304


@pytest.mark.parametrize("shared", [[], ["oil", "pen"]], ids=["nothing shared", "two shared"])
def test_manifests_of_machines_with_assignments_are_built_once_with_those_of_their_labels(
    shared_registry: Harness, team: ApiCaller, machine: Machine, shared: list[str]
) -> None:
    machines = [machine, *(Machine(machine.key, f"render-{number}") for number in (10, 11, 12))]
    for other in machines[1:]:
        other.beat()
    common = [register_model(team, word) for word in shared]
    own = [register_model(team, word, required_labels=["gpu24"]) for word in ("ink", "nib")]
    for model_id, agent_id in [
        (own[0], "render-07"),
        (own[0], "render-10"),
        (own[1], "render-10"),
        (own[0], "render-11"),
    ]:
        assign(team, model_id, agent_id)
    with record_queries(shared_registry.resources.database.engine, of_all_threads=True) as statements:
        answers = [each.manifest() for each in machines]
    # Jobs read models too, but not all that are desired.
    builds = [text for text, _ in statements.sent if "blake3_hash" in text and "verified_at IS NOT NULL" in text]
    assert len(builds) == 1
    held = [{entry["id"] for entry in answer.json()["model_list"]} for answer in answers]
    assert held == [{*common, own[0]}, {*common, *own}, {*common, own[0]}, {*common}]
    etags = [answer.headers["ETag"] for answer in answers]
    assert etags[0] == etags[2]
    assert len(set(etags)) == 3
    query = {"agent_id": "render-10"}
    plain = machine.key.call("GET", "/agent/manifest", params=query, headers={"Accept-Encoding": "identity"})
    assert plain.json() == answers[1].json()


def load_counts(registry: Harness, team: ApiCaller) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Return the stored counts of models and machines, and those computed from states and assignments."""
    team_id = UUID(team.team_id)
    with registry.resources.database.reading() as session:
        machines = {row.number: row for row in session.scalars(select(AgentRow).where(AgentRow.team_id == team_id))}
        models = session.scalars(select(ModelRow).where(ModelRow.team_id == team_id)).all()
        assigned = session.execute(select(AssignmentRow.model_id, AssignmentRow.agent_number)).all()
        ready = session.execute(
            select(AgentModelRow.model_id, AgentModelRow.agent_number).where(AgentModelRow.state == "ready")
        ).all()
    stored: dict[Any, Any] = {model.id: (model.agents_ready, model.agents_assigned) for model in models}
    stored |= {number: row.models_ready for number, row in machines.items()}
    actual: dict[Any, Any] = {number: sum(pair[1] == number for pair in ready) for number in machines}
    for model in models:
        lacking = [
            number
            for model_id, number in assigned
            if model_id == model.id and not set(model.required_labels) <= set(machines[number].label_set.split())
        ]
        actual[model.id] = (sum(pair[0] == model.id for pair in ready), len(lacking))
    return stored, actual


def check_everything_follows_the_rule(chance: RandomChanges, team: ApiCaller) -> None:
    """Compare what the API shows with the plain model of the rule."""
    present = chance.list_present()
    desired = {
        machine.agent_id: {each for each in chance.models if chance.should_hold(machine, each)} for machine in present
    }
    states = {machine.agent_id: list_states_on(team, machine.agent_id) for machine in present}
    assert {name: set(listed) for name, listed in states.items()} == desired
    missing = {name: {each for each, state in listed.items() if state != "ready"} for name, listed in states.items()}
    for machine in present:
        entries = {entry["id"] for entry in machine.manifest().json()["model_list"]}
        assert entries == desired[machine.agent_id]
        assert set(list_missing(team, machine.agent_id)) == missing[machine.agent_id]
        reasons = list_reasons(team, machine.agent_id)
        assert {each for each, reason in reasons.items() if reason == "labels"} == {
            each for each in reasons if chance.has_labels(machine, each)
        }
        assert {each for each, reason in reasons.items() if reason == "assignment"} == {
            each
            for each in reasons
            if (machine.agent_id, each) in chance.assigned and not chance.has_labels(machine, each)
        }
    listed = list_missing(team)
    assert sorted(listed) == sorted(set().union(*missing.values()))
    counts = {name: shown["models_desired"] for name, shown in list_agents(team).items()}
    assert counts == {name: len(ids) for name, ids in desired.items()}
    for model in team.get("/models").json()["model_list"]:
        assert model["agents_desired"] == sum(model["id"] in ids for ids in desired.values())
    for shown in team.get("/agent-states", model_id=chance.models).json()["model_list"]:
        names = {*shown["ready"], *(state["agent_id"] for state in shown["state_list"])}
        assert names == {name for name, ids in desired.items() if shown["model_id"] in ids}


@pytest.mark.extended(reason="random changes; the other tests of this file have the rules")
@pytest.mark.parametrize("seed", [7, 8])
def test_counts_lists_and_manifests_follow_the_rule_after_random_changes(
    shared_registry: Harness, team: ApiCaller, machine: Machine, seed: int
) -> None:
    words: dict[str, list[str]] = {"a": [], "b": ["x"], "c": ["x", "y"], "d": ["y"]}
    needs = {register_model(team, word, required_labels=labels): labels for word, labels in words.items()}
    machines = [machine, Machine(machine.key, "two", ("x",)), Machine(machine.key, "three", ("x", "y"))]
    for sender in machines:
        sender.begin()
    chance = RandomChanges(team, machines, needs, seed)
    for number in range(60):
        name = chance.change()
        stored, actual = load_counts(shared_registry, team)
        assert stored == actual, f"after step {number}: {name}"
        check_everything_follows_the_rule(chance, team)


@only_on("sqlite", reason="PostgreSQL reads small tables whole")
@pytest.mark.parametrize(
    "read",
    [
        pytest.param(list_missing, id="missing on any"),
        pytest.param(lambda team: list_missing(team, "render-07"), id="missing on one"),
        pytest.param(lambda team: list_missing(team, "big"), id="missing on one with labels"),
    ],
)
def test_missing_models_with_assignments_are_found_by_index(
    shared_registry: Harness, team: ApiCaller, machine: Machine, read: Callable[[ApiCaller], list[str]]
) -> None:
    register_model(team, "plain")
    labelled = register_model(team, "labelled", required_labels=["gpu24"])
    Machine(machine.key, "big", ("gpu24",)).beat()
    assign(team, labelled)
    engine = shared_registry.resources.database.engine
    with record_queries(engine, of_all_threads=True) as statements:
        assert len(read(team)) == 2
    with engine.connect() as connection:
        steps = [step for plan in statements.plans(connection) for step in plan.splitlines() if " models " in step]
    indexed = ("ix_models_desired", "ix_models_assigned", "(id=?)")
    assert [step for step in steps if not any(name in step for name in indexed)] == []


def test_states_of_models_with_too_many_assignments_return_422(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    """20,001 machines hold it by assignment alone."""
    model_id = register_model(team, required_labels=["gpu24"])
    with shared_registry.resources.database.writing(UUID(team.team_id)) as session:
        session.get_one(ModelRow, UUID(model_id)).agents_assigned = 20_001
    refused = team.get("/agent-states", model_id=[model_id])
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "model_id")


def test_size_of_cached_manifest_counts_assigned_models_once(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    Machine(shared_registry.create_key("agent", team), "other").beat()
    labelled = [register_model(team, word, required_labels=["gpu24"]) for word in ("ink", "oil")]
    key = ManifestKey(UUID(team.team_id), "", has_previews=False)

    def count_bytes() -> int:
        return build_manifest(shared_registry.resources.database, key).size

    sizes = [count_bytes()]
    for agent_id in ("render-07", "other"):
        for model_id in labelled:
            assign(team, model_id, agent_id)
        sizes.append(count_bytes())
    # An entry has two hashes of 64 digits.
    assert sizes[1] > sizes[0] + 2 * 128
    assert abs(sizes[2] - sizes[1]) < 10
