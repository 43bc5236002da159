"""``/collections``: create, list, read, change, delete, versions, subscriptions; ``/models/{model_id}/collections``."""

from typing import Annotated

from fastapi import Path, Query, Response, status

from modelyard.server.collections import changes, deletion, operations, pins, subscriptions, uses, versions
from modelyard.server.collections.due_machines import writing_changes
from modelyard.server.collections.lookup import parse_collection_id
from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.paging import PageParams
from modelyard.server.http.params import PathId
from modelyard.server.http.problems import answers
from modelyard.server.models.operations import parse_model_id
from modelyard.server.models.routes import IfMatch
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.collections import (
    Collection,
    CollectionList,
    CollectionOfModelList,
    CollectionUpdate,
    CollectionVersion,
    CollectionVersionList,
    CreatedCollectionVersion,
    NewCollection,
    NewCollectionVersion,
    NewSubscription,
    SubscriptionList,
)
from modelyard.wire.collections.changes import CollectionChanges
from modelyard.wire.schemas import Created, Updated
from modelyard.wire.versions import MAX_VERSION

router = ApiRouter("collections")
model_router = ApiRouter("models", prefix="/models")

Reading = Annotated[TeamContext, require_permission(Operation.COLLECTIONS_READ)]
Editing = Annotated[TeamContext, require_permission(Operation.COLLECTIONS_EDIT)]
EditingModels = Annotated[TeamContext, require_permission(Operation.MODELS_EDIT)]
Subscribing = Annotated[TeamContext, require_permission(Operation.COLLECTIONS_SUBSCRIBE)]
# A string for the framework, so that a malformed number is answered as a missing version.
PathVersion = Annotated[
    str, Path(json_schema_extra={"type": "integer", "minimum": 1, "maximum": MAX_VERSION}, examples=[2])
]
Since = Annotated[
    int | None,
    Query(
        ge=1,
        le=MAX_VERSION,
        description="The version to compare it with, by default the one before it; it may be a later one.",
        examples=[1],
    ),
]
FIND_PROBLEMS = (*ACCESS_PROBLEMS, problems.CollectionNotFound)


@model_router.delete(
    "/{model_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=answers(
        *ACCESS_PROBLEMS, problems.ModelNotFound, problems.RecordStale, problems.ModelPinned, problems.InvalidRequest
    ),
)
def delete_model(
    model_id: PathId,
    team: EditingModels,
    database: Db,
    if_match: IfMatch = None,
    force: Annotated[
        bool, Query(description="Delete it even if machines hold it by a pinned collection.", examples=[True])
    ] = False,
) -> None:
    """Move a model to the trash, from which it can be restored."""
    with database.writing(team.team_id) as session:
        pins.delete_model(session, team, parse_model_id(model_id), if_match, force=force)


@router.post(
    "/collections",
    operation_id="create_collection",
    status_code=status.HTTP_201_CREATED,
    responses=answers(
        *ACCESS_PROBLEMS, problems.CollectionNameTaken, problems.CollectionLimitReached, problems.InvalidRequest
    ),
)
def create_collection(new: NewCollection, team: Editing, database: Db) -> Created:
    """Create a collection."""
    return Created(id=operations.create_collection(database, team, new))


@router.get(
    "/collections",
    operation_id="list_collections",
    responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest),
)
def list_collections(team: Reading, database: Db, page: PageParams) -> CollectionList:
    """List the collections by name."""
    with database.reading() as session:
        return operations.list_collections(session, team, page)


@router.get("/collections/{collection_id}", operation_id="get_collection", responses=answers(*FIND_PROBLEMS))
def get_collection(collection_id: PathId, team: Reading, database: Db) -> Collection:
    """Read a collection with the models of its newest version."""
    with database.reading() as session:
        return operations.get_collection(session, team, parse_collection_id(collection_id))


@router.put(
    "/collections/{collection_id}",
    operation_id="update_collection",
    responses=answers(*FIND_PROBLEMS, problems.CollectionNameTaken, problems.InvalidRequest),
)
def update_collection(collection_id: PathId, change: CollectionUpdate, team: Editing, database: Db) -> Updated:
    """Change the name or note of a collection."""
    parsed_id = parse_collection_id(collection_id)
    with writing_changes(database, team.team_id) as session:
        return Updated(id=operations.update_collection(session, team, parsed_id, change))


@router.delete(
    "/collections/{collection_id}",
    operation_id="delete_collection",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=answers(*FIND_PROBLEMS),
)
def delete_collection(collection_id: PathId, team: Editing, database: Db) -> None:
    """Delete a collection with all of its versions; its models stay."""
    parsed_id = parse_collection_id(collection_id)
    deletion.delete_collection(database, team, parsed_id)


