"""Signing in, staying signed in, signing out.

Functions here take the database instead of a session: hashing is slow, and a write transaction holds everybody else
up. They also commit what a refusal must leave behind.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from modelyard.server.database.base import new_id, now
from modelyard.server.database.session import Database
from modelyard.server.identity import keys
from modelyard.server.identity.email import email_key, is_address
from modelyard.server.identity.operations import end_sessions, user_by_key
from modelyard.server.identity.passwords import PasswordHasher
from modelyard.server.identity.state import Identity
from modelyard.server.identity.tables import SignInRow, SpentTokenRow, UserRow
from modelyard.server.identity.tokens import Claims
from modelyard.wire import problems
from modelyard.wire.accounts import Login

SESSION_LIFE = timedelta(days=30)
# Two tabs that refresh at once, or an answer that got lost, are no theft.
REUSE_GRACE = timedelta(seconds=30)


@dataclass(frozen=True)
class Pair:
    """What a session answers: an access token, and the refresh token for the next pair."""

    access_token: str
    refresh_token: str


def sign_in(database: Database, identity: Identity, asked: Login, address: str) -> Pair:
    """A new session.

    Raises:
        SignInRefused: whatever was wrong, after the same time.
        TooManyAttempts: see ``Attempts``.
    """
    account = f"sign-in of {email_key(asked.email_address)}"
    identity.attempts.begin(account, address)
    user = _account(database, asked.email_address)
    if not identity.passwords.verify(None if user is None else user.password_hash, asked.user_password) or user is None:
        raise _refused()
    newer = _better_hash(identity.passwords, user, asked.user_password)
    with database.writing() as session:
        # The password may have changed while this one was being checked.
        still = session.scalar(
            select(UserRow).where(UserRow.id == user.id, UserRow.password_hash == user.password_hash)
        )
        if still is None:
            raise _refused()
        still.password_hash = newer
        pair = _start_session(session, identity, user.id)
    identity.attempts.forgive(account, address)
    return pair


def _refused() -> problems.SignInRefused:
    return problems.SignInRefused("The e-mail address or the password is wrong.")


def _account(database: Database, address: str) -> UserRow | None:
    if not is_address(address):
        return None
    with database.reading() as session:
        return user_by_key(session, email_key(address))


def _better_hash(passwords: PasswordHasher, user: UserRow, password: str) -> str:
    return passwords.hash(password) if passwords.is_outdated(user.password_hash) else user.password_hash


def _start_session(session: Session, identity: Identity, user_id: UUID) -> Pair:
    token = keys.new_token(keys.REFRESH)
    row = SignInRow(id=new_id(), user_id=user_id, token_hash=token.digest, expires_at=now() + SESSION_LIFE)
    session.add(row)
    return Pair(identity.access_tokens.make(session, Claims(user_id, row.id)), token.raw)


def refresh(database: Database, identity: Identity, token: str) -> Pair:
    """The next pair of a session. The token is used up; one that was used up before ends the session.

    Raises:
        SessionEnded: for every other token.
    """
    pair = None
    if _is_known(database, token):
        with database.writing() as session:
            pair = _rotated(session, identity, keys.digest(token))
    # Outside of the transaction, so that ending a stolen session is not undone by the refusal.
    if pair is None:
        raise session_ended()
    return pair


def session_ended() -> problems.SessionEnded:
    return problems.SessionEnded("This session has ended: sign in again.")


def _is_known(database: Database, token: str) -> bool:
    """A look without the write lock, so that invented tokens hold up nobody."""
    if not keys.is_well_formed(token, keys.REFRESH):
        return False
    with database.reading() as session:
        return session.scalar(select(SignInRow.id).where(_family_of(keys.digest(token)))) is not None


def _family_of(digest: str) -> ColumnElement[bool]:
    """The session that this refresh token belongs or once belonged to."""
    spent = select(SpentTokenRow.sign_in_id).where(SpentTokenRow.token_hash == digest)
    return or_(SignInRow.token_hash == digest, SignInRow.id.in_(spent))


def _rotated(session: Session, identity: Identity, digest: str) -> Pair | None:
    family = session.scalar(select(SignInRow).where(_family_of(digest)))
    if family is None or family.ended_at is not None or family.expires_at <= now():
        return None
    if family.token_hash != digest:
        _end_unless_just_spent(session, family, digest)
        return None
    token = keys.new_token(keys.REFRESH)
    session.add(SpentTokenRow(token_hash=digest, sign_in_id=family.id))
    family.token_hash = token.digest
    family.expires_at = now() + SESSION_LIFE
    return Pair(identity.access_tokens.make(session, Claims(family.user_id, family.id)), token.raw)


def _end_unless_just_spent(session: Session, family: SignInRow, digest: str) -> None:
    spent = session.get(SpentTokenRow, digest)
    if spent is not None and spent.spent_at <= now() - REUSE_GRACE:
        family.ended_at = now()


def sign_out(database: Database, token: str, *, everywhere: bool) -> None:
    """End the token's session, or all of its user's. Unknown tokens are fine: there is nothing left to end."""
    if not _is_known(database, token):
        return
    digest = keys.digest(token)
    with database.writing() as session:
        family = session.scalar(select(SignInRow).where(_family_of(digest)))
        if family is None or family.ended_at is not None:
            return
        family.ended_at = now()
        # A used-up token may be a stolen one: it ends its own session only.
        if everywhere and family.token_hash == digest and family.expires_at > now():
            end_sessions(session, family.user_id)
