"""The first start: one owner, one team, once."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import SYSTEM
from modelyard.server.database.session import Database
from modelyard.server.identity.email import is_address
from modelyard.server.identity.operations import make_user
from modelyard.server.identity.passwords import PasswordHasher
from modelyard.server.identity.tables import UserRow
from modelyard.server.teams.operations import create_team
from modelyard.wire.problems import InvalidRequest


@dataclass(frozen=True)
class FirstLogin:
    """How the owner signs in, and where to. The password is known here and nowhere else."""

    email: str
    password: str
    user_id: UUID
    team_id: UUID
    team_name: str


def first_start(
    database: Database, passwords: PasswordHasher, *, email: str, password: str, team_name: str
) -> FirstLogin | None:
    """Make the owner and the first team; None if the registry has users already.

    Raises:
        InvalidRequest: ``email`` is no address.
    """
    with database.reading() as session:
        if _has_users(session):
            return None
    if not is_address(email):
        raise InvalidRequest(
            "The owner's e-mail address is not valid.", errors=[{"field": "owner_email", "message": "Not an address"}]
        )
    password_hash = passwords.hash(password)
    with database.writing() as session:
        if _has_users(session):
            return None
        owner = make_user(session, email, "Registry", "Owner", password_hash)
        team = create_team(session, owner.id, SYSTEM, team_name)
    return FirstLogin(email, password, owner.id, team.id, team_name)


def _has_users(session: Session) -> bool:
    return session.scalar(select(UserRow.id).limit(1)) is not None
