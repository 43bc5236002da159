"""The routes ``/agents`` for people, and ``/agent`` for the machines themselves."""

import hashlib
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response, status

from modelyard.server.agents import heartbeats, operations, replica_states
from modelyard.server.agents.operations import AgentFilter
from modelyard.server.agents.replica_states import ReplicaFilter
from modelyard.server.agents.state import FleetState
from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRoute
from modelyard.server.http.compression import accepts_encoding
from modelyard.server.http.paging import PageParams
from modelyard.server.http.params import CurrentSettings, PathId
from modelyard.server.http.problems import Answers, answers
from modelyard.server.models.operations import parse_model_id
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.agents import (
    AGENT_ID_PATTERN,
    EXAMPLE_AGENT,
    AgentList,
    AgentModelList,
    AgentStatus,
    AgentUpdate,
    Heartbeat,
    HeartbeatResponse,
    Manifest,
    ModelState,
    ModelStatesList,
)
from modelyard.wire.models import Label
from modelyard.wire.schemas import EXAMPLE_ID, Done, Schema

router = APIRouter(route_class=ApiRoute, tags=["agents"])

MAX_WAIT_SECONDS = 60
# As many as a page of models has.
MAX_MODELS = 100
NOT_MODIFIED: Answers = {304: {"description": "Nothing has changed since the response with this ETag."}}

Listing = Annotated[TeamContext, require_permission(Operation.AGENTS_LIST)]
Managing = Annotated[TeamContext, require_permission(Operation.AGENTS_MANAGE)]
AgentName = Annotated[str, Path(description="The machine's agent id.", examples=[EXAMPLE_AGENT])]
IfNoneMatch = Annotated[
    str | None, Header(description="The ETag of the response that the caller has.", examples=['"5f2a"'])
]


def _read_filters(
    label: Annotated[Label | None, Query(description="Only with this label.", examples=["gpu24"])] = None,
    agent_status: Annotated[AgentStatus | None, Query(description="Only in this state.", examples=["idle"])] = None,
) -> AgentFilter:
    """Return the filters of the query parameters."""
    return AgentFilter(label, agent_status)


def _parse_etags(if_none_match: str | None) -> list[str]:
    """Return the ETags of an If-None-Match header, weak ones as strong: a proxy that compresses makes them weak.

    Without the header, the list has one empty text.
    """
    return [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]


def _build_response(content: Schema, if_none_match: str | None) -> Response:
    """Build a JSON response with its ETag, or 304 if the caller has it already."""
    body = content.model_dump_json().encode()
    headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'}
    if headers["ETag"] in _parse_etags(if_none_match):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


