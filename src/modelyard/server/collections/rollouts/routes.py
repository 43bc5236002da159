"""``/collections/{collection_id}/rollouts``: start, list, read, approve, stop, roll back."""

from typing import Annotated

from fastapi import Body, Response, status

from modelyard.server.collections.due_machines import writing_changes
from modelyard.server.collections.lookup import parse_collection_id
from modelyard.server.collections.rollouts import advancing, operations
from modelyard.server.collections.rollouts.lookup import parse_rollout_id
from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.paging import PageParams
from modelyard.server.http.params import PathId
from modelyard.server.http.problems import answers
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.collections.rollouts import NewRollout, Rollout, RolloutApproval, RolloutList
from modelyard.wire.schemas import Created, Updated

router = ApiRouter("collections")

Reading = Annotated[TeamContext, require_permission(Operation.COLLECTIONS_READ)]
RollingOut = Annotated[TeamContext, require_permission(Operation.COLLECTIONS_SUBSCRIBE)]
Approval = Annotated[RolloutApproval, Body(description="May be absent.")]
_PLAIN_APPROVAL = RolloutApproval()
LIST_PROBLEMS = (*ACCESS_PROBLEMS, problems.CollectionNotFound)
FIND_PROBLEMS = (*LIST_PROBLEMS, problems.RolloutNotFound)


@router.post(
    "/collections/{collection_id}/rollouts",
    operation_id="start_rollout",
    status_code=status.HTTP_201_CREATED,
    responses=answers(
        *LIST_PROBLEMS,
        problems.RolloutConflict,
        problems.InvalidRequest,
        also={200: {"model": Created, "description": "The same roll-out is running already."}},
    ),
)
def start_rollout(
    collection_id: PathId, new: NewRollout, team: RollingOut, database: Db, response: Response
) -> Created:
    """Roll out a version of a collection: first to machines with a label, then to all that are subscribed."""
    parsed_id = parse_collection_id(collection_id)
    with writing_changes(database, team.team_id) as session:
        started = operations.start_rollout(session, team, parsed_id, new)
    if not started.is_new:
        response.status_code = status.HTTP_200_OK
    return Created(id=started.id)


@router.get(
    "/collections/{collection_id}/rollouts",
    operation_id="list_rollouts",
    responses=answers(*LIST_PROBLEMS, problems.InvalidRequest),
)
def list_rollouts(collection_id: PathId, team: Reading, database: Db, page: PageParams) -> RolloutList:
    """List the roll-outs of a collection, newest first."""
    with database.reading() as session:
        return operations.list_rollouts(session, team, parse_collection_id(collection_id), page)


@router.get(
    "/collections/{collection_id}/rollouts/{rollout_id}",
    operation_id="get_rollout",
    responses=answers(*FIND_PROBLEMS),
)
def get_rollout(collection_id: PathId, rollout_id: PathId, team: Reading, database: Db) -> Rollout:
    """Read a roll-out with the state of its machines."""
    ids = parse_collection_id(collection_id), parse_rollout_id(rollout_id)
    with database.reading() as session:
        return operations.get_rollout(session, team, *ids)


@router.post(
    "/collections/{collection_id}/rollouts/{rollout_id}/approve",
    operation_id="approve_rollout",
    responses=answers(*FIND_PROBLEMS, problems.RolloutConflict, problems.InvalidRequest),
)
def approve_rollout(
    collection_id: PathId, rollout_id: PathId, team: RollingOut, database: Db, approval: Approval = _PLAIN_APPROVAL
) -> Updated:
    """Let a roll-out go on from the canaries to all subscribed machines."""
    ids = parse_collection_id(collection_id), parse_rollout_id(rollout_id)
    return Updated(id=advancing.approve_rollout(database, team, *ids, without_canaries=approval.without_canaries))


@router.post(
    "/collections/{collection_id}/rollouts/{rollout_id}/stop",
    operation_id="stop_rollout",
    responses=answers(*FIND_PROBLEMS, problems.RolloutConflict),
)
def stop_rollout(collection_id: PathId, rollout_id: PathId, team: RollingOut, database: Db) -> Updated:
    """Stop a roll-out: machines keep the version that they got."""
    ids = parse_collection_id(collection_id), parse_rollout_id(rollout_id)
    with database.writing(team.team_id) as session:
        return Updated(id=operations.stop_rollout(session, team, *ids))


@router.post(
    "/collections/{collection_id}/rollouts/{rollout_id}/roll-back",
    operation_id="roll_back_rollout",
    responses=answers(*FIND_PROBLEMS, problems.RolloutConflict),
)
def roll_back_rollout(collection_id: PathId, rollout_id: PathId, team: RollingOut, database: Db) -> Updated:
    """Give all subscribed machines the version before a roll-out."""
    ids = parse_collection_id(collection_id), parse_rollout_id(rollout_id)
    with writing_changes(database, team.team_id) as session:
        return Updated(id=operations.roll_back(session, team, *ids))
