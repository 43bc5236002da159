"""Accounts: who one is, changing a password, and setting a new one by the operator's link.

Functions that hash take the database instead of a session: hashing is slow, and a write transaction holds everybody
else up.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.identity import keys
from modelyard.server.identity.bearer import Caller, full_name
from modelyard.server.identity.email import email_key, is_address
from modelyard.server.identity.operations import end_sessions, user_by_key
from modelyard.server.identity.state import Identity
from modelyard.server.identity.tables import PasswordResetRow, UserRow
from modelyard.server.teams.tables import MemberRow, TeamRow
from modelyard.wire import problems
from modelyard.wire.accounts import Me, OwnTeam, PasswordChange, PasswordReset
from modelyard.wire.teams import Role

RESET_LIFE = timedelta(hours=1)


def me(session: Session, caller: Caller) -> Me:
    """The user behind the caller; a device sees its own team only.

    Raises:
        KeyNotAllowed: no user is behind this key.
    """
    user = None if caller.user_id is None else session.get(UserRow, caller.user_id)
    if user is None:
        raise problems.KeyNotAllowed("This key acts for no user.")
    found = (
        select(TeamRow.id, TeamRow.display_name, MemberRow.role)
        .join(MemberRow, MemberRow.team_id == TeamRow.id)
        .where(MemberRow.user_id == user.id, TeamRow.deleted_at.is_(None))
        .order_by(MemberRow.joined_at, TeamRow.id)
    )
    if caller.team_id is not None:
        found = found.where(TeamRow.id == caller.team_id)
    teams = [OwnTeam(id=id_, display_name=name, member_role=Role(role)) for id_, name, role in session.execute(found)]
    return Me(
        id=user.id,
        first_name=user.first_name,
        last_name=user.last_name,
        display_name=full_name(user.first_name, user.last_name),
        email_address=user.email_address,
        team_list=teams,
    )


def change_password(
    database: Database, identity: Identity, caller: Caller, change: PasswordChange, address: str
) -> None:
    """Set a new password and end the user's other sessions.

    Raises:
        KeyNotAllowed: keys have no password.
        PasswordRefused: the current password is wrong.
        TooManyAttempts: see ``Attempts``.
    """
    if caller.kind != "user":
        raise problems.KeyNotAllowed("A key may not do this: sign in as a user.")
    account = f"password of {caller.user_id}"
    identity.attempts.begin(account, address)
    with database.reading() as session:
        current = session.scalar(select(UserRow.password_hash).where(UserRow.id == caller.user_id))
    if current is None or not identity.passwords.verify(current, change.current_password):
        raise _wrong_password()
    newer = identity.passwords.hash(change.new_password)
    with database.writing() as session:
        user = session.scalar(select(UserRow).where(UserRow.id == caller.user_id, UserRow.password_hash == current))
        if user is None:
            raise _wrong_password()
        _set_password(session, user, newer, keep=caller.sign_in_id)
    identity.attempts.forgive(account, address)


def _wrong_password() -> problems.PasswordRefused:
    return problems.PasswordRefused("The current password is wrong.")


def _set_password(session: Session, user: UserRow, password_hash: str, *, keep: UUID | None) -> None:
    user.password_hash = password_hash
    end_sessions(session, user.id, but=keep)
    session.execute(delete(PasswordResetRow).where(PasswordResetRow.user_id == user.id))


def issue_reset_token(session: Session, email_address: str) -> str:
    """A token that sets a new password once, within an hour; older ones of the account end. For the operator.

    Raises:
        AccountNotFound: no account has this address.
    """
    user = user_by_key(session, email_key(email_address)) if is_address(email_address) else None
    if user is None:
        raise problems.AccountNotFound("No account has this e-mail address.")
    session.execute(delete(PasswordResetRow).where(PasswordResetRow.user_id == user.id))
    token = keys.new_token(keys.PASSWORD_RESET)
    session.add(PasswordResetRow(token_hash=token.digest, user_id=user.id, expires_at=now() + RESET_LIFE))
    return token.raw


def reset_password(database: Database, identity: Identity, asked: PasswordReset) -> None:
    """Set a new password by the operator's token, and end all of the user's sessions.

    Raises:
        PasswordResetNotFound: the token is unknown, used or too old.
    """
    with database.reading() as session:
        _reset_of(session, asked.reset_token)
    newer = identity.passwords.hash(asked.new_password)
    with database.writing() as session:
        user = session.get(UserRow, _reset_of(session, asked.reset_token).user_id)
        if user is None:
            raise _no_reset()
        _set_password(session, user, newer, keep=None)


def _reset_of(session: Session, token: str) -> PasswordResetRow:
    if keys.is_well_formed(token, keys.PASSWORD_RESET):
        found = session.get(PasswordResetRow, keys.digest(token))
        if found is not None and found.expires_at > now():
            return found
    raise _no_reset()


def _no_reset() -> problems.PasswordResetNotFound:
    return problems.PasswordResetNotFound("This reset link is unknown, used or too old. Ask for a new one.")
