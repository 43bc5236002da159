"""``/models/{model_id}/versions``: list, read, annotate, activate, delete, restore."""

from typing import Annotated

from fastapi import Path, Query, status

from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.paging import PageParams
from modelyard.server.http.params import CurrentSettings, PathId
from modelyard.server.http.problems import answers
from modelyard.server.models import activation
from modelyard.server.models.operations import parse_model_id
from modelyard.server.models.routes import Objects
from modelyard.server.models.versions import operations
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.schemas import Done, Updated
from modelyard.wire.versions import MAX_VERSION, ModelVersion, VersionList, VersionUpdate

router = ApiRouter("versions", prefix="/models/{model_id}/versions")

Reading = Annotated[TeamContext, require_permission(Operation.VERSIONS_READ)]
Editing = Annotated[TeamContext, require_permission(Operation.MODELS_EDIT)]
Activating = Annotated[TeamContext, require_permission(Operation.VERSIONS_ACTIVATE)]
# A string for the framework, so that a malformed number is answered as a missing version.
PathVersion = Annotated[
    str, Path(json_schema_extra={"type": "integer", "minimum": 1, "maximum": MAX_VERSION}, examples=[3])
]
FIND_PROBLEMS = (*ACCESS_PROBLEMS, problems.ModelNotFound, problems.VersionNotFound)


@router.get(
    "",
    operation_id="list_versions",
    responses=answers(*ACCESS_PROBLEMS, problems.ModelNotFound, problems.InvalidRequest),
)
def list_versions(
    model_id: PathId,
    team: Reading,
    database: Db,
    settings: CurrentSettings,
    page: PageParams,
    deleted: Annotated[bool, Query(description="List the versions in the trash instead.", examples=[True])] = False,
) -> VersionList:
    """List the versions of a model."""
    with database.reading() as session:
        return operations.list_versions(
            session, team, parse_model_id(model_id), page, settings.trash_days, deleted=deleted
        )


@router.get("/{version}", operation_id="get_version", responses=answers(*FIND_PROBLEMS))
def get_version(
    model_id: PathId, version: PathVersion, team: Reading, database: Db, settings: CurrentSettings
) -> ModelVersion:
    """Read a version."""
    with database.reading() as session:
        number = operations.parse_version_number(version)
        return operations.get_version(session, team, parse_model_id(model_id), number, settings.trash_days)


@router.put("/{version}", operation_id="update_version", responses=answers(*FIND_PROBLEMS, problems.InvalidRequest))
def update_version(
    model_id: PathId, version: PathVersion, change: VersionUpdate, team: Editing, database: Db
) -> Updated:
    """Change the note of a version."""
    number = operations.parse_version_number(version)
    with database.writing(team.team_id) as session:
        return Updated(id=operations.update_version(session, team, parse_model_id(model_id), number, change))


@router.post(
    "/{version}/activate",
    operation_id="activate_version",
    responses=answers(*FIND_PROBLEMS, problems.ModelNotVerified, problems.ModelDamaged),
)
def activate_version(model_id: PathId, version: PathVersion, team: Activating, objects: Objects) -> Done:
    """Make a version the current one, which machines get."""
    number = operations.parse_version_number(version)
    activation.activate_version(objects, team, parse_model_id(model_id), number)
    return Done()


@router.delete(
    "/{version}",
    operation_id="delete_version",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=answers(*FIND_PROBLEMS, problems.VersionInUse),
)
def delete_version(model_id: PathId, version: PathVersion, team: Activating, database: Db) -> None:
    """Move a version to the trash, from which it can be restored."""
    number = operations.parse_version_number(version)
    with database.writing(team.team_id) as session:
        operations.delete_version(session, team, parse_model_id(model_id), number)


@router.post("/{version}/restore", operation_id="restore_version", responses=answers(*FIND_PROBLEMS))
def restore_version(model_id: PathId, version: PathVersion, team: Activating, database: Db) -> Done:
    """Restore a version from the trash."""
    number = operations.parse_version_number(version)
    with database.writing(team.team_id) as session:
        operations.restore_version(session, team, parse_model_id(model_id), number)
    return Done()
