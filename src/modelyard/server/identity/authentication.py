"""Authentication: from the Authorization header to a ``Caller``, with one database query.

    eyJ…  a user's access token  → the session it names, and its user
    sk-…  an integration's key   → its row
    dk-…  a device's key         → its row, and the user that it acts for
    ak-…  an agent's key         → its row

The token's first three characters choose the verifier; verifiers are never tried one after the other.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    Uuid,
    and_,
    bindparam,
    column,
    exists,
    not_,
    or_,
    select,
    table,
    union_all,
)
from sqlalchemy import Row as ResultRow
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from modelyard.server.audit.operations import Actor
from modelyard.server.database.base import now
from modelyard.server.database.session import Db, get_table
from modelyard.server.fairness.accounts import Account
from modelyard.server.http.execution.account import set_account
from modelyard.server.http.params import get_client_address
from modelyard.server.identity import keys
from modelyard.server.identity.authentication_limiter import Authenticated, AuthenticationLimiter
from modelyard.server.identity.state import Identity, IdentityState
from modelyard.server.identity.tables import CredentialRow, RetiredSecretRow, SignInRow, UserRow
from modelyard.wire.credentials import PREFIXES, Access, Kind
from modelyard.wire.people.roles import Role
from modelyard.wire.problems import TwoCredentials, Unauthenticated

CallerKind = Literal["user", "integration", "device", "agent"]
# Roles that may create keys for programs and machines; such a key works while its creator has one of them.
KEY_CREATOR_ROLES = (Role.ADMIN, Role.OWNER)


@dataclass(frozen=True)
class Caller:
    """An authenticated caller. ``user_id`` is set for users and devices, ``team_id`` for keys.

    ``agent_id`` is set for agent keys that are bound to a machine.

    ``key_hash`` is the digest of the secret that a key was presented with. ``responsible_user_id`` is who made the key,
    or took it over.
    """

    kind: CallerKind
    user_id: UUID | None
    credential_id: UUID | None
    sign_in_id: UUID | None
    team_id: UUID | None
    access: Access
    display_name: str
    agent_id: str | None
    key_hash: str | None = None
    responsible_user_id: UUID | None = None

    @property
    def person_id(self) -> UUID | None:
        """The person that requests are charged to: the user, or who is responsible for the key; else the key itself."""
        return self.user_id or self.responsible_user_id or self.credential_id

    @property
    def account(self) -> Account:
        """The account that the caller's requests are charged to."""
        return Account(self.person_id, self.team_id)

    @property
    def actor(self) -> Actor:
        """The caller as the audit trail names it: a key by the key's id, also if it acts for a user."""
        return Actor(self.kind, self.credential_id or self.user_id, self.display_name)


@dataclass(frozen=True)
class CallerQueries:
    """The queries that authenticate an access token and a key. Other packages may add columns to both."""

    sign_in: Select[*tuple[Any, ...]]
    key: Select[*tuple[Any, ...]]


_keys = get_table(CredentialRow)
_retired = get_table(RetiredSecretRow)
# The ``teams`` package, which imports this one, has the class of this table.
_members = table("members", column("team_id", Uuid()), column("user_id", Uuid()), column("role"))
# The ``models`` package has the class of this table.
_agents = table("agents", column("team_id", Uuid()), column("agent_id"), column("credential_id", Uuid()))
_is_live = and_(
    _keys.c.revoked_at.is_(None),
    _keys.c.suspended_at.is_(None),
    or_(_keys.c.expires_at.is_(None), _keys.c.expires_at > bindparam("moment")),
)
# Keys that an admin made for programs and machines. Keys that came by pairing need their user's membership only.
depends_on_creator: ColumnElement[bool] = not_(_keys.c.is_paired)
has_authorized_creator: ColumnElement[bool] = exists().where(
    _members.c.team_id == _keys.c.team_id,
    _members.c.user_id == _keys.c.user_id,
    or_(_keys.c.is_paired, _members.c.role.in_(KEY_CREATOR_ROLES)),
)
# Whether a key is accepted at ``moment``.
is_valid: ColumnElement[bool] = and_(_is_live, has_authorized_creator)


