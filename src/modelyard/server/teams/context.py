"""The team context: a caller in one team with a role, and the checks that produce it from a request.

The team comes from a membership or from the key's row, never from the header alone: ``X-Team-ID`` only chooses among
a user's memberships, and for keys it is not even read.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Request
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import Actor
from modelyard.server.database.session import Db
from modelyard.server.fairness.accounts import Account
from modelyard.server.http.params import UUID_SHAPE
from modelyard.server.identity.authentication import (
    CALLER_QUERIES,
    BearerToken,
    Caller,
    CallerQueries,
    authenticate,
    build_unauthenticated_problem,
    is_valid_key,
    list_valid_key_hashes,
    run_authentication,
)
from modelyard.server.identity.state import Identity, IdentityState
from modelyard.server.identity.tables import CredentialRow, UserRow
from modelyard.server.teams.permissions import (
    EDIT_EVERY_ROLE,
    Operation,
    build_role_too_low_problem,
    check_permission,
)
from modelyard.server.teams.tables import MemberRow, TeamRow
from modelyard.wire import problems
from modelyard.wire.people.roles import Role

# The problems that `require_permission` can raise; routes document them along with their own.
ACCESS_PROBLEMS: tuple[type[problems.Problem], ...] = (
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
class TeamContext:
    """A caller in a team. ``role`` is the role of the user behind the caller; None for integrations and agents.

    ``responsible_role`` is the role of the user who is responsible for a key; None if the caller is no key.
    """

    caller: Caller
    team_id: UUID
    role: Role | None
    responsible_role: Role | None = None

    @property
    def user_id(self) -> UUID | None:
        """The user behind the caller: the signed-in user, or the one that a device acts for."""
        return self.caller.user_id

    @property
    def account(self) -> Account:
        """The account that the caller's requests are charged to."""
        return Account(self.caller.person_id, self.team_id)

    @property
    def actor(self) -> Actor:
        """The caller as the audit trail names it."""
        return self.caller.actor

    @property
    def creator(self) -> Actor:
        """The creator that is stored with new objects: for a device, the user that it acts for."""
        return Actor(self.caller.kind, self.caller.user_id or self.caller.credential_id, self.caller.display_name)

    def is_at_least(self, role: Role) -> bool:
        """Return whether the user behind the caller has this role or a higher one; False without a user."""
        return self.role is not None and self.role.rank >= role.rank

    def require_role(self, role: Role) -> None:
        """Check that the user behind the caller has at least this role.

        Raises:
            KeyNotAllowed: the caller is a key without a user.
            RoleTooLow: the user has a lower role.
        """
        if self.role is None:
            raise problems.KeyNotAllowed("This key cannot do this, because it acts for no user. Sign in as a user.")
        if not self.is_at_least(role):
            raise build_role_too_low_problem(role)

    def owns(self, created_by_kind: str, created_by_id: UUID | None) -> bool:
        """Return whether the user behind the caller created an object; False if an integration created it."""
        return self.user_id is not None and created_by_kind in ("user", "device") and created_by_id == self.user_id

    def may_change(self, created_by_kind: str, created_by_id: UUID | None) -> bool:
        """Return whether the caller may change an object: members their own, admins and integration keys every one."""
        return (
            self.caller.kind == "integration"
            or self.is_at_least(EDIT_EVERY_ROLE)
            or self.owns(created_by_kind, created_by_id)
        )


