"""Pinned collections: machines hold the versions that they list, and these are not purged."""

from typing import Any

import pytest

from tests.server.agents.machine import (
    Machine,
    add_machine,
    get_replica_counts,
    list_missing,
    list_states_on,
)
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file
from tests.server.query_plans import record_queries

pytestmark = pytest.mark.slow

PATH = "loras/ink.safetensors"
FIRST, SECOND, THIRD = (make_model_file("ink", 64 + number) for number in range(3))
Entry = dict[str, Any]


@pytest.fixture
def machine(shared_registry: Harness, team: ApiCaller) -> Machine:
    return add_machine(shared_registry, team)


@pytest.fixture
def other(machine: Machine) -> Machine:
    """A machine that no collection is for."""
    other = Machine(machine.key, "other")
    other.beat()
    return other


@pytest.fixture(params=[[], ["none"]], ids=["desired by labels", "desired by subscription"])
def ink(team: ApiCaller, request: pytest.FixtureRequest) -> str:
    return team.register(FIRST, PATH, required_labels=request.param)


def create(
    team: ApiCaller,
    *models: tuple[str, int],
    name: str = "Winter",
    is_pinned: bool = True,
    admin: ApiCaller | None = None,
) -> str:
    """Create a collection to which the machine is subscribed, by an admin if the team's caller is none."""
    admin = admin or team
    entries = [{"model_id": model_id, "version": version} for model_id, version in models]
    created = team.post("/collections", name=name, model_list=entries)
    assert created.status_code == 201, created.text
    path = f"/collections/{created.json()['id']}"
    assert admin.put(path, is_pinned=is_pinned).status_code == 200
    assert admin.post(f"{path}/subscriptions", agent_id="render-07").status_code == 201
    return path


def add_version(team: ApiCaller, model_id: str, content: bytes) -> None:
    team.register(content, PATH, replaces=model_id)


def get_entry(machine: Machine) -> Entry:
    [entry] = machine.manifest().json()["model_list"]
    return dict(entry)


def build_state(model_id: str, version: int, state: str = "ready") -> list[Entry]:
    return [{"model_id": model_id, "version": version, "state": state}]


def test_pinned_machine_keeps_its_version_when_the_model_moves_on(
    team: ApiCaller, machine: Machine, other: Machine, ink: str
) -> None:
    path = create(team, (ink, 1))
    machine.begin(build_state(ink, 1))
    add_version(team, ink, SECOND)
    entry = get_entry(machine)
    assert (entry["version"], entry["file_hash"], entry["file_size"], entry["keep"]) == (
        1,
        hash_of(FIRST),
        len(FIRST),
        False,
    )
    assert list_states_on(team) == {ink: "ready"}
    assert get_replica_counts(team, ink)[0] == 1
    assert list_missing(team, "render-07") == []
    [shown] = team.get("/agents/render-07/models").json()["agent_model_list"]
    assert (shown["version"], shown["state"], shown["file_size"]) == (1, "ready", len(FIRST))
    [on_all] = team.get("/agent-states", model_id=[ink]).json()["model_list"]
    pinned = {each["agent_id"]: each["pinned_version"] for each in on_all["state_list"]}
    assert (on_all["version"], on_all["ready"], pinned["render-07"]) == (2, [], 1)
    if team.get(f"/models/{ink}").json()["required_labels"] == []:
        assert (get_entry(other)["version"], pinned["other"]) == (2, None)
    assert machine.key.get(f"/models/{ink}/download", version=1).status_code == 307

    assert team.put(path, is_pinned=False).status_code == 200
    assert get_entry(machine)["version"] == 2
    assert list_states_on(team) == {ink: "queued"}
    assert machine.report(build_state(ink, 2))["resend_all"]
    machine.begin(build_state(ink, 2), series="two")
    assert list_states_on(team) == {ink: "ready"}
    assert machine.key.get(f"/models/{ink}/download", version=1).status_code == 404


def test_pinning_an_older_version_sends_the_machine_back(team: ApiCaller, machine: Machine, ink: str) -> None:
    add_version(team, ink, SECOND)
    path = create(team, (ink, 1), is_pinned=False)
    machine.begin(build_state(ink, 2))
    assert (get_entry(machine)["version"], list_states_on(team)) == (2, {ink: "ready"})
    assert team.put(path, is_pinned=True).status_code == 200
    assert (get_entry(machine)["version"], list_states_on(team)) == (1, {ink: "queued"})
    machine.begin(build_state(ink, 2), series="two")
    assert list_states_on(team) == {ink: "queued"}
    machine.begin(build_state(ink, 1), series="three")
    assert list_states_on(team) == {ink: "ready"}
    assert team.delete(path).status_code == 204
    if team.get(f"/models/{ink}").json()["required_labels"] == []:
        assert (get_entry(machine)["version"], list_states_on(team)) == (2, {ink: "queued"})
    else:
        assert machine.desired() == {}


def test_pins_of_different_versions_conflict_until_one_ends(team: ApiCaller, machine: Machine, ink: str) -> None:
    add_version(team, ink, SECOND)
    add_version(team, ink, THIRD)
    first, _ = create(team, (ink, 1), name="First"), create(team, (ink, 2), name="Second")
    entry = get_entry(machine)
    assert (entry["keep"], entry["pin_conflict"]) == (True, "'First' pins version 1, 'Second' pins version 2")
    assert team.put(first, is_pinned=False).status_code == 200
    entry = get_entry(machine)
    assert (entry["version"], entry["keep"], entry["pin_conflict"]) == (2, False, None)


