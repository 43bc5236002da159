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
    """Send a heartbeat; return the status of the answer."""
    return machine.post("/agent/heartbeat", agent_id="render-03").status_code


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
    assert machine.get("/agent/manifest", agent_id="render-03").status_code == 401
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
