"""Who may use the name of a machine: the person whose key it used last, and admins."""

from uuid import UUID

from sqlalchemy import Uuid, column, select, table
from sqlalchemy.orm import Session

from modelyard.server.identity.tables import CredentialRow
from modelyard.server.teams.context import TeamContext, find_role
from modelyard.server.teams.permissions import EDIT_EVERY_ROLE

# The ``models`` package, which imports this one, has the class of this table.
_agents = table("agents", column("team_id", Uuid()), column("agent_id"), column("credential_id", Uuid()))


def has_machine(session: Session, team_id: UUID, name: str) -> bool:
    """Return whether the team has a machine with this name."""
    return _find_key(session, team_id, name) is not None


def is_name_of_another_person(session: Session, team: TeamContext, name: str) -> bool:
    """Return whether the team has a machine with this name whose key the caller may not replace with one of theirs."""
    key_id = _find_key(session, team.team_id, name)
    return key_id is not None and not may_replace_key(session, team.team_id, key_id, team.user_id)


def may_replace_key(session: Session, team_id: UUID, key_id: UUID, person_id: UUID | None) -> bool:
    """Return whether a key of a person may replace a machine's last key, whether the machine runs or not.

    A key counts as the person's who is responsible for it; False if ``person_id`` is None.
    """
    if person_id is None:
        return False
    if session.get_one(CredentialRow, key_id).user_id == person_id:
        return True
    role = find_role(session, team_id, person_id)
    return role is not None and role.rank >= EDIT_EVERY_ROLE.rank


def _find_key(session: Session, team_id: UUID, name: str) -> UUID | None:
    """Return the id of the key that the machine with this name used last; None if the team has no such machine."""
    is_named = (_agents.c.team_id == team_id, _agents.c.agent_id == name)
    return session.execute(select(_agents.c.credential_id).where(*is_named)).scalar()
