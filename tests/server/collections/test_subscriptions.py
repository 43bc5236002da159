"""Subscriptions: machines and labels that get the newest version of a collection, everywhere that it matters."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from modelyard.server.collections.subscribed_models import SubscribedEntry, decide_pins
from modelyard.server.models.replicas.pins import NO_PIN, Pin
from modelyard.server.models.replicas.subscribed import Assigned, AssignmentChange, decide_changes
from tests.server.agents.machine import (
    Machine,
    add_machine,
    build_states,
    get_replica_counts,
    list_agents,
    list_states_on,
)
from tests.server.agents.test_replicas import load_stored_and_actual_counts
from tests.server.harness import ApiCaller, Harness, make_model_file

NEW, DIRECT, BOTH, ONLY = (UUID(int=number) for number in range(1, 5))
ONE, TWO, CLASH = Pin(1), Pin(2), Pin(conflict="'A' pins version 1, 'B' pins version 2")
DIRECTLY, BY_BOTH, BY_SUBSCRIPTION = Assigned(True, False), Assigned(True, True), Assigned(False, True)
MACHINES = 2
PRESENT = {DIRECT: {DIRECTLY: 2}, BOTH: {BY_BOTH: 2}, ONLY: {BY_SUBSCRIPTION: 1}}
Changes = dict[AssignmentChange, dict[UUID, int]]


@pytest.mark.parametrize(
    ("subscribed", "expected"),
    [
        pytest.param({BOTH: NO_PIN}, {AssignmentChange(BY_SUBSCRIPTION, None): {ONLY: 1}}, id="one of two ends"),
        pytest.param(
            {BOTH: NO_PIN, ONLY: NO_PIN}, {AssignmentChange(None, BY_SUBSCRIPTION): {ONLY: 1}}, id="on one machine"
        ),
        pytest.param(
            dict.fromkeys([NEW, DIRECT, BOTH, ONLY], NO_PIN),
            {
                AssignmentChange(None, BY_SUBSCRIPTION): {NEW: 2, ONLY: 1},
                AssignmentChange(DIRECTLY, BY_BOTH): {DIRECT: 2},
            },
            id="more",
        ),
        pytest.param(
            {},
            {AssignmentChange(BY_BOTH, DIRECTLY): {BOTH: 2}, AssignmentChange(BY_SUBSCRIPTION, None): {ONLY: 1}},
            id="no subscription",
        ),
        pytest.param(
            {BOTH: ONE, ONLY: CLASH},
            {
                AssignmentChange(BY_BOTH, Assigned(True, True, ONE)): {BOTH: 2},
                AssignmentChange(BY_SUBSCRIPTION, Assigned(False, True, CLASH)): {ONLY: 1},
                AssignmentChange(None, Assigned(False, True, CLASH)): {ONLY: 1},
            },
            id="pins",
        ),
    ],
)
def test_decide_changes_of_two_machines(subscribed: dict[UUID, Pin], expected: Changes) -> None:
    assert decide_changes(PRESENT, subscribed, MACHINES) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, BY_SUBSCRIPTION, False),
        (None, Assigned(False, True, TWO), False),
        (None, Assigned(False, True, ONE), True),
        (Assigned(False, True, TWO), None, False),
        (Assigned(True, True, ONE), Assigned(True, True, TWO), True),
        (Assigned(False, True, TWO), Assigned(False, True, CLASH), True),
    ],
    ids=["current", "pin of current", "pin of another", "end of a pin of current", "other pin", "conflict"],
)
def test_change_replaces_content_only_if_another_version_is_meant(
    before: Assigned | None, after: Assigned | None, expected: bool
) -> None:
    assert AssignmentChange(before, after).replaces(2) == expected


def test_decide_pins_of_two_collections() -> None:
    entries = [
        SubscribedEntry(BOTH, 1, "A", True),
        SubscribedEntry(BOTH, 2, "B", True),
        SubscribedEntry(ONLY, 1, "A", True),
        SubscribedEntry(ONLY, 2, "C", False),
        SubscribedEntry(DIRECT, 2, "A", True),
        SubscribedEntry(DIRECT, 2, "B", True),
        SubscribedEntry(NEW, 2, "C", False),
    ]
    assert decide_pins(entries) == {BOTH: CLASH, ONLY: ONE, DIRECT: TWO, NEW: NO_PIN}


@pytest.fixture
def machine(shared_registry: Harness, team: ApiCaller) -> Machine:
    return add_machine(shared_registry, team, labels=("gpu24",))


@pytest.fixture
def ink(team: ApiCaller) -> str:
    """A model that needs a label that no machine has."""
    return register(team, "ink")


def register(team: ApiCaller, word: str) -> str:
    return team.register(make_model_file(word), f"loras/{word}.safetensors", required_labels=["none"])


def create(team: ApiCaller, *model_ids: str, name: str = "Winter") -> str:
    answer = team.post("/collections", name=name, model_list=[{"model_id": each} for each in model_ids])
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def subscribe(team: ApiCaller, collection_id: str, status: int = 201, **target: Any) -> str:
    answer = team.post(f"/collections/{collection_id}/subscriptions", **target)
    assert answer.status_code == status, answer.text
    return str(answer.json().get("id"))


def list_reasons(team: ApiCaller) -> dict[str, str]:
    listed = team.get("/agents/render-07/models").json()["agent_model_list"]
    return {each["model_id"]: each["desired_by"] for each in listed}


def list_subscriptions(team: ApiCaller, collection_id: str) -> list[tuple[str | None, str | None]]:
    listed = team.get(f"/collections/{collection_id}/subscriptions").json()["subscription_list"]
    return [(each["label"], each["agent_id"]) for each in listed]


def list_actions(team: ApiCaller) -> list[tuple[str, dict[str, Any]]]:
    events = team.get("/audit-events", per_page=100).json()["audit_event_list"]
    return [(each["action"], each["facts"]) for each in reversed(events) if "subscribed" in each["action"]]


@pytest.mark.parametrize("target", [{"label": "gpu24"}, {"agent_id": "render-07"}], ids=["label", "machine"])
def test_subscribed_machine_should_hold_the_collection_until_it_is_unsubscribed(
    team: ApiCaller, machine: Machine, ink: str, target: dict[str, Any]
) -> None:
    Machine(machine.key, "other").beat()
    collection_id = create(team, ink)
    created = subscribe(team, collection_id, **target)
    assert subscribe(team, collection_id, 200, **target) == created
    assert list_reasons(team) == {ink: "subscription"}
    assert set(machine.desired()) == {"loras/ink.safetensors"}
    assert get_replica_counts(team, ink) == (0, 1)
    assert {name: each["models_desired"] for name, each in list_agents(team).items()} == {"render-07": 1, "other": 0}
    machine.begin(build_states(ink))
    assert get_replica_counts(team, ink) == (1, 1)
    assert machine.key.get(f"/models/{ink}/download").status_code == 307

    assert team.delete(f"/collections/{collection_id}/subscriptions/{created}").status_code == 204
    assert (machine.desired(), list_reasons(team), get_replica_counts(team, ink)) == ({}, {}, (0, 0))
    assert machine.report(build_states(ink))["resend_all"]
    facts = {"name": "Winter"} | target
    assert list_actions(team) == [("collection.subscribed", facts), ("collection.unsubscribed", facts)]


def test_new_version_of_a_subscribed_collection_reaches_the_machine(
    team: ApiCaller, machine: Machine, ink: str
) -> None:
    kaori = register(team, "kaori")
    collection_id = create(team, ink)
    subscribe(team, collection_id, label="gpu24")
    etag = machine.manifest().headers["ETag"]
    team.post(f"/collections/{collection_id}/versions", model_list=[{"model_id": kaori}])
    assert machine.manifest(etag).status_code == 200
    assert list_states_on(team) == {kaori: "queued"}
    assert team.delete(f"/collections/{collection_id}").status_code == 204
    assert list_states_on(team) == {}


def test_machine_gets_and_loses_a_subscription_with_its_label(
    shared_registry: Harness, team: ApiCaller, ink: str
) -> None:
    subscribe(team, create(team, ink), label="gpu24")
    machine = add_machine(shared_registry, team, labels=("gpu24",))
    assert set(machine.desired()) == {"loras/ink.safetensors"}
    machine.labels = ()
    machine.beat()
    assert machine.desired() == {}
    assert team.put("/agents/render-07", agent_labels=["gpu24"]).status_code == 200
    assert set(machine.desired()) == {"loras/ink.safetensors"}


def test_direct_assignment_and_subscription_end_one_by_one(team: ApiCaller, machine: Machine, ink: str) -> None:
    collection_id = create(team, ink)
    created = subscribe(team, collection_id, agent_id="render-07")
    assert team.put(f"/agents/render-07/models/{ink}").json()["is_new"]
    machine.begin(build_states(ink))
    assert (list_reasons(team), get_replica_counts(team, ink)) == ({ink: "assignment"}, (1, 1))
    assert team.delete(f"/agents/render-07/models/{ink}").status_code == 204
    assert (list_reasons(team), get_replica_counts(team, ink)) == ({ink: "subscription"}, (1, 1))
    assert team.put(f"/agents/render-07/models/{ink}").json()["is_new"]
    assert team.delete(f"/collections/{collection_id}/subscriptions/{created}").status_code == 204
    assert (list_reasons(team), get_replica_counts(team, ink)) == ({ink: "assignment"}, (1, 1))


def test_delete_subscribed_collection_records_what_was_subscribed(team: ApiCaller, machine: Machine, ink: str) -> None:
    collection_id = create(team, ink)
    subscribe(team, collection_id, label="gpu24")
    subscribe(team, collection_id, agent_id="render-07")
    assert team.put(f"/collections/{collection_id}", is_pinned=True).status_code == 200
    assert team.delete(f"/collections/{collection_id}").status_code == 204
    newest = team.get("/audit-events").json()["audit_event_list"][0]
    assert (newest["action"], newest["facts"]) == (
        "collection.deleted",
        {"name": "Winter", "version": 1, "is_pinned": True, "labels": ["gpu24"], "agent_ids": ["render-07"]},
    )


def test_model_of_two_subscribed_collections_stays_until_both_end(team: ApiCaller, machine: Machine, ink: str) -> None:
    first, second = create(team, ink, name="First"), create(team, ink, name="Second")
    subscribe(team, first, label="gpu24")
    subscribe(team, second, agent_id="render-07")
    assert team.delete(f"/collections/{first}").status_code == 204
    assert list_reasons(team) == {ink: "subscription"}
    assert team.delete(f"/collections/{second}").status_code == 204
    assert list_reasons(team) == {}


def test_removed_machine_loses_its_own_subscription(team: ApiCaller, machine: Machine, ink: str) -> None:
    collection_id = create(team, ink)
    subscribe(team, collection_id, agent_id="render-07")
    subscribe(team, collection_id, label="big")
    assert list_subscriptions(team, collection_id) == [(None, "render-07"), ("big", None)]
    assert team.delete("/agents/render-07").status_code == 204
    assert list_subscriptions(team, collection_id) == [("big", None)]
    assert list_actions(team)[-1] == ("collection.unsubscribed", {"name": "Winter", "agent_id": "render-07"})
    machine.beat()
    assert (machine.desired(), get_replica_counts(team, ink)) == ({}, (0, 0))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "label"),
        ({"label": "gpu24", "agent_id": "render-07"}, "label"),
        ({"agent_id": "none"}, "agent_id"),
        ({"agent_id": "a b"}, "agent_id"),
        ({"label": "two words"}, "label"),
    ],
    ids=["neither", "both", "unknown machine", "no name", "no label"],
)
def test_subscribe_with_invalid_target_names_the_field(
    team: ApiCaller, machine: Machine, body: dict[str, str], field: str
) -> None:
    answer = team.post(f"/collections/{create(team)}/subscriptions", **body)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_subscribe_machine_of_another_team_returns_422(
    shared_registry: Harness, team: ApiCaller, machine: Machine
) -> None:
    stranger = shared_registry.create_team("Elsewhere")
    subscribe(stranger, create(stranger), 422, agent_id="render-07")


def test_unknown_subscription_returns_404(team: ApiCaller, machine: Machine) -> None:
    first, second = create(team, name="First"), create(team, name="Second")
    of_second = subscribe(team, second, label="gpu24")
    for subscription_id in ("none", str(uuid4()), of_second):
        answer = team.delete(f"/collections/{first}/subscriptions/{subscription_id}")
        assert (answer.status_code, answer.json()["error_code"]) == (404, "subscription_not_found")


def test_subscription_of_machines_with_different_labels_and_assignments_keeps_their_counts(
    shared_registry: Harness, team: ApiCaller, machine: Machine, ink: str
) -> None:
    """``has`` gets the model by its labels, ``direct`` by an assignment, ``away`` not at all."""
    has, direct, away = (
        Machine(machine.key, agent_id, labels)
        for agent_id, labels in (("has", ("gpu24", "none")), ("direct", ("gpu24",)), ("away", ()))
    )
    for each in (has, direct, away):
        each.beat()
    assert team.put(f"/agents/direct/models/{ink}").status_code == 200
    kaori = register(team, "kaori")
    has.begin(build_states(ink, kaori))
    direct.begin(build_states(ink))
    collection_id = create(team, ink)
    created = subscribe(team, collection_id, label="gpu24")
    machine.begin(build_states(ink))
    assert (get_replica_counts(team, ink), get_replica_counts(team, kaori)) == ((3, 3), (1, 1))

    team.post(f"/collections/{collection_id}/versions", model_list=[{"model_id": ink}, {"model_id": kaori}])
    assert (get_replica_counts(team, ink), get_replica_counts(team, kaori)) == ((3, 3), (1, 3))
    direct.report(build_states(kaori))
    assert get_replica_counts(team, kaori) == (2, 3)

    assert team.delete(f"/collections/{collection_id}/subscriptions/{created}").status_code == 204
    assert (get_replica_counts(team, ink), get_replica_counts(team, kaori)) == ((2, 2), (1, 1))
    stored, actual = load_stored_and_actual_counts(shared_registry, team)
    assert stored == actual
    assert [each.report([])["resend_all"] for each in (machine, has, direct)] == [True, False, True]
