"""HTTP routes of accounts and sessions."""

from typing import Annotated

from fastapi import Depends

from modelyard.server.accounts import operations, own_sessions, sessions
from modelyard.server.accounts.cookies import SessionTransportDep
from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.paging import PageParams
from modelyard.server.http.params import ClientAddress, PathId, UserAgent, parse_uuid
from modelyard.server.http.problems import answers
from modelyard.server.identity.authentication import AuthenticatedCaller
from modelyard.server.identity.state import IdentityState
from modelyard.wire import problems
from modelyard.wire.accounts import (
    AccountSessionList,
    Login,
    Logout,
    Me,
    PasswordChange,
    PasswordReset,
    ProfileUpdate,
    Refresh,
    Tokens,
)
from modelyard.wire.schemas import Done, Updated

router = ApiRouter("accounts")


async def _get_client(address: ClientAddress, user_agent: UserAgent) -> sessions.Client:
    """Return the address and the program that the request comes from."""
    return sessions.Client(address, user_agent)


@router.post(
    "/auth/login",
    operation_id="log_in",
    responses=answers(
        problems.SignInRefused, problems.CrossSiteRefused, problems.InvalidRequest, problems.TooManyAttempts
    ),
)
def log_in(
    login: Login,
    transport: SessionTransportDep,
    database: Db,
    identity: IdentityState,
    client: Annotated[sessions.Client, Depends(_get_client)],
) -> Tokens:
    """Sign in with an e-mail address and a password."""
    return transport.build_tokens(sessions.sign_in(database, identity, login, client))


@router.post(
    "/auth/refresh",
    operation_id="refresh_session",
    responses=answers(problems.SessionEnded, problems.CrossSiteRefused, problems.InvalidRequest),
)
def refresh_session(refresh: Refresh, transport: SessionTransportDep, database: Db, identity: IdentityState) -> Tokens:
    """Continue a session with fresh tokens."""
    return transport.build_tokens(
        sessions.refresh_session(database, identity, transport.read_token(refresh.refresh_token))
    )


@router.post(
    "/auth/logout",
    status_code=204,
    operation_id="log_out",
    responses=answers(problems.CrossSiteRefused, problems.InvalidRequest),
)
def log_out(logout: Logout, transport: SessionTransportDep, database: Db) -> None:
    """End this session, or all sessions of the user."""
    sessions.sign_out(database, transport.read_token(logout.refresh_token), everywhere=logout.everywhere)
    transport.clear_cookie()


@router.post(
    "/auth/password-reset",
    operation_id="reset_password",
    responses=answers(problems.PasswordResetNotFound, problems.InvalidRequest),
)
def reset_password(reset: PasswordReset, database: Db, identity: IdentityState) -> Done:
    """Set a new password with the operator's one-time link."""
    operations.reset_password(database, identity, reset)
    return Done()


@router.get(
    "/users/me",
    operation_id="get_me",
    responses=answers(problems.Unauthenticated, problems.TwoCredentials, problems.KeyNotAllowed),
)
def get_me(caller: AuthenticatedCaller, database: Db) -> Me:
    """Get the signed-in user and their teams."""
    with database.reading() as session:
        return operations.get_me(session, caller)


@router.put(
    "/users/me",
    operation_id="update_me",
    responses=answers(
        problems.Unauthenticated, problems.TwoCredentials, problems.KeyNotAllowed, problems.InvalidRequest
    ),
)
def update_me(change: ProfileUpdate, caller: AuthenticatedCaller, database: Db) -> Updated:
    """Change your names."""
    with database.writing() as session:
        return Updated(id=operations.change_profile(session, caller, change))


@router.get(
    "/users/me/sessions",
    operation_id="list_sessions",
    responses=answers(
        problems.Unauthenticated, problems.TwoCredentials, problems.KeyNotAllowed, problems.InvalidRequest
    ),
)
def list_sessions(page: PageParams, caller: AuthenticatedCaller, database: Db) -> AccountSessionList:
    """List your sessions that have not ended, newest first."""
    with database.reading() as session:
        return own_sessions.list_sessions(session, caller, page)


@router.delete(
    "/users/me/sessions/{session_id}",
    status_code=204,
    operation_id="end_session",
    responses=answers(
        problems.Unauthenticated, problems.TwoCredentials, problems.KeyNotAllowed, problems.SessionNotFound
    ),
)
def end_session(session_id: PathId, caller: AuthenticatedCaller, database: Db) -> None:
    """End one of your sessions."""
    parsed_id = parse_uuid(session_id, own_sessions.build_session_not_found_problem())
    with database.writing() as session:
        own_sessions.end_session(session, caller, parsed_id)


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
    change: PasswordChange, caller: AuthenticatedCaller, database: Db, identity: IdentityState, address: ClientAddress
) -> Done:
    """Change your password; your other sessions end."""
    operations.change_password(database, identity, caller, change, address)
    return Done()