@router.get(
    "/agents",
    response_model=AgentList,
    responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest, also=NOT_MODIFIED),
)
def list_agents(
    page: PageParams,
    filters: Annotated[AgentFilter, Depends(_read_filters)],
    team: Listing,
    database: Db,
    fleet: FleetState,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """List the team's machines by name, with their current status."""
    with database.reading() as session:
        desired_counts = fleet.desired_counts.get_by_label_set(session, team.team_id)
        listed = operations.list_agents(session, team, filters, page, desired_counts)
    return _build_response(listed, if_none_match)


@router.get(
    "/agents/{agent_id}/models", responses=answers(*ACCESS_PROBLEMS, problems.AgentNotFound, problems.InvalidRequest)
)
def list_agent_models(
    agent_id: AgentName,
    page: PageParams,
    team: Listing,
    database: Db,
    state: Annotated[ModelState | None, Query(description="Only in this state.", examples=["failed"])] = None,
    missing: Annotated[bool, Query(description="Only models that are not ready there.", examples=[True])] = False,
) -> AgentModelList:
    """List the models that a machine should hold, with their states, newest first."""
    with database.reading() as session:
        return replica_states.list_agent_models(session, team, agent_id, ReplicaFilter(state, missing), page)


@router.get(
    "/agent-states",
    response_model=ModelStatesList,
    responses=answers(*ACCESS_PROBLEMS, problems.InvalidRequest, also=NOT_MODIFIED),
)
def list_replica_states(
    model_id: Annotated[
        list[UUID],
        Query(min_length=1, max_length=MAX_MODELS, description="The models; may be repeated.", examples=[[EXAMPLE_ID]]),
    ],
    team: Listing,
    database: Db,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """List the states of some models on every machine that should hold them; at most 20,000 states."""
    with database.reading() as session:
        content = replica_states.list_replica_states(session, team, model_id)
    return _build_response(content, if_none_match)


@router.get(
    "/models/{model_id}/agents", responses=answers(*ACCESS_PROBLEMS, problems.ModelNotFound, problems.InvalidRequest)
)
def list_model_agents(model_id: PathId, page: PageParams, team: Listing, database: Db) -> AgentModelList:
    """List the machines that should hold a model, with its state on each."""
    with database.reading() as session:
        return replica_states.list_model_agents(session, team, parse_model_id(model_id), page)


@router.put("/agents/{agent_id}", responses=answers(*ACCESS_PROBLEMS, problems.AgentNotFound))
def update_agent(agent_id: AgentName, change: AgentUpdate, team: Managing, database: Db) -> Done:
    """Label, pause or resume a machine."""
    with database.writing(team.team_id) as session:
        operations.update_agent(session, team, agent_id, change)
    return Done()


@router.post(
    "/agents/{agent_id}/approve-removal",
    responses=answers(*ACCESS_PROBLEMS, problems.AgentNotFound, problems.RemovalNotWaiting),
)
def approve_removal(agent_id: AgentName, team: Managing, database: Db) -> Done:
    """Approve the removal of the files that a machine holds back."""
    with database.writing(team.team_id) as session:
        operations.approve_removal(session, team, agent_id)
    return Done()


@router.post("/agents/{agent_id}/sync", responses=answers(*ACCESS_PROBLEMS, problems.AgentNotFound))
def sync_agent(agent_id: AgentName, team: Managing, database: Db) -> Done:
    """Ask a machine to scan its disk and read its manifest now."""
    with database.writing(team.team_id) as session:
        operations.request_sync(session, team, agent_id)
    return Done()


@router.delete(
    "/agents/{agent_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=answers(*ACCESS_PROBLEMS, problems.AgentNotFound),
)
def delete_agent(agent_id: AgentName, team: Managing, database: Db) -> None:
    """Remove a machine; if it still runs, its next heartbeat adds it again."""
    with database.writing(team.team_id) as session:
        operations.delete_agent(session, team, agent_id)


@router.get(
    "/agent/manifest",
    response_model=Manifest,
    responses=answers(*ACCESS_PROBLEMS, problems.AgentUnknown, problems.InvalidRequest, also=NOT_MODIFIED),
)
async def get_manifest(
    request: Request,
    team: Annotated[TeamContext, require_permission(Operation.AGENT_MANIFEST)],
    fleet: FleetState,
    agent_id: Annotated[
        str, Query(pattern=AGENT_ID_PATTERN, description="The machine's agent id.", examples=[EXAMPLE_AGENT])
    ],
    wait: Annotated[
        int, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait until the ETag differs.", examples=[30])
    ] = 0,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Read the models that a machine should hold; waits until they differ from a known manifest."""
    known_etags = [tag for tag in _parse_etags(if_none_match) if tag]
    manifest = await fleet.manifests.wait_for_manifest(team, agent_id, known_etags, wait)
    if manifest is None:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": known_etags[0]})
    headers = {"ETag": manifest.etag, "Vary": "Accept-Encoding"}
    if accepts_encoding("gzip", request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        return Response(manifest.compressed, media_type="application/json", headers=headers)
    return Response(manifest.body, media_type="application/json", headers=headers)


@router.post("/agent/heartbeat", responses=answers(*ACCESS_PROBLEMS, problems.AgentTaken, problems.TooManyMachines))
def record_heartbeat(
    beat: Heartbeat,
    team: Annotated[TeamContext, require_permission(Operation.AGENT_HEARTBEAT)],
    database: Db,
    settings: CurrentSettings,
) -> HeartbeatResponse:
    """Report a machine's description, activity and model states."""
    return heartbeats.record_heartbeat(database, team, beat, settings.max_machines)
