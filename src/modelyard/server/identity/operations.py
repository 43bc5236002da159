"""Keys and sessions as other slices use them: made, ended, paused, swept away."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from modelyard.server.database.base import new_id, now
from modelyard.server.database.session import Database
from modelyard.server.identity import keys
from modelyard.server.identity.bearer import Caller
from modelyard.server.identity.email import email_key
from modelyard.server.identity.secret import known_secret, secret_of
from modelyard.server.identity.tables import (
    CredentialRow,
    PasswordResetRow,
    SignInRow,
    SpentTokenRow,
    UserRow,
)
from modelyard.wire.credentials import PREFIXES, Access, Kind
from modelyard.wire.problems import AccountExists, KeyNotAllowed

# How long ended sessions are remembered, so that an old refresh token is still recognised as a used one.
REMEMBERED = timedelta(days=30)


def user_by_key(session: Session, key: str) -> UserRow | None:
    """The account with this ``email_key``."""
    return session.scalar(select(UserRow).where(UserRow.email_key == key))


def make_user(session: Session, email_address: str, first_name: str, last_name: str, password_hash: str) -> UserRow:
    """A new account.

    Raises:
        AccountExists: the address has one.
    """
    user = UserRow(
        id=new_id(),
        email_address=email_address,
        email_key=email_key(email_address),
        first_name=first_name,
        last_name=last_name,
        password_hash=password_hash,
    )
    try:
        with session.begin_nested():
            session.add(user)
    except IntegrityError:
        raise AccountExists("This address has an account: sign in, then accept.") from None
    return user


@dataclass(frozen=True)
class WantedKey:
    """What a key shall be. ``expires_at`` is None for never."""

    kind: Kind
    display_name: str
    access: Access
    expires_at: datetime | None = None


def make_credential(session: Session, team_id: UUID, user_id: UUID, wanted: WantedKey) -> tuple[CredentialRow, str]:
    """A new key's row, made by or acting as a user, and the raw key, which exists nowhere else."""
    token = keys.new_token(PREFIXES[wanted.kind])
    row = CredentialRow(
        id=new_id(),
        team_id=team_id,
        kind=wanted.kind,
        display_name=wanted.display_name,
        key_prefix=token.shown_prefix,
        key_hash=token.digest,
        user_id=user_id,
        access=wanted.access,
        expires_at=wanted.expires_at,
    )
    session.add(row)
    return row, token.raw


def revoke_key(session: Session, credential_id: UUID) -> None:
    """End a key and the agent's key that was born with it. May be called twice."""
    _revoke(session, or_(CredentialRow.id == credential_id, CredentialRow.paired_with == credential_id))


def revoke_devices_of(session: Session, team_id: UUID, user_id: UUID) -> None:
    """End the device keys that act as a user in a team, and the agent keys born with them."""
    devices = select(CredentialRow.id).where(
        CredentialRow.team_id == team_id, CredentialRow.user_id == user_id, CredentialRow.kind == "device"
    )
    _revoke(session, or_(CredentialRow.id.in_(devices), CredentialRow.paired_with.in_(devices)))


def _revoke(session: Session, which: ColumnElement[bool]) -> None:
    session.execute(
        update(CredentialRow)
        .where(which, CredentialRow.revoked_at.is_(None))
        .values(revoked_at=now())
        .execution_options(synchronize_session=False)
    )


def suspend_keys(session: Session, team_id: UUID) -> None:
    """Stop every key of a team, until ``resume_keys``."""
    _set_suspended(session, team_id, now())


def resume_keys(session: Session, team_id: UUID) -> None:
    _set_suspended(session, team_id, None)


def _set_suspended(session: Session, team_id: UUID, moment: datetime | None) -> None:
    session.execute(
        update(CredentialRow)
        .where(CredentialRow.team_id == team_id)
        .values(suspended_at=moment)
        .execution_options(synchronize_session=False)
    )


def bind_agent(session: Session, caller: Caller, agent_id: str) -> None:
    """Hold an agent key from pairing to the first machine that uses it; a key from ``/credentials`` serves many.

    Raises:
        KeyNotAllowed: the key belongs to another machine.
    """
    if caller.agent_id == agent_id:
        return
    if caller.agent_id is None:
        session.execute(
            update(CredentialRow)
            .where(
                CredentialRow.id == caller.credential_id,
                CredentialRow.paired_with.is_not(None),
                CredentialRow.agent_id.is_(None),
            )
            .values(agent_id=agent_id)
            .execution_options(synchronize_session=False)
        )
    bound = session.scalar(select(CredentialRow.agent_id).where(CredentialRow.id == caller.credential_id))
    if bound not in (None, agent_id):
        raise KeyNotAllowed("This key belongs to another machine. Pair this one.")


def end_sessions(session: Session, user_id: UUID, *, but: UUID | None = None) -> None:
    """End a user's sessions, with all their access tokens, except perhaps one."""
    ending = update(SignInRow).where(SignInRow.user_id == user_id, SignInRow.ended_at.is_(None))
    if but is not None:
        ending = ending.where(SignInRow.id != but)
    session.execute(ending.values(ended_at=now()).execution_options(synchronize_session=False))


def sweep(session: Session) -> None:
    """Forget sessions that ended long ago, used refresh tokens that would have expired anyway, and old reset links."""
    before = now() - REMEMBERED
    over = or_(SignInRow.expires_at < before, SignInRow.ended_at < before)
    session.execute(delete(SpentTokenRow).where(SpentTokenRow.spent_at < before))
    session.execute(delete(SignInRow).where(over).execution_options(synchronize_session=False))
    session.execute(delete(PasswordResetRow).where(PasswordResetRow.expires_at < now()))


def shared_secret(database: Database, name: str) -> str:
    """A secret that all servers of this database share, made by the first that asks."""
    with database.reading() as session:
        found = known_secret(session, name)
    if found is not None:
        return found
    with database.writing() as session:
        return secret_of(session, name)
