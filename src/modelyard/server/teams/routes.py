"""HTTP routes of teams and members."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Query

from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.paging import PageParams
from modelyard.server.http.params import CurrentSettings, PathId, parse_uuid
from modelyard.server.http.problems import answers
from modelyard.server.identity.authentication import AuthenticatedCaller
from modelyard.server.teams import operations
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.server.teams.role_dependents import KeysChoice
from modelyard.wire import problems
from modelyard.wire.schemas import EXAMPLE_ID, Created, Done, Updated
from modelyard.wire.teams import MemberList, NewTeam, RoleChange, Team, TeamUpdate, Transfer


async def _parse_keys_choice(
    keys_to: Annotated[
        UUID | None,
        Query(description="Hand the keys that the member made to this admin or owner.", examples=[EXAMPLE_ID]),
    ] = None,
    keys: Annotated[
        Literal["stop"] | None, Query(description="`stop` revokes the keys that the member made.", examples=["stop"])
    ] = None,
) -> KeysChoice:
    """Return the choice from the query parameters.

    Raises:
        InvalidRequest: both parameters were given.
    """
    if keys_to is not None and keys is not None:
        raise problems.InvalidRequest.for_field("keys", "Give 'keys_to' or 'keys', not both")
    return KeysChoice(keys_to, stop=keys == "stop")


# Whether the keys of a member who loses the right to create keys are handed over or revoked.
KeysChoiceQuery = Annotated[KeysChoice, Depends(_parse_keys_choice)]

team_router = ApiRouter("teams")
member_router = ApiRouter("members")


@team_router.post(
    "/teams",
    status_code=201,
    operation_id="create_team",
    responses=answers(
        problems.Unauthenticated,
        problems.TwoCredentials,
        problems.KeyNotAllowed,
        problems.TooManyTeams,
        problems.InvalidRequest,
    ),
)
def create_team(new: NewTeam, caller: AuthenticatedCaller, database: Db, settings: CurrentSettings) -> Created:
    """Create a team and own it."""
    with database.writing() as session:
        return Created(id=operations.create_own_team(session, caller, new.display_name, settings.max_teams).id)


@team_router.get("/teams/current", operation_id="get_team", responses=answers(*ACCESS_PROBLEMS, problems.TeamNotFound))
def get_team(team: Annotated[TeamContext, require_permission(Operation.TEAM_READ)], database: Db) -> Team:
    """Get the team with its settings and the bytes that it stores."""
    with database.reading() as session:
        return operations.get_team(session, team)


@team_router.put(
    "/teams/current",
    operation_id="update_team",
    responses=answers(*ACCESS_PROBLEMS, problems.TeamNotFound, problems.InvalidRequest, problems.LoadersChanged),
)
def update_team(
    change: TeamUpdate, team: Annotated[TeamContext, require_permission(Operation.TEAM_CHANGE)], database: Db
) -> Updated:
    """Change the team's name or settings."""
    with database.writing(team.team_id) as session:
        return Updated(id=operations.update_team(session, team, change).id)


@team_router.delete(
    "/teams/current",
    status_code=204,
    operation_id="delete_team",
    responses=answers(*ACCESS_PROBLEMS, problems.TeamNotFound),
)
def delete_team(team: Annotated[TeamContext, require_permission(Operation.TEAM_DELETE)], database: Db) -> None:
    """Delete the team; the operator can restore it within 7 days."""
    with database.writing(team.team_id) as session:
        operations.delete_team(session, team)


@team_router.post(
    "/teams/current/transfer",
    operation_id="transfer_team",
    responses=answers(*ACCESS_PROBLEMS, problems.TeamNotFound, problems.MemberNotFound, problems.InvalidRequest),
)
def transfer_team(
    transfer: Transfer, team: Annotated[TeamContext, require_permission(Operation.TEAM_TRANSFER)], database: Db
) -> Done:
    """Make another member the owner."""
    with database.writing(team.team_id) as session:
        operations.transfer_team(session, team, transfer.new_owner_id)
    return Done()


@member_router.get(
    "/members", operation_id="list_members", responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest)
)
def list_members(
    page: PageParams, team: Annotated[TeamContext, require_permission(Operation.MEMBERS_LIST)], database: Db
) -> MemberList:
    """List the team's members, oldest first."""
    with database.reading() as session:
        return operations.list_members(session, team, page)


@member_router.put(
    "/members/{user_id}",
    operation_id="update_member",
    responses=answers(
        *ACCESS_PROBLEMS,
        problems.OwnRole,
        problems.OwnerStays,
        problems.MemberNotFound,
        problems.KeysWouldStop,
        problems.InvalidRequest,
    ),
)
def update_member(
    user_id: PathId,
    change: RoleChange,
    team: Annotated[TeamContext, require_permission(Operation.MEMBERS_CHANGE)],
    database: Db,
    keys: KeysChoiceQuery,
) -> Done:
    """Change a member's role."""
    member_id = parse_uuid(user_id, operations.build_member_not_found_problem())
    with database.writing(team.team_id) as session:
        operations.change_role(session, team, member_id, change.member_role, keys)
    return Done()


@member_router.delete(
    "/members/{user_id}",
    status_code=204,
    operation_id="remove_member",
    responses=answers(
        *ACCESS_PROBLEMS, problems.OwnerStays, problems.MemberNotFound, problems.KeysWouldStop, problems.InvalidRequest
    ),
)
def remove_member(
    user_id: PathId,
    team: Annotated[TeamContext, require_permission(Operation.MEMBERS_REMOVE)],
    database: Db,
    keys: KeysChoiceQuery,
) -> None:
    """Remove a member, or leave the team."""
    member_id = parse_uuid(user_id, operations.build_member_not_found_problem())
    with database.writing(team.team_id) as session:
        operations.remove_member(session, team, member_id, keys)
