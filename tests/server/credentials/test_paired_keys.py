"""Keys that came by pairing: they end with the membership of their user, who sees and revokes them."""

from uuid import UUID

import pytest
from sqlalchemy import update

from modelyard.server.identity.tables import CredentialRow
from tests.server.harness import ApiCaller, Harness


def pair_machine(registry: Harness, user: ApiCaller, *, is_for_agent: bool) -> ApiCaller:
    """Pair the agent of a machine alone or with a device; return the caller with its ``ak-`` key, which works."""
    paired = registry.pair(user, is_for_agent=is_for_agent)
    machine = ApiCaller(registry.client, paired["agent_key"])
    assert beat(machine) == 200
    return machine


def beat(machine: ApiCaller) -> int:
    """Send a heartbeat under a name of the machine's own; return the status of the answer."""
    return machine.post("/agent/heartbeat", agent_id=get_name(machine)).status_code


def get_name(machine: ApiCaller) -> str:
    """The name of a machine."""
    return f"render-{str(machine.token)[3:11]}"


def list_states(team: ApiCaller) -> list[str]:
    """The states of the team's keys."""
    return [key["key_status"] for key in team.get("/credentials").json()["credentials"]]


@pytest.mark.parametrize("role", ["viewer", "admin"])
@pytest.mark.parametrize("action", ["removal", "departure"])
@pytest.mark.parametrize("is_for_agent", [False, True], ids=["device", "agent"])
def test_machine_of_a_user_who_leaves_the_team_is_refused(
    shared_registry: Harness, team: ApiCaller, role: str, action: str, is_for_agent: bool
) -> None:
    user = shared_registry.create_member(role, team)
    machine = pair_machine(shared_registry, user, is_for_agent=is_for_agent)

    left = (team if action == "removal" else user).delete(f"/members/{user.user_id}")

    assert left.status_code == 204, left.text
    assert beat(machine) == 401
    assert machine.get("/agent/manifest", agent_id=get_name(machine)).status_code == 401
    assert set(list_states(team)) == {"revoked"}


def test_machine_of_a_demoted_user_keeps_its_key(shared_registry: Harness, team: ApiCaller) -> None:
    user = shared_registry.create_member("admin", team)
    machine = pair_machine(shared_registry, user, is_for_agent=True)
    assert team.put(f"/members/{user.user_id}", member_role="viewer").status_code == 200
    assert beat(machine) == 200
    assert list_states(team) == ["active"]


def test_paired_key_of_no_member_that_was_not_revoked_is_refused_and_listed_as_stopped(
    shared_registry: Harness, team: ApiCaller
) -> None:
    user = shared_registry.create_member("viewer", team)
    machine = pair_machine(shared_registry, user, is_for_agent=True)
    assert team.delete(f"/members/{user.user_id}").status_code == 204
    assert team.team_id is not None
    with shared_registry.resources.database.writing(UUID(team.team_id)) as session:
        session.execute(
            update(CredentialRow).where(CredentialRow.team_id == UUID(team.team_id)).values(revoked_at=None)
        )
    assert beat(machine) == 401
    assert list_states(team) == ["stopped"]


@pytest.mark.parametrize(
    ("is_for_agent", "kind", "field"), [(False, "device", "raw_key"), (True, "agent", "agent_key")]
)
def test_event_of_a_pairing_has_the_kind_and_the_prefix_of_the_key(
    shared_registry: Harness, team: ApiCaller, is_for_agent: bool, kind: str, field: str
) -> None:
    paired = shared_registry.pair(team, is_for_agent=is_for_agent, device_name="render-03")
    [event] = team.get("/audit-events", action="device.paired").json()["audit_event_list"]
    assert event["facts"] == {"kind": kind, "device_name": "render-03", "key_prefix": paired[field][:11]}


@pytest.mark.parametrize("role", ["viewer", "member"])
@pytest.mark.parametrize("is_for_agent", [False, True], ids=["device", "agent"])
def test_user_below_admin_lists_and_revokes_the_key_of_the_machine_that_they_paired(
    shared_registry: Harness, team: ApiCaller, role: str, is_for_agent: bool
) -> None:
    user = shared_registry.create_member(role, team)
    pair_machine(shared_registry, shared_registry.create_member(role, team), is_for_agent=is_for_agent)
    machine = pair_machine(shared_registry, user, is_for_agent=is_for_agent)

    keys = user.get("/credentials", kind="agent").json()["credentials"]

    assert [(key["key_prefix"], key["user_id"]) for key in keys] == [(str(machine.token)[:11], user.user_id)]
    assert user.delete(f"/credentials/{keys[0]['id']}").status_code == 204
    assert beat(machine) == 401


def test_user_below_admin_does_not_see_or_revoke_keys_that_they_did_not_pair(
    shared_registry: Harness, team: ApiCaller
) -> None:
    user = shared_registry.create_member("admin", team)
    made = user.post("/credentials", kind="agent", display_name="farm").json()
    query = f"?keys_to={team.user_id}"
    assert team.call("PUT", f"/members/{user.user_id}{query}", json={"member_role": "member"}).status_code == 200
    others = pair_machine(shared_registry, team, is_for_agent=True)
    [paired, _] = team.get("/credentials").json()["credentials"]

    assert user.get("/credentials").json()["credentials"] == []
    assert [user.delete(f"/credentials/{key_id}").status_code for key_id in (paired["id"], made["id"])] == [404, 404]
    assert beat(others) == 200
