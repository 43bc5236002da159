"""HTTP routes of keys."""

from typing import Annotated

from fastapi import Path, Query

from modelyard.server.credentials import operations
from modelyard.server.database.engine import NO_TEAM
from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.paging import PageParams
from modelyard.server.http.params import CurrentSettings, parse_uuid
from modelyard.server.http.problems import answers
from modelyard.server.identity.authentication import AuthenticatedCaller
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.credentials import (
    CreatedCredential,
    CredentialList,
    Kind,
    NewCredential,
    RotatedCredential,
    Rotation,
)
from modelyard.wire.schemas import EXAMPLE_ID, Done

CredentialId = Annotated[
    str,
    Path(description="The key's id, never the key.", json_schema_extra={"format": "uuid"}, examples=[EXAMPLE_ID]),
]
router = ApiRouter("credentials")


@router.post(
    "/credentials",
    status_code=201,
    operation_id="create_credential",
    responses=answers(*ACCESS_PROBLEMS, problems.TeamNotFound, problems.TooManyKeys, problems.InvalidRequest),
)
def create_credential(
    new: NewCredential,
    team: Annotated[TeamContext, require_permission(Operation.CREDENTIALS_CREATE)],
    database: Db,
    settings: CurrentSettings,
) -> CreatedCredential:
    """Create a key for a program or a machine; the raw key is returned once."""
    with database.reading() as session:
        operations.check_key_count(session, team.team_id, settings.max_keys)
    with database.writing(team.team_id) as session:
        return operations.create_credential(session, team, new)


@router.get(
    "/credentials", operation_id="list_credentials", responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest)
)
def list_credentials(
    page: PageParams,
    team: Annotated[TeamContext, require_permission(Operation.CREDENTIALS_LIST)],
    database: Db,
    kind: Annotated[Kind | None, Query(description="Only this kind.", examples=["integration"])] = None,
) -> CredentialList:
    """List the team's keys, newest first; below admin, those of what you paired."""
    with database.reading() as session:
        return operations.list_credentials(session, team, page, kind)


@router.delete(
    "/credentials/{credential_id}",
    status_code=204,
    operation_id="revoke_credential",
    responses=answers(*ACCESS_PROBLEMS, problems.CredentialIdMalformed, problems.CredentialNotFound),
)
def revoke_credential(
    credential_id: CredentialId,
    team: Annotated[TeamContext, require_permission(Operation.CREDENTIALS_REVOKE)],
    database: Db,
) -> None:
    """Revoke a key."""
    parsed_id = parse_uuid(credential_id, _build_malformed_id_problem())
    with database.writing(team.team_id) as session:
        operations.revoke_credential(session, team, parsed_id)


@router.post(
    "/credentials/{credential_id}/rotate",
    operation_id="rotate_credential",
    responses=answers(
        *ACCESS_PROBLEMS,
        problems.CredentialIdMalformed,
        problems.CredentialNotFound,
        problems.KeyNotRotatable,
        problems.InvalidRequest,
    ),
)
def rotate_credential(
    credential_id: CredentialId,
    rotation: Rotation,
    team: Annotated[TeamContext, require_permission(Operation.CREDENTIALS_ROTATE)],
    database: Db,
) -> RotatedCredential:
    """Replace a key's secret, which is returned once; the old one works for a grace time."""
    parsed_id = parse_uuid(credential_id, _build_malformed_id_problem())
    with database.writing(team.team_id) as session:
        return operations.rotate_credential(session, team, parsed_id, rotation)


def _build_malformed_id_problem() -> problems.CredentialIdMalformed:
    """Return the problem of a malformed id, without the sent text, which may be a whole key."""
    return problems.CredentialIdMalformed("The path takes a credential's id, not a key or its prefix.")


@router.post(
    "/auth/device/revoke",
    operation_id="revoke_device",
    responses=answers(problems.Unauthenticated, problems.TwoCredentials, problems.KeyNotAllowed),
)
def revoke_device(caller: AuthenticatedCaller, database: Db) -> Done:
    """Revoke the calling device's key and its agent's key."""
    with database.writing(caller.team_id or NO_TEAM) as session:
        operations.revoke_own_device(session, caller)
    return Done()
