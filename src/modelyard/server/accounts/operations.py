"""Operations on accounts: reading and changing one's own, and resetting its password with the operator's link.

Functions that hash passwords take the database instead of a session: hashing is slow and must not run inside a write
transaction, which blocks other writers.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import record
from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.identity import keys
from modelyard.server.identity.authentication import Caller, format_full_name
from modelyard.server.identity.email import email_key, is_valid_email
from modelyard.server.identity.initial_password import delete_initial_password
from modelyard.server.identity.operations import end_sessions, find_user_by_email_key
from modelyard.server.identity.password_rules import check_new_password
from modelyard.server.identity.state import Identity
from modelyard.server.identity.tables import PasswordResetRow, UserRow
from modelyard.server.teams.tables import MemberRow, TeamRow
from modelyard.wire import problems
from modelyard.wire.accounts import Me, OwnTeam, PasswordChange, PasswordReset, ProfileUpdate
from modelyard.wire.people.roles import Role

RESET_LIFETIME = timedelta(hours=1)


def get_me(session: Session, caller: Caller) -> Me:
    """Return the user behind the caller with their teams; a device gets its own team only.

    Raises:
        KeyNotAllowed: the caller is a key that acts for no user.
    """
    user = None if caller.user_id is None else session.get(UserRow, caller.user_id)
    if user is None:
        raise problems.KeyNotAllowed("This key acts for no user. Sign in as a user, or use a device key.")
    query = (
        select(TeamRow.id, TeamRow.display_name, MemberRow.role)
        .join(MemberRow, MemberRow.team_id == TeamRow.id)
        .where(MemberRow.user_id == user.id, TeamRow.deleted_at.is_(None))
        .order_by(MemberRow.joined_at, TeamRow.id)
    )
    if caller.team_id is not None:
        query = query.where(TeamRow.id == caller.team_id)
    teams = [OwnTeam(id=id_, display_name=name, member_role=Role(role)) for id_, name, role in session.execute(query)]
    return Me(
        id=user.id,
        first_name=user.first_name,
        last_name=user.last_name,
        display_name=format_full_name(user.first_name, user.last_name),
        email_address=user.email_address,
        team_list=teams,
    )


def check_is_user(caller: Caller) -> None:
    """Check that the caller is a signed-in user and no key.

    Raises:
        KeyNotAllowed: the caller is a key.
    """
    if caller.kind != "user":
        raise problems.KeyNotAllowed("Keys cannot do this. Sign in as a user.")


def change_profile(session: Session, caller: Caller, change: ProfileUpdate) -> UUID:
    """Change the caller's names, and return their id; recorded in the audit trail of each of their teams.

    Raises:
        KeyNotAllowed: the caller is a key.
    """
    check_is_user(caller)
    user = session.get_one(UserRow, caller.user_id)
    before = format_full_name(user.first_name, user.last_name)
    for name in change.model_fields_set:
        setattr(user, name, getattr(change, name))
    after = format_full_name(user.first_name, user.last_name)
    if after != before:
        record_in_teams(session, caller, "member.renamed", user.id, before=before, after=after)
    return user.id


def record_in_teams(session: Session, caller: Caller, action: str, object_id: UUID, **facts: str) -> None:
    """Record in the audit trail of each of the caller's teams what the caller did to their own account."""
    teams = select(MemberRow.team_id).join(TeamRow, TeamRow.id == MemberRow.team_id)
    mine = teams.where(MemberRow.user_id == caller.user_id, TeamRow.deleted_at.is_(None))
    for team_id in session.scalars(mine).all():
        record(session, caller.actor, team_id, action, object_id, **facts)


def change_password(
    database: Database, identity: Identity, caller: Caller, change: PasswordChange, address: str
) -> None:
    """Change the caller's password and end their other sessions.

    Raises:
        KeyNotAllowed: the caller is a key.
        PasswordRefused: the current password is wrong, or was changed meanwhile.
        InvalidRequest: the new password is easily guessed.
        TooManyAttempts: too many wrong passwords were sent for this user or from this address.
    """
    check_is_user(caller)
    account = f"password of {caller.user_id}"
    with identity.attempts.limit(database, account, address, problems.PasswordRefused):
        _change_password(database, identity, caller, change)


