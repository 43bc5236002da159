"""Sessions of users: signing in, refreshing tokens and signing out.

Functions here take the database instead of a session: hashing is slow and must not run inside a write transaction,
which blocks other writers. Some also commit a change before they raise.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from modelyard.server.database.base import new_id, now
from modelyard.server.database.session import Database
from modelyard.server.identity import keys
from modelyard.server.identity.access_tokens import Claims
from modelyard.server.identity.email import email_key, is_valid_email
from modelyard.server.identity.initial_password import delete_initial_password
from modelyard.server.identity.operations import end_sessions, find_user_by_email_key
from modelyard.server.identity.passwords import PasswordHasher
from modelyard.server.identity.state import Identity
from modelyard.server.identity.tables import SignInRow, SpentTokenRow, UserRow
from modelyard.wire import problems
from modelyard.wire.accounts import Login

SESSION_LIFETIME = timedelta(days=30)
# Within this time a used token does not end the session: two tabs may refresh at once, or a response may get lost.
REUSE_GRACE = timedelta(seconds=30)


@dataclass(frozen=True)
class TokenPair:
    """An access token, the refresh token that gets the next pair, and the session's token for pictures."""

    access_token: str
    refresh_token: str
    preview_token: str


def _issue_tokens(session: Session, identity: Identity, row: SignInRow, refresh_token: str) -> TokenPair:
    """Return the tokens of a session, with this new refresh token."""
    return TokenPair(
        access_token=identity.access_tokens.issue(session, Claims(row.user_id, row.id)),
        refresh_token=refresh_token,
        preview_token=identity.preview_tokens.issue(session, row.id),
    )


@dataclass(frozen=True)
class Client:
    """The address that a sign-in comes from, and the program as it names itself."""

    address: str
    user_agent: str | None = None


def sign_in(database: Database, identity: Identity, login: Login, client: Client) -> TokenPair:
    """Start a session with an e-mail address and a password.

    Raises:
        SignInRefused: the address or the password is wrong; an unknown address takes as long as a wrong password.
        TooManyAttempts: too many attempts failed for this account or from this address.
    """
    account = f"sign-in of {email_key(login.email_address)}"
    with identity.attempts.limit(database, account, client.address, problems.SignInRefused):
        return _sign_in(database, identity, login, client)


def _sign_in(database: Database, identity: Identity, login: Login, client: Client) -> TokenPair:
    """Verify the password, start a session and return its tokens.

    Updates a password hash with outdated cost parameters, and deletes a generated password that the owner was shown.

    Raises:
        SignInRefused: the address or the password is wrong, or the password was changed meanwhile.
    """
    user = _find_user(database, login.email_address)
    if not identity.passwords.verify(None if user is None else user.password_hash, login.user_password) or user is None:
        raise _build_sign_in_refused_problem()
    new_hash = _rehash_if_outdated(identity.passwords, user, login.user_password)
    with database.writing() as session:
        # The password may have been changed while it was being verified.
        unchanged = session.scalar(
            select(UserRow).where(UserRow.id == user.id, UserRow.password_hash == user.password_hash)
        )
        if unchanged is None:
            raise _build_sign_in_refused_problem()
        unchanged.password_hash = new_hash
        delete_initial_password(session, user.id)
        return _start_session(session, identity, user.id, client)


def _build_sign_in_refused_problem() -> problems.SignInRefused:
    """Build the problem for a wrong address or password; both look the same."""
    return problems.SignInRefused("The e-mail address or the password is wrong.")


def _find_user(database: Database, address: str) -> UserRow | None:
    """Return the user with this e-mail address, or None."""
    if not is_valid_email(address):
        return None
    with database.reading() as session:
        return find_user_by_email_key(session, email_key(address))


def _rehash_if_outdated(passwords: PasswordHasher, user: UserRow, password: str) -> str:
    """Return the password's hash with the current cost parameters: a new one, or the stored one if it has them."""
    return passwords.hash(password) if passwords.is_outdated(user.password_hash) else user.password_hash


