"""Keys and pairing over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from modelyard.server.credentials import operations
from modelyard.server.database.engine import NO_TEAM
from modelyard.server.database.session import Db
from modelyard.server.identity.asked import uuid_of
from modelyard.server.identity.bearer import SignedIn
from modelyard.server.paging import AskedPage
from modelyard.server.problems import answers
from modelyard.server.teams.acting import REFUSALS, Acting, may
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.credentials import (
    CredentialList,
    CredentialMade,
    Kind,
    NewCredential,
)
from modelyard.wire.shapes import EXAMPLE_ID, Done

router = APIRouter(tags=["credentials"])


@router.post(
    "/credentials",
    status_code=201,
    operation_id="create_credential",
    responses=answers(*REFUSALS, problems.TeamNotFound, problems.InvalidRequest),
)
def create_credential(
    new: NewCredential, acting: Annotated[Acting, may(Operation.CREDENTIALS_CREATE)], database: Db
) -> CredentialMade:
    """Create a key for a program or a machine; it is shown once."""
    with database.writing(acting.team_id) as session:
        return operations.create_credential(session, acting, new)


@router.get("/credentials", operation_id="list_credentials", responses=answers(*REFUSALS, problems.InvalidRequest))
def list_credentials(
    page: AskedPage,
    acting: Annotated[Acting, may(Operation.CREDENTIALS_LIST)],
    database: Db,
    kind: Annotated[Kind | None, Query(description="Only this kind.", examples=["integration"])] = None,
) -> CredentialList:
    """List the team's keys, newest first; below admin, one's own device keys."""
    with database.reading() as session:
        return operations.list_credentials(session, acting, page, kind)


@router.delete(
    "/credentials/{credential_id}",
    status_code=204,
    operation_id="revoke_credential",
    responses=answers(*REFUSALS, problems.CredentialIdMalformed, problems.CredentialNotFound),
)
def revoke_credential(
    credential_id: Annotated[
        str,
        Path(description="The key's id, never the key.", json_schema_extra={"format": "uuid"}, examples=[EXAMPLE_ID]),
    ],
    acting: Annotated[Acting, may(Operation.CREDENTIALS_REVOKE)],
    database: Db,
) -> None:
    """Revoke a key."""
    # Not echoed: it may be a whole key.
    malformed = problems.CredentialIdMalformed("The path takes a credential's id, not a key or its prefix.")
    asked_id = uuid_of(credential_id, malformed)
    with database.writing(acting.team_id) as session:
        operations.revoke_credential(session, acting, asked_id)


@router.post(
    "/auth/device/revoke",
    operation_id="revoke_device",
    responses=answers(problems.Unauthenticated, problems.TwoCredentials, problems.KeyNotAllowed),
)
def revoke_device(caller: SignedIn, database: Db) -> Done:
    """End this device's key, and its agent's."""
    with database.writing(caller.team_id or NO_TEAM) as session:
        operations.revoke_own_device(session, caller)
    return Done()
