"""Accounts over HTTP."""

from fastapi import APIRouter

from modelyard.server.accounts import operations, sessions
from modelyard.server.accounts.cookies import Keeper
from modelyard.server.database.session import Db
from modelyard.server.identity.asked import CallersAddress
from modelyard.server.identity.bearer import SignedIn
from modelyard.server.identity.state import IdentityState
from modelyard.server.problems import answers
from modelyard.wire import problems
from modelyard.wire.accounts import Login, Logout, Me, PasswordChange, PasswordReset, Refresh, Tokens
from modelyard.wire.shapes import Done

router = APIRouter(tags=["accounts"])


@router.post(
    "/auth/login",
    operation_id="log_in",
    responses=answers(
        problems.SignInRefused, problems.CrossSiteRefused, problems.InvalidRequest, problems.TooManyAttempts
    ),
)
def log_in(login: Login, keeper: Keeper, database: Db, identity: IdentityState, address: CallersAddress) -> Tokens:
    """Sign in with an e-mail address and a password."""
    return keeper.answer(sessions.sign_in(database, identity, login, address))


@router.post(
    "/auth/refresh",
    operation_id="refresh_session",
    responses=answers(problems.SessionEnded, problems.CrossSiteRefused, problems.InvalidRequest),
)
def refresh_session(asked: Refresh, keeper: Keeper, database: Db, identity: IdentityState) -> Tokens:
    """Continue a session with fresh tokens."""
    return keeper.answer(sessions.refresh(database, identity, keeper.token(asked.refresh_token)))


@router.post(
    "/auth/logout",
    status_code=204,
    operation_id="log_out",
    responses=answers(problems.CrossSiteRefused, problems.InvalidRequest),
)
def log_out(asked: Logout, keeper: Keeper, database: Db) -> None:
    """End this session, or all of one's sessions."""
    sessions.sign_out(database, keeper.token(asked.refresh_token), everywhere=asked.everywhere)
    keeper.forget()


@router.post(
    "/auth/password-reset",
    operation_id="reset_password",
    responses=answers(problems.PasswordResetNotFound, problems.InvalidRequest),
)
def reset_password(asked: PasswordReset, database: Db, identity: IdentityState) -> Done:
    """Set a new password with the operator's one-time link."""
    operations.reset_password(database, identity, asked)
    return Done()


@router.get(
    "/users/me",
    operation_id="get_me",
    responses=answers(problems.Unauthenticated, problems.TwoCredentials, problems.KeyNotAllowed),
)
def get_me(caller: SignedIn, database: Db) -> Me:
    """Get the signed-in user and their teams."""
    with database.reading() as session:
        return operations.me(session, caller)


@router.put(
    "/users/me/password",
    operation_id="change_password",
    responses=answers(
        problems.Unauthenticated,
        problems.TwoCredentials,
        problems.KeyNotAllowed,
        problems.InvalidRequest,
        problems.PasswordRefused,
        problems.TooManyAttempts,
    ),
)
def change_password(
    change: PasswordChange, caller: SignedIn, database: Db, identity: IdentityState, address: CallersAddress
) -> Done:
    """Change one's password; other sessions end."""
    operations.change_password(database, identity, caller, change, address)
    return Done()
