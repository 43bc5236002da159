"""Teams and members over HTTP."""

from typing import Annotated

from fastapi import APIRouter

from modelyard.server.database.session import Db
from modelyard.server.identity.asked import PathId, uuid_of
from modelyard.server.identity.bearer import SignedIn
from modelyard.server.paging import AskedPage
from modelyard.server.problems import answers
from modelyard.server.teams import audit_routes, operations
from modelyard.server.teams.acting import REFUSALS, Acting, may
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.shapes import Created, Done, Updated
from modelyard.wire.teams import MemberList, NewTeam, RoleChange, Team, TeamChange, Transfer

router = APIRouter(tags=["teams"])
router.include_router(audit_routes.router)


@router.post(
    "/teams",
    status_code=201,
    operation_id="create_team",
    responses=answers(
        problems.Unauthenticated, problems.TwoCredentials, problems.KeyNotAllowed, problems.InvalidRequest
    ),
)
def create_team(new: NewTeam, caller: SignedIn, database: Db) -> Created:
    """Create a team and own it."""
    with database.writing() as session:
        return Created(id=operations.create_own_team(session, caller, new.display_name).id)


@router.get("/teams/current", operation_id="get_team", responses=answers(*REFUSALS, problems.TeamNotFound))
def get_team(acting: Annotated[Acting, may(Operation.TEAM_READ)], database: Db) -> Team:
    """Get the team, its settings and how much it stores."""
    with database.reading() as session:
        return operations.shown_team(session, acting)


@router.put(
    "/teams/current",
    operation_id="change_team",
    responses=answers(*REFUSALS, problems.TeamNotFound, problems.InvalidRequest),
)
def change_team(change: TeamChange, acting: Annotated[Acting, may(Operation.TEAM_CHANGE)], database: Db) -> Updated:
    """Change the team's name or settings."""
    with database.writing(acting.team_id) as session:
        return Updated(id=operations.change_team(session, acting, change).id)


@router.delete(
    "/teams/current",
    status_code=204,
    operation_id="delete_team",
    responses=answers(*REFUSALS, problems.TeamNotFound),
)
def delete_team(acting: Annotated[Acting, may(Operation.TEAM_DELETE)], database: Db) -> None:
    """Delete the team; the operator can restore it within 7 days."""
    with database.writing(acting.team_id) as session:
        operations.delete_team(session, acting)


@router.post(
    "/teams/current/transfer",
    operation_id="transfer_team",
    responses=answers(*REFUSALS, problems.TeamNotFound, problems.MemberNotFound, problems.InvalidRequest),
)
def transfer_team(asked: Transfer, acting: Annotated[Acting, may(Operation.TEAM_TRANSFER)], database: Db) -> Done:
    """Make another member the owner."""
    with database.writing(acting.team_id) as session:
        operations.transfer_team(session, acting, asked.new_owner_id)
    return Done()


@router.get("/members", operation_id="list_members", responses=answers(*REFUSALS, problems.InvalidRequest))
def list_members(page: AskedPage, acting: Annotated[Acting, may(Operation.MEMBERS_LIST)], database: Db) -> MemberList:
    """List the team's members, oldest first."""
    with database.reading() as session:
        return operations.list_members(session, acting, page)


@router.put(
    "/members/{user_id}",
    operation_id="change_role",
    responses=answers(
        *REFUSALS, problems.OwnRole, problems.OwnerStays, problems.MemberNotFound, problems.InvalidRequest
    ),
)
def change_role(
    user_id: PathId, change: RoleChange, acting: Annotated[Acting, may(Operation.MEMBERS_CHANGE)], database: Db
) -> Done:
    """Change a member's role."""
    member_id = uuid_of(user_id, operations.member_not_found())
    with database.writing(acting.team_id) as session:
        operations.change_role(session, acting, member_id, change.member_role)
    return Done()


@router.delete(
    "/members/{user_id}",
    status_code=204,
    operation_id="remove_member",
    responses=answers(*REFUSALS, problems.OwnerStays, problems.MemberNotFound),
)
def remove_member(user_id: PathId, acting: Annotated[Acting, may(Operation.MEMBERS_REMOVE)], database: Db) -> None:
    """Remove a member, or leave the team."""
    member_id = uuid_of(user_id, operations.member_not_found())
    with database.writing(acting.team_id) as session:
        operations.remove_member(session, acting, member_id)