@router.get(
    "/collections/{collection_id}/versions",
    operation_id="list_collection_versions",
    responses=answers(*FIND_PROBLEMS, problems.InvalidRequest),
)
def list_collection_versions(
    collection_id: PathId, team: Reading, database: Db, page: PageParams
) -> CollectionVersionList:
    """List the versions of a collection, newest first."""
    with database.reading() as session:
        return versions.list_versions(session, team, parse_collection_id(collection_id), page)


@router.post(
    "/collections/{collection_id}/versions",
    operation_id="create_collection_version",
    status_code=status.HTTP_201_CREATED,
    responses=answers(
        *FIND_PROBLEMS,
        problems.VersionConflict,
        problems.CollectionLimitReached,
        problems.InvalidRequest,
        also={200: {"model": CreatedCollectionVersion, "description": "The newest version has these models already."}},
    ),
)
def create_collection_version(
    collection_id: PathId, new: NewCollectionVersion, team: Editing, database: Db, response: Response
) -> CreatedCollectionVersion:
    """Make the next version of a collection."""
    parsed_id = parse_collection_id(collection_id)
    added = versions.add_version(database, team, parsed_id, new)
    if not added.is_new:
        response.status_code = status.HTTP_200_OK
    return CreatedCollectionVersion(id=parsed_id, version=added.number)


@router.get(
    "/collections/{collection_id}/versions/{version}",
    operation_id="get_collection_version",
    responses=answers(*FIND_PROBLEMS, problems.CollectionVersionNotFound),
)
def get_collection_version(
    collection_id: PathId, version: PathVersion, team: Reading, database: Db
) -> CollectionVersion:
    """Read a version of a collection with its models."""
    parsed_id, number = parse_collection_id(collection_id), versions.parse_version_number(version)
    with database.reading() as session:
        return versions.get_version(session, team, parsed_id, number)


@router.get(
    "/collections/{collection_id}/versions/{version}/changes",
    operation_id="get_collection_changes",
    responses=answers(*FIND_PROBLEMS, problems.CollectionVersionNotFound, problems.InvalidRequest),
)
def get_collection_changes(
    collection_id: PathId, version: PathVersion, team: Reading, database: Db, since: Since = None
) -> CollectionChanges:
    """Compare a version of a collection with another one."""
    parsed_id, number = parse_collection_id(collection_id), versions.parse_version_number(version)
    with database.reading() as session:
        return changes.get_changes(session, team, parsed_id, number, since)


@router.get(
    "/collections/{collection_id}/subscriptions",
    operation_id="list_subscriptions",
    responses=answers(*FIND_PROBLEMS, problems.InvalidRequest),
)
def list_subscriptions(collection_id: PathId, team: Reading, database: Db, page: PageParams) -> SubscriptionList:
    """List the machines and labels that are subscribed to a collection."""
    with database.reading() as session:
        return subscriptions.list_subscriptions(session, team, parse_collection_id(collection_id), page)


@router.post(
    "/collections/{collection_id}/subscriptions",
    operation_id="create_subscription",
    status_code=status.HTTP_201_CREATED,
    responses=answers(
        *FIND_PROBLEMS,
        problems.InvalidRequest,
        also={200: {"model": Created, "description": "It is subscribed already."}},
    ),
)
def create_subscription(
    collection_id: PathId, new: NewSubscription, team: Subscribing, database: Db, response: Response
) -> Created:
    """Subscribe a machine, or all machines with a label, to a collection."""
    parsed_id = parse_collection_id(collection_id)
    with writing_changes(database, team.team_id) as session:
        subscribed = subscriptions.subscribe(session, team, parsed_id, new)
    if not subscribed.is_new:
        response.status_code = status.HTTP_200_OK
    return Created(id=subscribed.id)


@router.delete(
    "/collections/{collection_id}/subscriptions/{subscription_id}",
    operation_id="delete_subscription",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=answers(*FIND_PROBLEMS, problems.SubscriptionNotFound),
)
def delete_subscription(collection_id: PathId, subscription_id: PathId, team: Subscribing, database: Db) -> None:
    """End a subscription: machines lose the models that only it gave them."""
    parsed_id = parse_collection_id(collection_id)
    parsed_subscription = subscriptions.parse_subscription_id(subscription_id)
    with writing_changes(database, team.team_id) as session:
        subscriptions.unsubscribe(session, team, parsed_id, parsed_subscription)


@router.get(
    "/models/{model_id}/collections",
    operation_id="list_model_collections",
    responses=answers(*ACCESS_PROBLEMS, problems.ModelNotFound, problems.InvalidRequest),
)
def list_model_collections(model_id: PathId, team: Reading, database: Db, page: PageParams) -> CollectionOfModelList:
    """List the collections whose newest version, or one that subscribed machines get, has a model."""
    with database.reading() as session:
        return uses.list_collections_of_model(session, team, parse_model_id(model_id), page)
