"""``/trusted-files`` and the findings of a version: allow pickle files that the scan has refused."""

from typing import Annotated

from fastapi import Path, status

from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.paging import PageParams
from modelyard.server.http.params import PathId
from modelyard.server.http.problems import answers
from modelyard.server.models.operations import parse_model_id
from modelyard.server.models.trusted_files import operations
from modelyard.server.models.version_routes import FIND_PROBLEMS, PathVersion
from modelyard.server.models.versions.operations import parse_version_number
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.pickles.trusted_files import NewTrustedFile, TrustedFile, TrustedFileList, VersionFindings
from modelyard.wire.schemas import EXAMPLE_HASH

router = ApiRouter("trusted files")

Reading = Annotated[TeamContext, require_permission(Operation.TRUSTED_FILES_READ)]
Changing = Annotated[TeamContext, require_permission(Operation.TRUSTED_FILES_CHANGE)]
# A string for the framework, so that a malformed hash is answered as a missing file.
PathHash = Annotated[
    str,
    Path(
        description="The SHA-256, with or without `sha256:`.",
        json_schema_extra={"pattern": "^(sha256:)?[0-9a-fA-F]{64}$"},
        examples=[EXAMPLE_HASH],
    ),
]
_FIND = (*ACCESS_PROBLEMS, problems.TrustedFileNotFound)


@router.get("/models/{model_id}/versions/{version}/findings", responses=answers(*FIND_PROBLEMS))
def get_version_findings(model_id: PathId, version: PathVersion, team: Reading, database: Db) -> VersionFindings:
    """Read what the pickle scan found in the file of a version."""
    with database.reading() as session:
        return operations.get_findings(session, team, parse_model_id(model_id), parse_version_number(version))


@router.get("/trusted-files", responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest))
def list_trusted_files(team: Reading, database: Db, page: PageParams) -> TrustedFileList:
    """List the files that admins have allowed, newest first."""
    with database.reading() as session:
        return operations.list_files(session, team, page)


@router.get("/trusted-files/{sha256}", responses=answers(*_FIND))
def get_trusted_file(sha256: PathHash, team: Reading, database: Db) -> TrustedFile:
    """Read a file that an admin has allowed."""
    with database.reading() as session:
        return operations.build_trusted_file(operations.find_file(session, team, operations.parse_sha256(sha256)))


@router.put("/trusted-files/{sha256}", responses=answers(*_FIND, problems.TrustNotAllowed, problems.InvalidRequest))
def allow_file(sha256: PathHash, new: NewTrustedFile, team: Changing, database: Db) -> TrustedFile:
    """Allow a file that the pickle scan has refused: its failed versions are verified again."""
    return operations.allow_file(database, team, operations.parse_sha256(sha256), new.reason)


@router.delete("/trusted-files/{sha256}", status_code=status.HTTP_204_NO_CONTENT, responses=answers(*_FIND))
def withdraw_trust(sha256: PathHash, team: Changing, database: Db) -> None:
    """Refuse new registrations of a file again; the versions that have it stay."""
    with database.writing(team.team_id) as session:
        operations.withdraw_trust(session, team, operations.parse_sha256(sha256))
