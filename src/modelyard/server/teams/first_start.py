"""The first start of a registry: creating its owner and first team."""

import secrets
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import SYSTEM
from modelyard.server.database.session import Database
from modelyard.server.identity.email import is_valid_email
from modelyard.server.identity.initial_password import find_initial_password, keep_initial_password
from modelyard.server.identity.operations import create_user
from modelyard.server.identity.password_rules import check_new_password
from modelyard.server.identity.passwords import PasswordHasher
from modelyard.server.identity.tables import UserRow
from modelyard.server.teams.operations import create_team
from modelyard.server.teams.tables import MemberRow, TeamRow
from modelyard.wire.problems import InvalidRequest
from modelyard.wire.schemas import Name


@dataclass(frozen=True)
class FirstLogin:
    """The owner's sign-in data and team, until the owner has signed in.

    ``password`` is the generated password; None if the operator chose it, which is stored nowhere.
    """

    email: str
    password: str | None
    user_id: UUID
    team_id: UUID
    team_name: str


def first_start(
    database: Database, passwords: PasswordHasher, *, email: str, password: str | None, team_name: str
) -> FirstLogin | None:
    """Create the owner and the first team, and return the login.

    Without ``password`` one is generated, and kept until the owner signs in or sets another. A registry that has users
    is not changed; then the result is the login with such a password, or None.

    Raises:
        InvalidRequest: ``email`` is not a valid address, ``password`` is easily guessed, or ``team_name`` is no name.
    """
    with database.reading() as session:
        if _has_users(session):
            return _find_unused_login(session)
    if not is_valid_email(email):
        raise InvalidRequest(
            "The owner's e-mail address is not valid.", errors=[{"field": "owner_email", "message": "Not an address"}]
        )
    _check_team_name(team_name)
    generated = secrets.token_urlsafe(15) if password is None else None
    chosen = generated or password or ""
    check_new_password(chosen, "owner_password", (email, team_name))
    password_hash = passwords.hash(chosen)
    with database.writing() as session:
        if _has_users(session):
            return _find_unused_login(session)
        owner = create_user(session, email, "Registry", "Owner", password_hash)
        team = create_team(session, owner.id, SYSTEM, team_name)
        if generated is not None:
            keep_initial_password(session, owner.id, generated)
    return FirstLogin(email, generated, owner.id, team.id, team_name)


def _find_unused_login(session: Session) -> FirstLogin | None:
    """Return the owner's login with the generated password if it was not used yet, else None."""
    kept = find_initial_password(session)
    if kept is None:
        return None
    email = session.get_one(UserRow, kept.user_id).email_address
    of_owner = select(TeamRow).join(MemberRow, MemberRow.team_id == TeamRow.id)
    team = session.scalars(of_owner.where(MemberRow.user_id == kept.user_id).order_by(MemberRow.joined_at)).first()
    return None if team is None else FirstLogin(email, kept.password, kept.user_id, team.id, team.display_name)


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
