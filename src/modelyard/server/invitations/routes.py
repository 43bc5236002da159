"""Invitations over HTTP."""

from typing import Annotated

from fastapi import APIRouter

from modelyard.server.database.session import Db
from modelyard.server.identity.asked import PathId, uuid_of
from modelyard.server.identity.bearer import SignedInOrNobody
from modelyard.server.identity.state import IdentityState
from modelyard.server.invitations import operations
from modelyard.server.paging import AskedPage
from modelyard.server.problems import answers
from modelyard.server.teams.acting import REFUSALS, Acting, may
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.shapes import Done
from modelyard.wire.teams import (
    Acceptance,
    InvitationList,
    InvitationMade,
    InvitationPreview,
    InvitationToken,
    NewInvitation,
)

router = APIRouter(prefix="/invitations", tags=["invitations"])


@router.post(
    "",
    status_code=201,
    operation_id="create_invitation",
    responses=answers(
        *REFUSALS,
        problems.TeamNotFound,
        problems.AlreadyMember,
        problems.AlreadyInvited,
        problems.InvalidRequest,
    ),
)
def create_invitation(
    new: NewInvitation, acting: Annotated[Acting, may(Operation.INVITE)], database: Db
) -> InvitationMade:
    """Invite somebody; hand them the token, for there is no mail server."""
    with database.writing(acting.team_id) as session:
        return operations.invite(session, acting, new)


@router.get("", operation_id="list_invitations", responses=answers(*REFUSALS, problems.InvalidRequest))
def list_invitations(page: AskedPage, acting: Annotated[Acting, may(Operation.INVITE)], database: Db) -> InvitationList:
    """List the open invitations, newest first."""
    with database.reading() as session:
        return operations.list_invitations(session, acting, page)


@router.delete(
    "/{invitation_id}",
    status_code=204,
    operation_id="delete_invitation",
    responses=answers(*REFUSALS, problems.InvitationNotFound),
)
def delete_invitation(invitation_id: PathId, acting: Annotated[Acting, may(Operation.INVITE)], database: Db) -> None:
    """Withdraw an open invitation."""
    asked_id = uuid_of(invitation_id, operations.invitation_not_found())
    with database.writing(acting.team_id) as session:
        operations.withdraw(session, acting, asked_id)


@router.post(
    "/preview",
    operation_id="preview_invitation",
    responses=answers(problems.InvitationNotFound, problems.InvalidRequest),
)
def preview_invitation(asked: InvitationToken, database: Db) -> InvitationPreview:
    """Read an open invitation that was handed over, before accepting it."""
    with database.reading() as session:
        return operations.preview(session, asked.invitation_token)


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
def accept_invitation(asked: Acceptance, caller: SignedInOrNobody, database: Db, identity: IdentityState) -> Done:
    """Join a team, as the signed-in user or with a new account."""
    operations.accept(database, identity, asked, caller)
    return Done()
