"""Labels that a machine gives itself: whose machines get collections by them, and are canaries by them."""

import pytest

from tests.server.agents.machine import Machine, build_states, list_agents, pair_agent
from tests.server.collections.studio import INK, KAORI, Studio
from tests.server.harness import ApiCaller, Harness

LABELS = ("gpu24", "canary")


@pytest.fixture
def studio(shared_registry: Harness, team: ApiCaller) -> Studio:
    return Studio(shared_registry, team)


@pytest.fixture
def viewer(shared_registry: Harness, team: ApiCaller) -> ApiCaller:
    return shared_registry.create_member("viewer", team)


def add_machine_of(studio: Studio, user: ApiCaller) -> Machine:
    """Return a machine that a user has paired, and that gives itself the labels of the subscription and the canary."""
    machine = Machine(pair_agent(studio.registry, user), "paired", LABELS)
    machine.beat()
    return machine


def test_own_labels_of_a_viewers_machine_do_not_subscribe_it(studio: Studio, viewer: ApiCaller) -> None:
    machine = add_machine_of(studio, viewer)
    assert machine.desired() == {}
    shown = list_agents(studio.team)["paired"]
    assert (shown["agent_labels"], shown["ignored_labels"]) == (["canary", "gpu24"], ["canary", "gpu24"])


def test_own_labels_of_a_viewers_machine_select_models_that_require_them(studio: Studio, viewer: ApiCaller) -> None:
    machine = add_machine_of(studio, viewer)
    studio.team.put(f"/models/{studio.kaori}", required_labels=["gpu24"])
    assert [*machine.desired()] == [KAORI]


def test_failure_of_a_viewers_machine_does_not_stop_a_rollout(studio: Studio, viewer: ApiCaller) -> None:
    machine = add_machine_of(studio, viewer)
    rollout = studio.start(is_automatic=True)
    machine.begin(build_states(studio.kaori, state="conflict", reason="A file of yours is there."))
    assert studio.read(rollout)["state"] == "canary"
    studio.canary.begin(build_states(studio.kaori))
    assert studio.read(rollout)["state"] == "rolling_out"


def test_viewers_machine_does_not_let_a_rollout_whose_canary_is_gone_go_on(studio: Studio, viewer: ApiCaller) -> None:
    rollout = studio.start(is_automatic=True)
    assert studio.team.delete("/agents/canary-1").status_code == 204
    machine = add_machine_of(studio, viewer)
    machine.begin(build_states(studio.kaori))
    shown = studio.read(rollout)
    assert (shown["state"], shown["obstacle"]) == ("canary", "canaries_gone")


def test_label_that_an_admin_sets_on_a_viewers_machine_counts(studio: Studio, viewer: ApiCaller) -> None:
    machine = add_machine_of(studio, viewer)
    assert studio.team.put("/agents/paired", agent_labels=["gpu24"]).status_code == 200
    assert [*machine.desired()] == [INK]
    assert list_agents(studio.team)["paired"]["ignored_labels"] == ["canary"]
    studio.team.put("/agents/paired", agent_labels=None)
    assert machine.desired() == {}


@pytest.mark.parametrize("role", ["member", "admin"])
def test_own_labels_of_a_members_machine_subscribe_it(studio: Studio, role: str) -> None:
    machine = add_machine_of(studio, studio.registry.create_member(role, studio.team))
    assert [*machine.desired()] == [INK]
    assert list_agents(studio.team)["paired"]["ignored_labels"] == []


def test_new_role_of_a_person_counts_from_the_next_heartbeat_of_their_machine(
    studio: Studio, viewer: ApiCaller
) -> None:
    machine = add_machine_of(studio, viewer)
    desired = []
    for role in ("member", "viewer"):
        assert studio.team.put(f"/members/{viewer.user_id}", member_role=role).status_code == 200
        machine.beat()
        desired.append([*machine.desired()])
    assert desired == [[INK], []]
