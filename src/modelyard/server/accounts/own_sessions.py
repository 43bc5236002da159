"""The sessions of the caller: listing them and ending one."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.accounts.operations import check_is_user, record_in_teams
from modelyard.server.accounts.sessions import SESSION_LIFETIME
from modelyard.server.database.base import now
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.identity.authentication import Caller
from modelyard.server.identity.tables import SignInRow
from modelyard.wire import problems
from modelyard.wire.accounts import AccountSession, AccountSessionList


def list_sessions(session: Session, caller: Caller, page: Page) -> AccountSessionList:
    """Return one page of the caller's sessions that have not ended, newest first.

    Raises:
        KeyNotAllowed: the caller is a key.
        InvalidRequest: the cursor is malformed.
    """
    check_is_user(caller)
    query = select(SignInRow).where(
        SignInRow.user_id == caller.user_id, SignInRow.ended_at.is_(None), SignInRow.expires_at > now()
    )
    rows, meta = list_page(session, query, page, Order((SignInRow.created_at, SignInRow.id), is_descending=True))
    return AccountSessionList(session_list=[_build_session(row[0], caller) for row in rows], page_meta=meta)


def _build_session(row: SignInRow, caller: Caller) -> AccountSession:
    """Build the record of a session; each refresh sets when it expires, so this tells when it was last used."""
    return AccountSession(
        id=row.id,
        is_current=row.id == caller.sign_in_id,
        user_agent=row.user_agent,
        created_at=row.created_at,
        last_used_at=row.expires_at - SESSION_LIFETIME,
        expires_at=row.expires_at,
    )


def end_session(session: Session, caller: Caller, session_id: UUID) -> None:
    """End one of the caller's sessions, which may be the current one, and record that in the caller's teams.

    Its access tokens stop working at once. Nothing is done if the session has ended.

    Raises:
        KeyNotAllowed: the caller is a key.
        SessionNotFound: the caller has no such session. Ending a session that has ended does nothing.
    """
    check_is_user(caller)
    row = session.scalar(select(SignInRow).where(SignInRow.id == session_id, SignInRow.user_id == caller.user_id))
    if row is None:
        raise build_session_not_found_problem()
    if row.ended_at is None:
        row.ended_at = now()
        record_in_teams(session, caller, "session.ended", row.id)


def build_session_not_found_problem() -> problems.SessionNotFound:
    """Build the problem for a session that is unknown or belongs to another user; both look the same."""
    return problems.SessionNotFound("You have no such session.")