CALLER_QUERIES = CallerQueries(
    sign_in=select(UserRow.id, UserRow.first_name, UserRow.last_name)
    .join(SignInRow, SignInRow.user_id == UserRow.id)
    .where(
        SignInRow.id == bindparam("sign_in_id"),
        SignInRow.user_id == bindparam("user_id"),
        SignInRow.ended_at.is_(None),
        SignInRow.expires_at > bindparam("moment"),
    ),
    key=select(
        CredentialRow.id,
        CredentialRow.kind,
        CredentialRow.user_id,
        CredentialRow.team_id,
        CredentialRow.access,
        CredentialRow.agent_id,
        CredentialRow.display_name,
        UserRow.first_name,
        UserRow.last_name,
    )
    .outerjoin(UserRow, UserRow.id == CredentialRow.user_id)
    .where(
        or_(
            CredentialRow.key_hash == bindparam("key_hash"),
            # One value and no set: PostgreSQL looks it up in an index, and would read all keys for a set.
            CredentialRow.id
            == select(_retired.c.credential_id)
            .where(
                _retired.c.key_hash == bindparam("key_hash"),
                _retired.c.expires_at > bindparam("moment"),
            )
            .scalar_subquery(),
        ),
        CredentialRow.kind == bindparam("kind"),
        is_valid,
    ),
)


_key_hashes: BindParameter[Any] = bindparam("digests", expanding=True)
_VALID_KEY = select(_keys.c.id).where(_keys.c.id == bindparam("key"), is_valid)
_VALID_SECRETS = union_all(
    select(_keys.c.key_hash).where(_keys.c.key_hash.in_(_key_hashes), is_valid),
    select(_retired.c.key_hash)
    .join(_keys, _keys.c.id == _retired.c.credential_id)
    .where(_retired.c.key_hash.in_(_key_hashes), _retired.c.expires_at > bindparam("moment"), is_valid),
)
# Only who has the secret of a key is told the name.
_NAME_WITH_OTHER_KEY = (
    select(_agents.c.agent_id)
    .join(_keys, and_(_keys.c.team_id == _agents.c.team_id, _keys.c.agent_id == _agents.c.agent_id))
    .where(_keys.c.key_hash == bindparam("key_hash"), _agents.c.credential_id != _keys.c.id)
)


def is_valid_key(session: Session, credential_id: UUID) -> bool:
    """Return whether a key is accepted now with its newest secret."""
    return session.connection().execute(_VALID_KEY, {"key": credential_id, "moment": now()}).first() is not None


def list_valid_key_hashes(session: Session, key_hashes: Collection[str]) -> set[str]:
    """Return the given hashes of key secrets that are accepted now, including replaced secrets in their grace."""
    parameters = {"digests": list(key_hashes), "moment": now()}
    return set(session.connection().scalars(_VALID_SECRETS, parameters))


def build_unauthenticated_problem(**facts: str) -> Unauthenticated:
    """Return the one problem of failed authentication; it does not tell missing from unknown, expired or revoked."""
    return Unauthenticated("Sign in: the token is missing, unknown or expired.", **facts)


def format_full_name(first_name: str, last_name: str) -> str:
    """Return the first and last name with a space between them; an empty one is left out."""
    return f"{first_name} {last_name}".strip()


def authenticate(
    session: Session, identity: Identity, token: str, queries: CallerQueries = CALLER_QUERIES, **parameters: Any
) -> tuple[Caller, ResultRow[*tuple[Any, ...]]]:
    """Authenticate a token; return the caller and the row that was found, with the columns that ``queries`` adds.

    ``parameters`` are bound to the added columns. Notes in memory that a key was used.

    Raises:
        Unauthenticated: the token is malformed, unknown, expired, revoked or suspended, its session has ended, or
            its user has lost the role that it depends on.
    """
    verifier = VERIFIERS.get(token[:3])
    if verifier is None:
        raise build_unauthenticated_problem()
    return verifier(session, identity, token, queries, parameters)


def _authenticate_access_token(
    session: Session, identity: Identity, token: str, queries: CallerQueries, parameters: dict[str, Any]
) -> tuple[Caller, ResultRow[*tuple[Any, ...]]]:
    """Verify an access token, and return its user as the caller, with the row that was found.

    Raises:
        Unauthenticated: the token is invalid or expired, or its session has ended.
    """
    claims = identity.access_tokens.verify(session, token)
    if claims is None:
        raise build_unauthenticated_problem()
    values = {"sign_in_id": claims.sign_in_id, "user_id": claims.user_id, "moment": now()}
    row = session.connection().execute(queries.sign_in, values | parameters).one_or_none()
    if row is None:
        raise build_unauthenticated_problem()
    caller = Caller(
        kind="user",
        user_id=row.id,
        credential_id=None,
        sign_in_id=claims.sign_in_id,
        team_id=None,
        access="write",
        display_name=format_full_name(row.first_name, row.last_name),
        agent_id=None,
    )
    return caller, row


