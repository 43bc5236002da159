"""Operations on users, keys and sessions that other packages share: create, rotate, revoke, suspend, delete expired."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, delete, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelyard.server.database.base import new_id, now
from modelyard.server.database.engine import NO_TEAM
from modelyard.server.database.job_run import JobRun
from modelyard.server.database.session import Database, execute_and_count, split_ids
from modelyard.server.identity import keys
from modelyard.server.identity.authentication import Caller
from modelyard.server.identity.email import email_key
from modelyard.server.identity.registry_secrets import find_secret, get_or_create_secret
from modelyard.server.identity.tables import (
    CredentialRow,
    PasswordResetRow,
    RetiredSecretRow,
    SignInRow,
    SpentTokenRow,
    UserRow,
)
from modelyard.wire.credentials import PREFIXES, Access, Kind
from modelyard.wire.problems import AccountExists, KeyNotAllowed

# Ended sessions are kept this long, so that an old refresh token is still recognised as used.
ENDED_SESSION_RETENTION = timedelta(days=30)
# The name of a key whose pairing was confirmed without one has half of the code.
INVENTED_NAME = "Device {half_code}"
_has_machine_name = or_(
    CredentialRow.paired_with.is_(None), CredentialRow.display_name.like(INVENTED_NAME.format(half_code="____"))
)


def find_user_by_email_key(session: Session, key: str) -> UserRow | None:
    """Return the user with this ``email_key``, or None."""
    return session.scalar(select(UserRow).where(UserRow.email_key == key))


def create_user(session: Session, email_address: str, first_name: str, last_name: str, password_hash: str) -> UserRow:
    """Create a user account.

    Raises:
        AccountExists: an account with this address exists.
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
        raise AccountExists("This address has an account. Sign in, then accept the invitation.") from None
    return user


@dataclass(frozen=True)
class KeyRequest:
    """The properties of a key to issue. ``expires_at`` is None for a key that never expires."""

    kind: Kind
    display_name: str
    access: Access
    expires_at: datetime | None = None


def issue_key(
    session: Session, team_id: UUID, user_id: UUID, request: KeyRequest, token: keys.NewToken | None = None
) -> tuple[CredentialRow, str]:
    """Create a key, from ``token`` if it is given; return its row and the raw key, which is stored nowhere.

    ``user_id`` is the user that a device acts for, or the admin who is responsible for another key.
    """
    token = token or keys.generate_token(PREFIXES[request.kind])
    row = CredentialRow(
        id=new_id(),
        team_id=team_id,
        kind=request.kind,
        display_name=request.display_name,
        key_prefix=token.visible_prefix,
        key_hash=token.digest,
        user_id=user_id,
        access=request.access,
        expires_at=request.expires_at,
    )
    session.add(row)
    return row, token.raw


def rotate_key(session: Session, row: CredentialRow, grace: timedelta) -> tuple[str, datetime]:
    """Give a key a new secret; return the raw key, which is stored nowhere, and when the old secret stops working.

    Secrets of earlier rotations stop at the end of their own grace or of this one, whichever is sooner.
    """
    until = now() + grace
    session.execute(
        update(RetiredSecretRow)
        .where(RetiredSecretRow.credential_id == row.id, RetiredSecretRow.expires_at > until)
        .values(expires_at=until)
        .execution_options(synchronize_session=False)
    )
    session.add(RetiredSecretRow(key_hash=row.key_hash, credential_id=row.id, expires_at=until))
    token = keys.generate_token(row.key_prefix[:3])
    row.key_hash, row.key_prefix = token.digest, token.visible_prefix
    return token.raw, until


def revoke_key(session: Session, credential_id: UUID) -> None:
    """Revoke a key and the agent's key that was paired with it. Idempotent: the first time of revocation is kept."""
    _revoke(session, or_(CredentialRow.id == credential_id, CredentialRow.paired_with == credential_id))


def revoke_keys(session: Session, credential_ids: Sequence[UUID]) -> None:
    """Revoke keys that no other keys were paired with; idempotent, as ``revoke_key``."""
    for part in split_ids(credential_ids):
        _revoke(session, CredentialRow.id.in_(part))


def revoke_paired_keys(session: Session, team_id: UUID, user_id: UUID) -> None:
    """Revoke the keys of the devices and machines that a user has paired in a team."""
    _revoke(
        session,
        and_(CredentialRow.team_id == team_id, CredentialRow.user_id == user_id, CredentialRow.is_paired),
    )