def _start_session(session: Session, identity: Identity, user_id: UUID, client: Client) -> TokenPair:
    """Insert a session, and return its first pair of tokens."""
    token = keys.generate_token(keys.REFRESH)
    row = SignInRow(
        id=new_id(),
        user_id=user_id,
        token_hash=token.digest,
        expires_at=now() + SESSION_LIFETIME,
        user_agent=client.user_agent,
    )
    session.add(row)
    return _issue_tokens(session, identity, row, token.raw)


def refresh_session(database: Database, identity: Identity, token: str) -> TokenPair:
    """Exchange a refresh token for the next pair, which extends the session; the token is stored as used.

    Using a token again after 30 seconds ends its session.

    Raises:
        SessionEnded: the token is unknown or was used before, or its session has ended or expired.
    """
    pair = None
    if _is_known_token(database, token):
        with database.writing() as session:
            pair = _rotate_token(session, identity, keys.digest(token))
    # Raised outside of the transaction, so that ending a stolen session is committed.
    if pair is None:
        raise build_session_ended_problem()
    return pair


def build_session_ended_problem() -> problems.SessionEnded:
    """Build the problem for a refresh token that gets no new pair."""
    return problems.SessionEnded("This session has ended. Sign in again.")


def _is_known_token(database: Database, token: str) -> bool:
    """Return whether a refresh token was issued for a session that is still stored, ended or not.

    Takes no write lock, so invented tokens block no writer.
    """
    if not keys.is_well_formed(token, keys.REFRESH):
        return False
    with database.reading() as session:
        return session.scalar(select(SignInRow.id).where(_match_session(keys.digest(token)))) is not None


def _match_session(digest: str) -> ColumnElement[bool]:
    """Return the condition of the session whose current or used refresh token has this hash."""
    spent = select(SpentTokenRow.sign_in_id).where(SpentTokenRow.token_hash == digest)
    return or_(SignInRow.token_hash == digest, SignInRow.id.in_(spent))


def _rotate_token(session: Session, identity: Identity, digest: str) -> TokenPair | None:
    """Exchange a refresh token for the next pair; None if its session is unknown or over, or the token was used before.

    Extends the session. A token that was used before may end its session, see ``_end_session_on_reuse``.
    """
    sign_in_row = session.scalar(select(SignInRow).where(_match_session(digest)))
    if sign_in_row is None or sign_in_row.ended_at is not None or sign_in_row.expires_at <= now():
        return None
    if sign_in_row.token_hash != digest:
        _end_session_on_reuse(session, sign_in_row, digest)
        return None
    token = keys.generate_token(keys.REFRESH)
    session.add(SpentTokenRow(token_hash=digest, sign_in_id=sign_in_row.id))
    sign_in_row.token_hash = token.digest
    sign_in_row.expires_at = now() + SESSION_LIFETIME
    return _issue_tokens(session, identity, sign_in_row, token.raw)


def _end_session_on_reuse(session: Session, sign_in_row: SignInRow, digest: str) -> None:
    """End the session if its used token was exchanged more than ``REUSE_GRACE`` ago, since it may be stolen."""
    spent = session.get(SpentTokenRow, digest)
    if spent is not None and spent.spent_at <= now() - REUSE_GRACE:
        sign_in_row.ended_at = now()


def sign_out(database: Database, token: str, *, everywhere: bool) -> None:
    """End the token's session, or with ``everywhere`` all of its user's; unknown tokens and ended sessions are ignored.

    A token that was exchanged already, or has expired, ends only its own session, also with ``everywhere``.
    """
    if not _is_known_token(database, token):
        return
    digest = keys.digest(token)
    with database.writing() as session:
        sign_in_row = session.scalar(select(SignInRow).where(_match_session(digest)))
        if sign_in_row is None or sign_in_row.ended_at is not None:
            return
        sign_in_row.ended_at = now()
        # A used token may be stolen, so it ends its own session only.
        if everywhere and sign_in_row.token_hash == digest and sign_in_row.expires_at > now():
            end_sessions(session, sign_in_row.user_id)
