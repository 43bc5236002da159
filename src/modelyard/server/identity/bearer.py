"""Who is calling: from the Authorization header to a caller, by one statement.

    eyJ…  a user's access token  → the session it names, and its user
    sk-…  an integration's key   → its row
    dk-…  a device's key         → its row, and the user for whom it acts
    ak-…  an agent's key         → its row

The verifier is chosen by the token's first three characters and never by trying one after the other.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from sqlalchemy import Row as Found
from sqlalchemy import Select, and_, bindparam, or_, select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import Actor
from modelyard.server.database.base import now
from modelyard.server.database.session import Db, table_of
from modelyard.server.identity import keys
from modelyard.server.identity.state import Identity, IdentityState
from modelyard.server.identity.tables import CredentialRow, SignInRow, UserRow
from modelyard.wire.credentials import PREFIXES, Access, Kind
from modelyard.wire.problems import TwoCredentials, Unauthenticated

CallerKind = Literal["user", "integration", "device", "agent"]


@dataclass(frozen=True)
class Caller:
    """Who calls. ``user_id`` is there for users and devices, ``team_id`` for keys, ``agent_id`` for bound agents."""

    kind: CallerKind
    user_id: UUID | None
    credential_id: UUID | None
    sign_in_id: UUID | None
    team_id: UUID | None
    access: Access
    display_name: str
    agent_id: str | None

    @property
    def actor(self) -> Actor:
        """The caller as the audit trail names it: a key by its own id, also when it acts as a user."""
        return Actor(self.kind, self.credential_id or self.user_id, self.display_name)


@dataclass(frozen=True)
class Queries:
    """The two statements behind every request. A slice that needs more about the caller adds columns to both."""

    sign_in: Select[*tuple[Any, ...]]
    key: Select[*tuple[Any, ...]]


ALONE = Queries(
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
        CredentialRow.key_hash == bindparam("key_hash"),
        CredentialRow.kind == bindparam("kind"),
        CredentialRow.revoked_at.is_(None),
        CredentialRow.suspended_at.is_(None),
        or_(CredentialRow.expires_at.is_(None), CredentialRow.expires_at > bindparam("moment")),
    ),
)


_keys = table_of(CredentialRow)
_VALID = and_(
    _keys.c.revoked_at.is_(None),
    _keys.c.suspended_at.is_(None),
    or_(_keys.c.expires_at.is_(None), _keys.c.expires_at > bindparam("moment")),
)
_VALID_KEY = select(_keys.c.id).where(_keys.c.id == bindparam("key"), _VALID)
_VALID_KEYS = select(_keys.c.id).where(_keys.c.id.in_(bindparam("keys", expanding=True)), _VALID)


def is_valid_key(session: Session, credential_id: UUID) -> bool:
    """Whether a key that was let in once still would be."""
    return session.connection().execute(_VALID_KEY, {"key": credential_id, "moment": now()}).first() is not None


def valid_keys(session: Session, credential_ids: Collection[UUID]) -> set[UUID]:
    """Those of these keys that would still be let in."""
    named = {"keys": list(credential_ids), "moment": now()}
    return set(session.connection().scalars(_VALID_KEYS, named))


def unauthenticated() -> Unauthenticated:
    """The one refusal: it does not tell missing from unknown, expired or revoked."""
    return Unauthenticated("Sign in: the token is missing, unknown or expired.")


def full_name(first_name: str, last_name: str) -> str:
    return f"{first_name} {last_name}".strip()


def recognise(
    session: Session, identity: Identity, token: str, queries: Queries = ALONE, **parameters: Any
) -> tuple[Caller, Found[*tuple[Any, ...]]]:
    """The caller, and the row of the statement that found it, for columns that ``queries`` has beyond ``ALONE``.

    Raises:
        Unauthenticated: no such caller, whatever the reason.
    """
    verifier = VERIFIERS.get(token[:3])
    if verifier is None:
        raise unauthenticated()
    return verifier(session, identity, token, queries, parameters)


def _by_access_token(
    session: Session, identity: Identity, token: str, queries: Queries, parameters: dict[str, Any]
) -> tuple[Caller, Found[*tuple[Any, ...]]]:
    claims = identity.access_tokens.read(session, token)
    if claims is None:
        raise unauthenticated()
    named = {"sign_in_id": claims.sign_in_id, "user_id": claims.user_id, "moment": now()}
    found = session.execute(queries.sign_in, named | parameters).one_or_none()
    if found is None:
        raise unauthenticated()
    caller = Caller(
        kind="user",
        user_id=found.id,
        credential_id=None,
        sign_in_id=claims.sign_in_id,
        team_id=None,
        access="write",
        display_name=full_name(found.first_name, found.last_name),
        agent_id=None,
    )
    return caller, found


def _by_key(
    session: Session, identity: Identity, token: str, queries: Queries, parameters: dict[str, Any]
) -> tuple[Caller, Found[*tuple[Any, ...]]]:
    kind = keys.KIND_OF_PREFIX[token[:3]]
    if not keys.is_well_formed(token, PREFIXES[kind]):
        raise unauthenticated()
    named = {"key_hash": keys.digest(token), "kind": kind, "moment": now()}
    found = session.execute(queries.key, named | parameters).one_or_none()
    if found is None:
        raise unauthenticated()
    identity.key_used(found.team_id, found.id)
    caller = Caller(
        kind=kind,
        user_id=found.user_id if kind == "device" else None,
        credential_id=found.id,
        sign_in_id=None,
        team_id=found.team_id,
        access=found.access,
        display_name=_name_of_key(kind, found),
        agent_id=found.agent_id,
    )
    return caller, found


def _name_of_key(kind: Kind, found: Found[*tuple[Any, ...]]) -> str:
    if kind != "device":
        return str(found.display_name)
    return f"{full_name(found.first_name, found.last_name)} ({found.display_name})"


Verifier = Callable[[Session, Identity, str, Queries, dict[str, Any]], tuple[Caller, Found[*tuple[Any, ...]]]]
# "eyJ" is how every JWT begins: the first bytes of a JSON object in base64.
VERIFIERS: dict[str, Verifier] = {"eyJ": _by_access_token, "sk-": _by_key, "dk-": _by_key, "ak-": _by_key}


_in_openapi = HTTPBearer(
    scheme_name="Bearer", description="A user's access token, or a key: `sk-`, `dk-`, `ak-`.", auto_error=False
)


async def _presented(request: Request) -> str | None:
    """The token as sent, not yet believed; None without an Authorization header.

    Raises:
        TwoCredentials: two headers: which of them counts must not depend on who reads them.
    """
    sent = request.headers.getlist("authorization")
    if not sent:
        return None
    if len(sent) > 1:
        raise TwoCredentials("Send one Authorization header, not two.")
    scheme, _, token = sent[0].partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _demanded(
    presented: Annotated[str | None, Depends(_presented)], _: Annotated[object, Depends(_in_openapi)]
) -> str:
    if not presented:
        raise unauthenticated()
    return presented


# A token that somebody sent; a route that may be used without one takes PresentedOrNone.
Presented = Annotated[str, Depends(_demanded)]
PresentedOrNone = Annotated[str | None, Depends(_presented)]


def signed_in(token: Presented, database: Db, identity: IdentityState) -> Caller:
    with database.reading() as session:
        return recognise(session, identity, token)[0]


def signed_in_or_nobody(token: PresentedOrNone, database: Db, identity: IdentityState) -> Caller | None:
    return None if token is None else signed_in(token, database, identity)


SignedIn = Annotated[Caller, Depends(signed_in)]
SignedInOrNobody = Annotated[Caller | None, Depends(signed_in_or_nobody)]