def _revoke(session: Session, condition: ColumnElement[bool]) -> None:
    """Revoke the keys that meet a condition; keys that are revoked already keep their time of revocation."""
    session.execute(
        update(CredentialRow)
        .where(condition, CredentialRow.revoked_at.is_(None))
        .values(revoked_at=now())
        .execution_options(synchronize_session=False)
    )


def suspend_keys(session: Session, team_id: UUID) -> None:
    """Suspend all keys of a team that are not revoked: they are refused until ``resume_keys``."""
    _set_suspended(session, team_id, now())


def resume_keys(session: Session, team_id: UUID) -> None:
    """Accept a team's keys again after ``suspend_keys``; revoked keys stay revoked."""
    _set_suspended(session, team_id, None)


def _set_suspended(session: Session, team_id: UUID, moment: datetime | None) -> None:
    """Set when all keys of a team were suspended; None resumes them."""
    session.execute(
        update(CredentialRow)
        .where(CredentialRow.team_id == team_id, CredentialRow.revoked_at.is_(None))
        .values(suspended_at=moment)
        .execution_options(synchronize_session=False)
    )


def bind_key_to_agent(session: Session, caller: Caller, agent_id: str) -> None:
    """Bind an agent key from pairing to the first machine that uses it, and give it that name.

    A key that was paired with a device's key keeps a name that a person gave the device. Does nothing if the key is
    bound to this machine, or was created with ``/credentials``: such keys serve many machines.

    Raises:
        KeyNotAllowed: the key is bound to another machine.
    """
    if caller.agent_id == agent_id:
        return
    if caller.agent_id is None:
        name = case((_has_machine_name, agent_id), else_=CredentialRow.display_name)
        session.execute(
            update(CredentialRow)
            .where(
                CredentialRow.id == caller.credential_id,
                CredentialRow.is_paired,
                CredentialRow.agent_id.is_(None),
            )
            .values(agent_id=agent_id, display_name=name)
            .execution_options(synchronize_session=False)
        )
    bound = session.scalar(select(CredentialRow.agent_id).where(CredentialRow.id == caller.credential_id))
    if bound not in (None, agent_id):
        raise build_other_machine_problem(bound)


def build_other_machine_problem(agent_id: str) -> KeyNotAllowed:
    """Build the problem for a key that belongs to the machine ``agent_id``, and was used with another name."""
    return KeyNotAllowed(
        f"This key belongs to another machine, '{agent_id}'. Pair this machine to get a key of its own.",
        agent_id=agent_id,
    )


def end_sessions(session: Session, user_id: UUID, *, except_id: UUID | None = None) -> None:
    """End a user's sessions and with them their access tokens; ``except_id`` is a session to keep."""
    ending = update(SignInRow).where(SignInRow.user_id == user_id, SignInRow.ended_at.is_(None))
    if except_id is not None:
        ending = ending.where(SignInRow.id != except_id)
    session.execute(ending.values(ended_at=now()).execution_options(synchronize_session=False))


def delete_expired_identity_rows(run: JobRun) -> None:
    """Delete expired reset links and replaced secrets, and sessions and exchanged tokens that ended 30 days ago.

    Page by page; raises ``RunStopped`` if the run has to end.
    """
    moment, before = now(), now() - ENDED_SESSION_RETENTION
    # Before the sessions, with each of which its tokens are deleted.
    _delete_pages(run, SpentTokenRow.spent_at < before, SpentTokenRow.spent_at, SpentTokenRow.token_hash)
    _delete_pages(run, or_(SignInRow.expires_at < before, SignInRow.ended_at < before), SignInRow.id)
    _delete_pages(run, PasswordResetRow.expires_at < moment, PasswordResetRow.token_hash)
    _delete_pages(run, RetiredSecretRow.expires_at < moment, RetiredSecretRow.expires_at, RetiredSecretRow.key_hash)


def _delete_pages(run: JobRun, condition: ColumnElement[bool], *order: InstrumentedAttribute[Any]) -> None:
    """Delete the rows of no team that meet a condition; the last of the columns by which they are read is their key."""
    key = order[-1]
    for page in run.iterate_pages(select(*order).where(condition), *order):
        is_in_page = key.in_([row[-1] for row in page])
        with run.writing(NO_TEAM) as session:
            execute_and_count(session, delete(key.class_).where(is_in_page, condition))


def get_or_create_shared_secret(database: Database, name: str) -> str:
    """Return a secret that all servers of this database share; the first server that asks generates it.

    It opens transactions of its own, so it is not called inside a writing one.
    """
    with database.reading() as session:
        secret = find_secret(session, name)
    if secret is not None:
        return secret
    with database.writing() as session:
        return get_or_create_secret(session, name)
