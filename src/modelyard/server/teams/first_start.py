"""The first start of a registry: creating its owner and first team."""

from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import SYSTEM
from modelyard.server.database.session import Database
from modelyard.server.identity.email import is_valid_email
from modelyard.server.identity.operations import create_user
from modelyard.server.identity.password_rules import check_new_password
from modelyard.server.identity.passwords import PasswordHasher
from modelyard.server.identity.tables import UserRow
from modelyard.server.teams.operations import create_team
from modelyard.wire.problems import InvalidRequest
from modelyard.wire.schemas import Name


@dataclass(frozen=True)
class FirstLogin:
    """The owner's sign-in data and team after the first start. The plain password is kept nowhere else."""

    email: str
    password: str
    user_id: UUID
    team_id: UUID
    team_name: str


def first_start(
    database: Database, passwords: PasswordHasher, *, email: str, password: str, team_name: str
) -> FirstLogin | None:
    """Create the owner and the first team; return None and change nothing if the registry has users.

    Raises:
        InvalidRequest: ``email`` is not a valid address, ``password`` is easily guessed, or ``team_name`` is no name.
    """
    with database.reading() as session:
        if _has_users(session):
            return None
    if not is_valid_email(email):
        raise InvalidRequest(
            "The owner's e-mail address is not valid.", errors=[{"field": "owner_email", "message": "Not an address"}]
        )
    _check_team_name(team_name)
    check_new_password(password, "owner_password", (email, team_name))
    password_hash = passwords.hash(password)
    with database.writing() as session:
        if _has_users(session):
            return None
        owner = create_user(session, email, "Registry", "Owner", password_hash)
        team = create_team(session, owner.id, SYSTEM, team_name)
    return FirstLogin(email, password, owner.id, team.id, team_name)


def _check_team_name(name: str) -> None:
    """Check the name by the rule of the API: only here, since a registry that has its team starts with any name.

    Raises:
        InvalidRequest: the rule does not allow it.
    """
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as refused:
        raise InvalidRequest(
            "The name of the first team is not valid.",
            errors=[{"field": "team_name", "message": each["msg"]} for each in refused.errors()],
        ) from None


def _has_users(session: Session) -> bool:
    """Return whether the registry has at least one user account."""
    return session.scalar(select(UserRow.id).limit(1)) is not None
