"""The end of an admin's role with many keys and invitations: few statements, and limits of both."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from modelyard.server.audit.tables import AuditEventRow
from modelyard.server.database.base import now
from modelyard.server.identity.authentication import Caller
from modelyard.server.identity.state import Identity
from modelyard.server.identity.tables import CredentialRow
from modelyard.server.invitations.operations import INVITATION_LIFETIME
from modelyard.server.resources import open_resources
from modelyard.server.settings import Settings
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.operations import change_role
from modelyard.server.teams.role_dependents import KeysChoice
from modelyard.server.teams.tables import InvitationRow
from modelyard.wire.people.roles import Role
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT
from tests.server.harness import ApiCaller, Harness
from tests.server.query_plans import record_statements

pytestmark = pytest.mark.slow
Choose = Callable[[ApiCaller], KeysChoice]
CHOICES = [
    pytest.param(lambda _: KeysChoice(stop=True), id="stop"),
    pytest.param(lambda owner: KeysChoice(UUID(owner.user_id)), id="hand-over"),
]


def add_dependents(registry: Harness, admin: ApiCaller, number: int) -> None:
    """Store so many keys and open invitations of an admin."""
    team_id, user_id = UUID(admin.team_id), UUID(admin.user_id)
    with registry.resources.database.writing(team_id) as session:
        for _ in range(number):
            name = str(uuid4())
            of_team = {"id": uuid4(), "team_id": team_id}
            key = {"kind": "integration", "display_name": name, "key_prefix": "sk-", "key_hash": name, "access": "read"}
            session.add(CredentialRow(**of_team, **key, user_id=user_id, is_paired=False))
            address = {"email_address": f"{name}@studio.test", "email_key": f"{name}@studio.test"}
            invitation = {"role": "viewer", "token_hash": name, "expires_at": now() + INVITATION_LIFETIME}
            session.add(InvitationRow(**of_team, **address, **invitation, invited_by=user_id))


def count_open(registry: Harness, team: ApiCaller) -> tuple[int, int]:
    """Return how many keys are not revoked, and how many invitations have not ended."""
    keys = select(func.count()).where(CredentialRow.team_id == UUID(team.team_id), CredentialRow.revoked_at.is_(None))
    invitations = select(func.count()).where(
        InvitationRow.team_id == UUID(team.team_id), InvitationRow.ended_at.is_(None)
    )
    with registry.resources.database.reading() as session:
        return session.scalars(keys).one(), session.scalars(invitations).one()


def count_events(registry: Harness, team: ApiCaller, action: str) -> int:
    query = select(func.count()).where(AuditEventRow.team_id == UUID(team.team_id), AuditEventRow.action == action)
    with registry.resources.database.reading() as session:
        return session.scalars(query).one()


def count_writes_of_demotion(registry: Harness, choose: Choose, number: int) -> int:
    """Return how many statements that write the demotion of an admin with so many keys and invitations takes."""
    owner = registry.create_other_team()
    admin = registry.create_member("admin", owner)
    add_dependents(registry, admin, number)
    caller = Caller("user", UUID(owner.user_id), None, None, None, "write", "Owner", None)
    team = TeamContext(caller, UUID(owner.team_id), Role.OWNER)
    database = registry.resources.database
    with record_statements(database.engine) as statements, database.writing(team.team_id) as session:
        change_role(session, team, UUID(admin.user_id), Role.VIEWER, choose(owner))
    kept = 0 if choose(owner).stop else number
    assert count_open(registry, owner) == (kept, 0)
    assert count_events(registry, owner, "credential.handed_over" if kept else "credential.revoked") == number
    assert count_events(registry, owner, "invitation.withdrawn") == number
    return sum(statement.startswith(("UPDATE", "INSERT", "DELETE")) for statement in statements)


@pytest.mark.parametrize("choose", CHOICES)
def test_demote_admin_takes_as_many_writes_with_400_keys_and_invitations_as_with_4(
    registry: Harness, choose: Choose
) -> None:
    assert count_writes_of_demotion(registry, choose, 400) == count_writes_of_demotion(registry, choose, 4)


@pytest.mark.parametrize("choose", CHOICES)
def test_demote_admin_with_1200_keys_and_invitations_takes_four_more_writes(registry: Harness, choose: Choose) -> None:
    assert count_writes_of_demotion(registry, choose, 1_200) == count_writes_of_demotion(registry, choose, 4) + 4


def test_create_third_key_or_invitation_returns_403_until_one_has_ended(settings: Settings) -> None:
    few = settings.model_copy(update={"max_keys": 2, "max_invitations": 2})
    with open_resources(few, Identity(CHEAP), PATIENT) as resources, Harness.without_jobs(resources) as registry:
        keys = [registry.owner.post("/credentials", kind="agent", display_name=str(number)) for number in range(3)]
        assert [answer.status_code for answer in keys] == [201, 201, 403]
        refused = keys[2].json()
        assert (refused["error_code"], refused["keys"], refused["max_keys"]) == ("too_many_keys", 2, 2)
        registry.create_device(registry.owner)
        registry.owner.delete(f"/credentials/{keys[0].json()['id']}")
        assert registry.owner.post("/credentials", kind="agent", display_name="new").status_code == 201

        invite = [{"email_address": f"{number}@studio.test", "invitation_role": "viewer"} for number in range(3)]
        invitations = [registry.owner.post("/invitations", **each) for each in invite]
        assert [answer.status_code for answer in invitations] == [201, 201, 403]
        refused = invitations[2].json()
        facts = refused["error_code"], refused["invitations"], refused["max_invitations"]
        assert facts == ("too_many_invitations", 2, 2)
        registry.owner.delete(f"/invitations/{invitations[0].json()['id']}")
        assert registry.owner.post("/invitations", **invite[2]).status_code == 201
