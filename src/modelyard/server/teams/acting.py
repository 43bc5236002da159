"""A caller inside one team, with a role: what every operation of a team starts from.

The team comes from a membership or from the key's row, never from the header alone: ``X-Team-ID`` only chooses among
a user's memberships, and for keys it is not even read.
"""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Request
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import Actor
from modelyard.server.database.session import Db
from modelyard.server.identity.asked import UUID_SHAPE
from modelyard.server.identity.bearer import (
    ALONE,
    Caller,
    Presented,
    Queries,
    is_valid_key,
    recognise,
    unauthenticated,
)
from modelyard.server.identity.state import Identity, IdentityState
from modelyard.server.identity.tables import CredentialRow, UserRow
from modelyard.server.teams.permissions import Operation, check, role_too_low
from modelyard.server.teams.tables import MemberRow, TeamRow
from modelyard.wire import problems
from modelyard.wire.teams import Role

# What `may` can answer instead of passing; routes list these with their own.
REFUSALS: tuple[type[problems.Problem], ...] = (
    problems.Unauthenticated,
    problems.TwoCredentials,
    problems.TeamHeaderMissing,
    problems.TeamHeaderMalformed,
    problems.NotAMember,
    problems.RoleTooLow,
    problems.KeyNotAllowed,
)

TeamHeader = Annotated[
    str | None,
    Header(
        alias="X-Team-ID",
        description="Which team is meant. A user's token needs it; a key has its team, and this is ignored.",
        json_schema_extra={"format": "uuid"},
    ),
]


@dataclass(frozen=True)
class Acting:
    """A caller in a team. ``role`` is that of the user, None for integrations and agents."""

    caller: Caller
    team_id: UUID
    role: Role | None

    @property
    def user_id(self) -> UUID | None:
        return self.caller.user_id

    @property
    def actor(self) -> Actor:
        """For the audit trail."""
        return self.caller.actor

    @property
    def creator(self) -> Actor:
        """For what is made: a device makes things in its user's name, so that they are the user's own."""
        return Actor(self.caller.kind, self.caller.user_id or self.caller.credential_id, self.caller.display_name)

    def is_at_least(self, role: Role) -> bool:
        return self.role is not None and self.role.rank >= role.rank

    def require(self, role: Role) -> None:
        """Raises:
        KeyNotAllowed: a key without a user.
        RoleTooLow: a user with a lower role.
        """
        if self.role is None:
            raise problems.KeyNotAllowed("This key may not do this: it acts for no user.")
        if not self.is_at_least(role):
            raise role_too_low(role)

    def owns(self, created_by_kind: str, created_by_id: UUID | None) -> bool:
        """Whether the user behind this made the thing; what an integration made is nobody's own."""
        return self.user_id is not None and created_by_kind in ("user", "device") and created_by_id == self.user_id


_role_of_user = (
    select(MemberRow.role)
    .join(TeamRow, TeamRow.id == MemberRow.team_id)
    .where(
        MemberRow.team_id == bindparam("asked_team_id"), MemberRow.user_id == UserRow.id, TeamRow.deleted_at.is_(None)
    )
    .correlate(UserRow)
    .scalar_subquery()
)
_role_of_device = (
    select(MemberRow.role)
    .join(TeamRow, TeamRow.id == MemberRow.team_id)
    .where(
        MemberRow.team_id == CredentialRow.team_id,
        MemberRow.user_id == CredentialRow.user_id,
        TeamRow.deleted_at.is_(None),
    )
    .correlate(CredentialRow)
    .scalar_subquery()
)
_WITH_ROLE = Queries(
    sign_in=ALONE.sign_in.add_columns(_role_of_user.label("role")),
    key=ALONE.key.add_columns(_role_of_device.label("role")),
)


def may(operation: Operation) -> Any:
    """The dependency of a route: an ``Acting`` that may do this. Everything it refuses, it refuses before the body.

    Use it as ``acting: Annotated[Acting, may(Operation.MODELS_READ)]``.
    """

    def resolve(
        request: Request, token: Presented, database: Db, identity: IdentityState, _x_team_id: TeamHeader = None
    ) -> Acting:
        with database.reading() as session:
            acting = acting_by(session, identity, token, request.headers.getlist("x-team-id"))
        check(operation, acting.caller, acting.role)
        return acting

    return Depends(resolve)


def acting_by(session: Session, identity: Identity, token: str, team_headers: list[str]) -> Acting:
    """Who this token is, in which team, as what; whether that suffices is for ``check``.

    Raises:
        Unauthenticated, TeamHeaderMissing, TeamHeaderMalformed, NotAMember: in this order.
    """
    asked = _asked_team(team_headers)
    caller, found = recognise(session, identity, token, _WITH_ROLE, asked_team_id=asked)
    role = None if found.role is None else Role(found.role)
    if caller.kind == "user":
        return Acting(caller, _team_of_user(asked, team_headers, role), role)
    if caller.team_id is None or (caller.kind == "device" and role is None):
        raise unauthenticated()
    return Acting(caller, caller.team_id, role if caller.kind == "device" else None)


def acting_in(session: Session, caller: Caller, team_id: UUID, operation: Operation) -> Acting:
    """The caller in a team that an object names instead of the header.

    Raises:
        NotAMember: the caller has nothing to do with this team; whoever must not learn that the object exists gets
            a 404 from the slice instead.
        RoleTooLow, KeyNotAllowed: see ``check``.
    """
    role = None if caller.user_id is None else role_in(session, team_id, caller.user_id)
    if caller.team_id not in (None, team_id) or (caller.user_id is not None and role is None):
        raise not_a_member()
    check(operation, caller, role)
    return Acting(caller, team_id, role)


def role_in(session: Session, team_id: UUID, user_id: UUID) -> Role | None:
    """A user's role in a living team; None for no member."""
    found = session.scalar(
        select(MemberRow.role)
        .join(TeamRow, TeamRow.id == MemberRow.team_id)
        .where(MemberRow.team_id == team_id, MemberRow.user_id == user_id, TeamRow.deleted_at.is_(None))
    )
    return None if found is None else Role(found)


def check_again(session: Session, acting: Acting) -> None:
    """Check, in the team's turn, that nobody has shut the caller out since it was let in: for what took a while.

    Raises:
        NotAMember: the user has left the team, or was removed; or the team was deleted.
        Unauthenticated: the key was revoked or has expired, or its team was deleted.
    """
    if acting.user_id is not None and role_in(session, acting.team_id, acting.user_id) is None:
        raise not_a_member()
    key = acting.caller.credential_id
    if key is not None and not is_valid_key(session, key):
        raise unauthenticated()


def not_a_member() -> problems.NotAMember:
    """One text for a foreign team and for one that does not exist."""
    return problems.NotAMember("You are not a member of this team.")


def _asked_team(headers: list[str]) -> UUID | None:
    if len(headers) != 1 or UUID_SHAPE.fullmatch(headers[0]) is None:
        return None
    return UUID(headers[0])


def _team_of_user(asked: UUID | None, headers: list[str], role: Role | None) -> UUID:
    if not headers:
        raise problems.TeamHeaderMissing("Say which team you mean: send its id in X-Team-ID.")
    if asked is None:
        raise problems.TeamHeaderMalformed("X-Team-ID must be one UUID.")
    if role is None:
        raise not_a_member()
    return asked