_select_user_role = (
    select(MemberRow.role)
    .join(TeamRow, TeamRow.id == MemberRow.team_id)
    .where(
        MemberRow.team_id == bindparam("requested_team_id"),
        MemberRow.user_id == UserRow.id,
        TeamRow.deleted_at.is_(None),
    )
    .correlate(UserRow)
    .scalar_subquery()
)
_select_device_role = (
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
_QUERIES_WITH_ROLE = CallerQueries(
    sign_in=CALLER_QUERIES.sign_in.add_columns(_select_user_role.label("role")),
    key=CALLER_QUERIES.key.add_columns(_select_device_role.label("role")),
)


def require_permission(operation: Operation) -> Any:
    """Return the dependency of a route: a ``TeamContext`` with this permission, checked before the body is read.

    Use it as ``team: Annotated[TeamContext, require_permission(Operation.MODELS_READ)]``.
    """

    async def resolve(
        request: Request, token: BearerToken, database: Db, identity: IdentityState, _x_team_id: TeamHeader = None
    ) -> TeamContext:
        """Authenticate the request, and return its team context if the caller has the permission."""

        def check() -> TeamContext:
            with database.reading() as session:
                return resolve_team_context(session, identity, token, request.headers.getlist("x-team-id"))

        team = await run_authentication(request, token, check)
        check_permission(operation, team.caller, team.role)
        return team

    return Depends(resolve)


def resolve_team_context(session: Session, identity: Identity, token: str, team_headers: list[str]) -> TeamContext:
    """Authenticate a token and return its caller, team and role. Permissions are not checked: see ``check_permission``.

    ``team_headers`` are the values of ``X-Team-ID``: they choose among a user's teams and are ignored for keys. The use
    of a key is noted in memory, and written later.

    Raises:
        Unauthenticated: see ``authenticate``; or the team of a key was deleted, or the user of a signed-in device has
            left it.
        TeamHeaderMissing: a user sent no team.
        TeamHeaderMalformed: a user sent two values, or one that is no UUID.
        NotAMember: the user is no member of that team, or the team does not exist.
    """
    requested_team_id = _parse_team_header(team_headers)
    caller, row = authenticate(session, identity, token, _QUERIES_WITH_ROLE, requested_team_id=requested_team_id)
    role = None if row.role is None else Role(row.role)
    if caller.kind == "user":
        return TeamContext(caller, _get_user_team(requested_team_id, team_headers, role), role)
    if caller.team_id is None or (caller.kind == "device" and role is None):
        raise build_unauthenticated_problem()
    return TeamContext(caller, caller.team_id, role if caller.kind == "device" else None, responsible_role=role)


def resolve_team_context_by_id(session: Session, caller: Caller, team_id: UUID, operation: Operation) -> TeamContext:
    """Return the caller's context in the team of an object, where the object and not the header says the team.

    Raises:
        NotAMember: the caller does not belong to this team. Operations that must not reveal that the object exists
            turn this into a 404.
        RoleTooLow, KeyNotAllowed: see ``check_permission``.
    """
    role = None if caller.user_id is None else find_role(session, team_id, caller.user_id)
    if caller.team_id not in (None, team_id) or (caller.user_id is not None and role is None):
        raise build_not_a_member_problem()
    check_permission(operation, caller, role)
    return TeamContext(caller, team_id, role)


def find_role(session: Session, team_id: UUID, user_id: UUID) -> Role | None:
    """Return a user's role in a team; None if the user is no member or the team was deleted."""
    row = session.scalar(
        select(MemberRow.role)
        .join(TeamRow, TeamRow.id == MemberRow.team_id)
        .where(MemberRow.team_id == team_id, MemberRow.user_id == user_id, TeamRow.deleted_at.is_(None))
    )
    return None if row is None else Role(row)


def reload_team_context(session: Session, team: TeamContext, operation: Operation) -> TeamContext:
    """Check inside the team's write transaction that the caller may still do an operation; return the context of now.

    Needed by requests that run long between authentication and their write, and by jobs that act for a person later:
    a member who became a viewer meanwhile changes nothing. A user's session is not checked again.

    Raises:
        NotAMember: the user left the team or was removed, or the team was deleted.
        RoleTooLow, KeyNotAllowed: see ``check_permission``.
        Unauthenticated: the key was revoked or has expired, or a request's secret was rotated and its grace is over;
            its user has lost the role that it depends on; or its team was deleted.
    """
    role = None if team.user_id is None else find_role(session, team.team_id, team.user_id)
    if team.user_id is not None and role is None:
        raise build_not_a_member_problem()
    if not _has_valid_key(session, team.caller):
        raise build_unauthenticated_problem()
    check_permission(operation, team.caller, role)
    return replace(team, role=role)


def _has_valid_key(session: Session, caller: Caller) -> bool:
    """Return whether the secret of a caller is accepted now, or of a job, which has none, its key; true of a user."""
    if caller.key_hash is not None:
        return bool(list_valid_key_hashes(session, [caller.key_hash]))
    return caller.credential_id is None or is_valid_key(session, caller.credential_id)


def build_not_a_member_problem() -> problems.NotAMember:
    """Return the same problem for another team and for one that does not exist."""
    return problems.NotAMember("You are not a member of this team.")


def _parse_team_header(headers: list[str]) -> UUID | None:
    """Return the team id of the header; None unless there is exactly one value and it is a UUID."""
    if len(headers) != 1 or UUID_SHAPE.fullmatch(headers[0]) is None:
        return None
    return UUID(headers[0])


def _get_user_team(requested_team_id: UUID | None, headers: list[str], role: Role | None) -> UUID:
    """Return the team that a user chose with ``X-Team-ID``.

    Raises:
        TeamHeaderMissing, TeamHeaderMalformed, NotAMember: see ``resolve_team_context``.
    """
    if not headers:
        raise problems.TeamHeaderMissing("The request names no team. Send the team's id in the header X-Team-ID.")
    if requested_team_id is None:
        raise problems.TeamHeaderMalformed("X-Team-ID must be one UUID.")
    if role is None:
        raise build_not_a_member_problem()
    return requested_team_id