def _authenticate_key(
    session: Session, identity: Identity, token: str, queries: CallerQueries, parameters: dict[str, Any]
) -> tuple[Caller, ResultRow[*tuple[Any, ...]]]:
    """Find a key by the hash of its secret, and return it as the caller, with the row that was found.

    Notes in memory that the key was used.

    Raises:
        Unauthenticated: the key is malformed, unknown, expired, revoked or suspended, or its user has lost the role
            that it depends on. Its fact ``agent_id`` is the name of the key's machine if that is used with another key.
    """
    kind = keys.KIND_OF_PREFIX[token[:3]]
    if not keys.is_well_formed(token, PREFIXES[kind]):
        raise build_unauthenticated_problem()
    values: dict[str, Any] = {"key_hash": keys.digest(token), "kind": kind, "moment": now()}
    row = session.connection().execute(queries.key, values | parameters).one_or_none()
    if row is None:
        name = session.connection().scalar(_NAME_WITH_OTHER_KEY, values) if kind == "agent" else None
        raise build_unauthenticated_problem(**({} if name is None else {"agent_id": name}))
    identity.record_key_use(row.team_id, row.id)
    caller = Caller(
        kind=kind,
        user_id=row.user_id if kind == "device" else None,
        credential_id=row.id,
        sign_in_id=None,
        team_id=row.team_id,
        access=row.access,
        display_name=_format_key_name(kind, row),
        agent_id=row.agent_id,
        key_hash=values["key_hash"],
        responsible_user_id=row.user_id,
    )
    return caller, row


def _format_key_name(kind: Kind, row: ResultRow[*tuple[Any, ...]]) -> str:
    """Return a key's name; for a device, the name of its user followed by the device's in parentheses."""
    if kind != "device":
        return str(row.display_name)
    return f"{format_full_name(row.first_name, row.last_name)} ({row.display_name})"


Verifier = Callable[[Session, Identity, str, CallerQueries, dict[str, Any]], tuple[Caller, ResultRow[*tuple[Any, ...]]]]
# "eyJ" is how every JWT begins: the first bytes of a JSON object in base64.
VERIFIERS: dict[str, Verifier] = {
    "eyJ": _authenticate_access_token,
    "sk-": _authenticate_key,
    "dk-": _authenticate_key,
    "ak-": _authenticate_key,
}


class _BearerScheme(HTTPBearer):
    """The scheme in the OpenAPI document; ``_read_bearer_token`` reads the header, so this does not."""

    async def __call__(self, request: HTTPConnection) -> None:
        """Return nothing."""


_in_openapi = _BearerScheme(
    scheme_name="Bearer", description="A user's access token, or a key: `sk-`, `dk-`, `ak-`.", auto_error=False
)


async def _read_bearer_token(request: Request) -> str | None:
    """Return the bearer token as sent, unverified; None without an Authorization header, "" for another scheme.

    Raises:
        TwoCredentials: there are two headers, and a proxy might read the other one.
    """
    sent = request.headers.getlist("authorization")
    if not sent:
        return None
    if len(sent) > 1:
        raise TwoCredentials("Send one Authorization header, not two.")
    scheme, _, token = sent[0].partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _require_bearer_token(
    token: Annotated[str | None, Depends(_read_bearer_token)], _: Annotated[object, Depends(_in_openapi)]
) -> str:
    """Return the bearer token as sent, unverified.

    Raises:
        Unauthenticated: the request has none.
    """
    if not token:
        raise build_unauthenticated_problem()
    return token


# The unverified token of the request; routes that may be used without one take OptionalBearerToken.
BearerToken = Annotated[str, Depends(_require_bearer_token)]
OptionalBearerToken = Annotated[str | None, Depends(_read_bearer_token)]


async def run_authentication(request: Request, token: str, check: Callable[[], Authenticated]) -> Authenticated:
    """Run the check of a credential in a thread; from then on, the request is charged to the account that it returns.

    Raises:
        Unavailable: no thread became free in time.
    """
    limiter: AuthenticationLimiter = request.app.state.authentication_limiter
    caller = await limiter.run(token, get_client_address(request), check)
    set_account(request, caller.account)
    return caller


async def authenticate_request(request: Request, token: BearerToken, database: Db, identity: IdentityState) -> Caller:
    """Return the authenticated caller of a request.

    Raises:
        Unauthenticated: see ``authenticate``.
    """

    def check() -> Caller:
        with database.reading() as session:
            return authenticate(session, identity, token)[0]

    return await run_authentication(request, token, check)


async def authenticate_request_if_token(
    request: Request, token: OptionalBearerToken, database: Db, identity: IdentityState
) -> Caller | None:
    """Return the authenticated caller of a request, or None if it has no Authorization header.

    Raises:
        Unauthenticated: it has an invalid one.
    """
    return None if token is None else await authenticate_request(request, token, database, identity)


AuthenticatedCaller = Annotated[Caller, Depends(authenticate_request)]
OptionalCaller = Annotated[Caller | None, Depends(authenticate_request_if_token)]