def test_machines_with_other_pins_have_other_manifests(
    shared_registry: Harness, team: ApiCaller, machine: Machine, other: Machine
) -> None:
    ink = team.register(FIRST, PATH)
    add_version(team, ink, SECOND)
    add_version(team, ink, THIRD)
    first = create(team, (ink, 1), name="First")
    second = team.post("/collections", name="Second", model_list=[{"model_id": ink, "version": 2}]).json()["id"]
    team.put(f"/collections/{second}", is_pinned=True)
    team.post(f"/collections/{second}/subscriptions", agent_id="other")
    third = Machine(machine.key, "third")
    third.beat()
    assert [get_entry(each)["version"] for each in (machine, other, third)] == [1, 2, 3]
    team.post(f"{first}/subscriptions", agent_id="third")
    assert [get_entry(each)["version"] for each in (machine, other, third)] == [1, 2, 1]
    assert third.manifest().headers["ETag"] == machine.manifest().headers["ETag"]


def test_pinned_version_in_the_trash_stays_where_it_is(team: ApiCaller, machine: Machine, ink: str) -> None:
    add_version(team, ink, SECOND)
    create(team, (ink, 1))
    assert team.delete(f"/models/{ink}/versions/1").status_code == 204
    entry = get_entry(machine)
    assert (entry["version"], entry["keep"]) == (1, True)


def test_only_admins_pin_a_collection(shared_registry: Harness, team: ApiCaller) -> None:
    member = shared_registry.create_member("member", team)
    path = f"/collections/{member.post('/collections', name='Own', model_list=[]).json()['id']}"
    for caller in (member, shared_registry.create_key("integration", team)):
        assert caller.put(path, is_pinned=True).status_code == 403
        assert caller.put(path, is_pinned=False, note="x").status_code == 200
    assert team.put(path, is_pinned=True).status_code == 200
    assert team.get(path).json()["is_pinned"]
    assert team.put(path, is_pinned=None).status_code == 422


@pytest.mark.parametrize("kind", ["member", "integration"])
def test_version_of_a_pinned_collection_by_a_member_or_integration_returns_403(
    shared_registry: Harness, team: ApiCaller, machine: Machine, ink: str, kind: str
) -> None:
    caller = create_owner(shared_registry, team, kind)
    add_version(team, ink, SECOND)
    path = create(caller, (ink, 2), is_pinned=False, admin=team)
    assert team.put(path, is_pinned=True).status_code == 200
    older = {"model_list": [{"model_id": ink, "version": 1}]}
    assert caller.post(f"{path}/versions", **older).status_code == 403
    assert get_entry(machine)["version"] == 2
    assert team.post(f"{path}/versions", **older).status_code == 201
    assert team.put(path, is_pinned=False).status_code == 200
    assert caller.post(f"{path}/versions", model_list=[]).status_code == 201


def create_owner(registry: Harness, team: ApiCaller, kind: str) -> ApiCaller:
    """Return a caller who creates collections and may not subscribe machines."""
    return registry.create_member("member", team) if kind == "member" else registry.create_key("integration", team)


def test_delete_pinned_or_subscribed_collection_needs_an_admin(
    shared_registry: Harness, team: ApiCaller, machine: Machine, ink: str
) -> None:
    member = create_owner(shared_registry, team, "member")
    path = create(member, (ink, 1), is_pinned=False, admin=team)
    assert member.delete(path).json()["error_code"] == "role_too_low"
    [subscription] = team.get(f"{path}/subscriptions").json()["subscription_list"]
    assert team.delete(f"{path}/subscriptions/{subscription['id']}").status_code == 204
    assert team.put(path, is_pinned=True).status_code == 200
    assert member.delete(path).json()["error_code"] == "role_too_low"
    assert team.put(path, is_pinned=False).status_code == 200
    assert member.delete(path).status_code == 204


def test_delete_collection_with_an_integration_key_returns_403(shared_registry: Harness, team: ApiCaller) -> None:
    key = create_owner(shared_registry, team, "integration")
    path = f"/collections/{key.post('/collections', name='Own', model_list=[]).json()['id']}"
    answer = key.delete(path)
    assert (answer.status_code, answer.json()["error_code"]) == (403, "key_not_allowed")
    assert team.delete(path).status_code == 204


def test_update_pinned_collection_loads_its_machines_for_a_new_name_only(
    shared_registry: Harness, team: ApiCaller, machine: Machine, ink: str
) -> None:
    path = create(team, (ink, 1))
    with record_queries(shared_registry.resources.database.engine, of_all_threads=True) as queries:
        assert team.put(path, note="All shots.").status_code == 200
        assert team.put(path, name="Summer").status_code == 200
    # Not those that look for machines that are due, as the registry's job does, too.
    loading = [statement for statement, _ in queries.sent if "agents.label_set" in statement]
    assert len(loading) == 1


def test_pin_at_the_current_version_keeps_the_reported_state(team: ApiCaller, machine: Machine, ink: str) -> None:
    path = create(team, (ink, 1), is_pinned=False)
    machine.begin(build_state(ink, 1))
    assert team.put(path, is_pinned=True).status_code == 200
    assert (get_replica_counts(team, ink)[0], list_states_on(team)) == (1, {ink: "ready"})
    assert team.put(path, is_pinned=False).status_code == 200
    assert list_states_on(team) == {ink: "ready"}
    assert not machine.report([])["resend_all"]