def _change_password(database: Database, identity: Identity, caller: Caller, change: PasswordChange) -> None:
    """Verify the current password, set the new one, and end the user's other sessions.

    The password is set in a transaction that checks that the current one is unchanged; see ``_set_password``.

    Raises:
        PasswordRefused, InvalidRequest: see ``change_password``.
    """
    with database.reading() as session:
        user = session.get(UserRow, caller.user_id)
    if user is None or not identity.passwords.verify(user.password_hash, change.current_password):
        raise _build_wrong_password_problem()
    current_hash = user.password_hash
    _check_new_password(user, change.new_password)
    new_hash = identity.passwords.hash(change.new_password)
    with database.writing() as session:
        user = session.scalar(
            select(UserRow).where(UserRow.id == caller.user_id, UserRow.password_hash == current_hash)
        )
        if user is None:
            raise _build_wrong_password_problem()
        _set_password(session, user, new_hash, keep=caller.sign_in_id)


def _check_new_password(user: UserRow, password: str) -> None:
    """Check the strength of a new password, given the user's own name and address."""
    check_new_password(password, "new_password", (user.email_address, user.first_name, user.last_name))


def _build_wrong_password_problem() -> problems.PasswordRefused:
    """Build the problem for a wrong current password."""
    return problems.PasswordRefused("The current password is wrong.")


def _set_password(session: Session, user: UserRow, password_hash: str, *, keep: UUID | None) -> None:
    """Store a new password hash, end the user's sessions but for ``keep``, and delete their reset links.

    A generated password that they never used is deleted too.
    """
    user.password_hash = password_hash
    delete_initial_password(session, user.id)
    end_sessions(session, user.id, except_id=keep)
    session.execute(delete(PasswordResetRow).where(PasswordResetRow.user_id == user.id))


def create_reset_token(session: Session, email_address: str) -> str:
    """Create a token that resets a password once within an hour, and delete the account's older ones.

    For the operator. The token is stored as a hash only.

    Raises:
        AccountNotFound: no account has this address.
    """
    user = find_user_by_email_key(session, email_key(email_address)) if is_valid_email(email_address) else None
    if user is None:
        raise problems.AccountNotFound("No account has this e-mail address.")
    session.execute(delete(PasswordResetRow).where(PasswordResetRow.user_id == user.id))
    token = keys.generate_token(keys.PASSWORD_RESET)
    session.add(PasswordResetRow(token_hash=token.digest, user_id=user.id, expires_at=now() + RESET_LIFETIME))
    return token.raw


def reset_password(database: Database, identity: Identity, reset: PasswordReset) -> None:
    """Set a new password with the operator's token; end all of the user's sessions and delete the token.

    Raises:
        PasswordResetNotFound: the token is unknown, used or expired.
        InvalidRequest: the new password is easily guessed.
    """
    with database.reading() as session:
        owner = session.get(UserRow, _get_reset(session, reset.reset_token).user_id)
    if owner is None:
        raise _build_reset_not_found_problem()
    _check_new_password(owner, reset.new_password)
    new_hash = identity.passwords.hash(reset.new_password)
    with database.writing() as session:
        user = session.get(UserRow, _get_reset(session, reset.reset_token).user_id)
        if user is None:
            raise _build_reset_not_found_problem()
        _set_password(session, user, new_hash, keep=None)


def _get_reset(session: Session, token: str) -> PasswordResetRow:
    """Return the password reset with this token.

    Raises:
        PasswordResetNotFound: the token is unknown, used or expired.
    """
    if keys.is_well_formed(token, keys.PASSWORD_RESET):
        row = session.get(PasswordResetRow, keys.digest(token))
        if row is not None and row.expires_at > now():
            return row
    raise _build_reset_not_found_problem()


def _build_reset_not_found_problem() -> problems.PasswordResetNotFound:
    """Build the problem for a reset token that is unknown, used or expired; all look the same."""
    return problems.PasswordResetNotFound("This reset link is unknown, used or too old. Ask for a new one.")
