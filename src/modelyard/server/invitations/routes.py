"""HTTP routes of invitations."""

from typing import Annotated

from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.paging import PageParams
from modelyard.server.http.params import CurrentSettings, PathId, parse_uuid
from modelyard.server.http.problems import answers
from modelyard.server.identity.authentication import OptionalCaller
from modelyard.server.identity.state import IdentityState
from modelyard.server.invitations import operations
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.schemas import Done
from modelyard.wire.teams import (
    Acceptance,
    CreatedInvitation,
    InvitationList,
    InvitationPreview,
    InvitationToken,
    NewInvitation,
)

router = ApiRouter("invitations", prefix="/invitations")


@router.post(
    "",
    status_code=201,
    operation_id="create_invitation",
    responses=answers(
        *ACCESS_PROBLEMS,
        problems.TeamNotFound,
        problems.TooManyInvitations,
        problems.AlreadyMember,
        problems.AlreadyInvited,
        problems.InvalidRequest,
    ),
)
def create_invitation(
    new: NewInvitation,
    team: Annotated[TeamContext, require_permission(Operation.INVITE)],
    database: Db,
    settings: CurrentSettings,
) -> CreatedInvitation:
    """Invite a user. The registry sends no mail: pass the returned token on."""
    with database.writing(team.team_id) as session:
        return operations.create_invitation(session, team, new, settings)


@router.get("", operation_id="list_invitations", responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest))
def list_invitations(
    page: PageParams, team: Annotated[TeamContext, require_permission(Operation.INVITE)], database: Db
) -> InvitationList:
    """List the open invitations, newest first."""
    with database.reading() as session:
        return operations.list_invitations(session, team, page)


@router.delete(
    "/{invitation_id}",
    status_code=204,
    operation_id="delete_invitation",
    responses=answers(*ACCESS_PROBLEMS, problems.InvitationNotFound),
)
def delete_invitation(
    invitation_id: PathId, team: Annotated[TeamContext, require_permission(Operation.INVITE)], database: Db
) -> None:
    """Withdraw an open invitation."""
    parsed_id = parse_uuid(invitation_id, operations.build_invitation_not_found_problem())
    with database.writing(team.team_id) as session:
        operations.withdraw_invitation(session, team, parsed_id)


@router.post(
    "/preview",
    operation_id="preview_invitation",
    responses=answers(problems.InvitationNotFound, problems.InvalidRequest),
)
def preview_invitation(body: InvitationToken, database: Db) -> InvitationPreview:
    """Get an open invitation by its token, before accepting it."""
    with database.reading() as session:
        return operations.preview_invitation(session, body.invitation_token)


@router.post(
    "/accept",
    operation_id="accept_invitation",
    responses=answers(
        problems.Unauthenticated,
        problems.TwoCredentials,
        problems.KeyNotAllowed,
        problems.InvitationNotFound,
        problems.AlreadyMember,
        problems.AccountExists,
        problems.InvalidRequest,
    ),
)
def accept_invitation(acceptance: Acceptance, caller: OptionalCaller, database: Db, identity: IdentityState) -> Done:
    """Join a team, as the signed-in user or with a new account."""
    operations.accept_invitation(database, identity, acceptance, caller)
    return Done()
