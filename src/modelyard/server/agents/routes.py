"""The routes ``/agents`` for people, and ``/agent`` for the machines themselves."""

import hashlib
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Body, Depends, Header, Path, Query, Request, Response, status
from pydantic import WrapValidator

from modelyard.server.agents import (
    assignments,
    evictions,
    model_requests,
    operations,
    replica_states,
    unused_models,
)
from modelyard.server.agents.heartbeats import recording
from modelyard.server.agents.operations import AgentFilter
from modelyard.server.agents.replica_states import ReplicaFilter
from modelyard.server.agents.state import FleetState
from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter, records_heartbeats
from modelyard.server.http.compression import accepts_encoding
from modelyard.server.http.paging import PageParams
from modelyard.server.http.params import CurrentSettings, PathId
from modelyard.server.http.problems import Answers, answers
from modelyard.server.http.waiting.disconnect import run_while_connected
from modelyard.server.models.operations import parse_model_id
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.agent_requests.models import ModelRequest, ModelRequestResult, RequestableModelList
from modelyard.wire.agents.heartbeats import Heartbeat, HeartbeatResponse
from modelyard.wire.agents.machines import AgentList, AgentUpdate, AssignmentDone, RemovalApproval
from modelyard.wire.agents.manifests import Manifest
from modelyard.wire.agents.partial_reading import read_heartbeat
from modelyard.wire.agents.replicas import AgentModelList, ModelStatesList
from modelyard.wire.agents.values import AGENT_ID_PATTERN, EXAMPLE_AGENT, AgentId, AgentStatus, MachineState, ModelState
from modelyard.wire.model_filter import SEARCH_HELP, FilterText, ModelFilter, SearchText
from modelyard.wire.models import Label
from modelyard.wire.schemas import EXAMPLE_ID, Done
from modelyard.wire.search.values import MAX_AGE_DAYS
from modelyard.wire.uses.lists import DEFAULT_UNUSED_DAYS, EvictionPreview, UnusedModelList
from modelyard.wire.versions import Verification

router = ApiRouter("agents")

MAX_WAIT_SECONDS = 60
WAIT_HELP = (
    "Seconds to wait until the ETag differs. A 304 may be earlier: if the machine should send a heartbeat, or if too "
    "many requests wait. After the third such response within a second in a row, pause for 30 seconds."
)
# As many as a page of models has.
MAX_MODELS = 100
NOT_MODIFIED: Answers = {304: {"description": "Nothing has changed since the response with this ETag."}}

Listing = Annotated[TeamContext, require_permission(Operation.AGENTS_LIST)]
Assigning = Annotated[TeamContext, require_permission(Operation.AGENTS_ASSIGN)]
Managing = Annotated[TeamContext, require_permission(Operation.AGENTS_MANAGE)]
Requesting = Annotated[TeamContext, require_permission(Operation.AGENT_REQUEST)]
AgentName = Annotated[str, Path(description="The machine's agent id.", examples=[EXAMPLE_AGENT])]
OwnAgentId = Annotated[
    str, Query(pattern=AGENT_ID_PATTERN, description="The machine's agent id.", examples=[EXAMPLE_AGENT])
]
Approval = Annotated[RemovalApproval, Body(description="May be absent.")]
_ANY_REMOVAL = RemovalApproval()
IfNoneMatch = Annotated[
    str | None, Header(description="The ETag of the response that the caller has.", examples=['"5f2a"'])
]


async def _read_filters(
    label: Annotated[Label | None, Query(description="Only with this label.", examples=["gpu24"])] = None,
    agent_status: Annotated[AgentStatus | None, Query(description="Only with this status.", examples=["idle"])] = None,
    machine_state: Annotated[
        MachineState | None, Query(description="Only in this state.", examples=["problem"])
    ] = None,
) -> AgentFilter:
    """Return the filters of the query parameters."""
    return AgentFilter(label, agent_status, machine_state)


@dataclass(frozen=True)
class _ManifestRequest:
    """Which manifest is asked for, and how long to wait for a new one."""

    agent_id: str
    wait_seconds: int
    has_previews: bool


async def _read_manifest_request(
    agent_id: OwnAgentId,
    wait: Annotated[int, Query(ge=0, le=MAX_WAIT_SECONDS, description=WAIT_HELP, examples=[30])] = 0,
    previews: Annotated[
        bool, Query(description="Name the picture of each model (`preview_sha256`).", examples=[True])
    ] = False,
) -> _ManifestRequest:
    """Return the query parameters of a request for a manifest."""
    return _ManifestRequest(agent_id, wait, previews)


def _parse_etags(if_none_match: str | None) -> list[str]:
    """Return the ETags of an If-None-Match header, weak ones as strong: a proxy that compresses makes them weak.

    Without the header, the list has one empty text.
    """
    return [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]


def _build_response(body: bytes, if_none_match: str | None) -> Response:
    """Build a JSON response with its ETag, or 304 if the caller has it already."""
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
        desired_counts = fleet.desired_counts.get(session, team.team_id)
        listed = operations.list_agents(session, team, filters, page, desired_counts)
    return _build_response(listed.model_dump_json().encode(), if_none_match)


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
    """List the states of some models on every machine that should hold them; at most 10,000 states."""
    with database.reading() as session:
        body = replica_states.encode_replica_states(session, team, model_id)
    return _build_response(body, if_none_match)


@router.get(
    "/models/{model_id}/agents", responses=answers(*ACCESS_PROBLEMS, problems.ModelNotFound, problems.InvalidRequest)
)
def list_model_agents(model_id: PathId, page: PageParams, team: Listing, database: Db) -> AgentModelList:
    """List the machines that should hold a model, with its state on each."""
    with database.reading() as session:
        return replica_states.list_model_agents(session, team, parse_model_id(model_id), page)


@router.get("/unused-models", responses=answers(*ACCESS_PROBLEMS, problems.AgentNotFound, problems.InvalidRequest))
def list_unused_models(
    page: PageParams,
    team: Listing,
    database: Db,
    days: Annotated[
        int, Query(ge=1, le=MAX_AGE_DAYS, description="Not used for so many days.", examples=[90])
    ] = DEFAULT_UNUSED_DAYS,
    agent_id: Annotated[AgentId | None, Query(description="Only on this machine.", examples=[EXAMPLE_AGENT])] = None,
) -> UnusedModelList:
    """List models that machines have not used for a while and can do without, the largest first."""
    with database.reading() as session:
        return unused_models.list_unused_models(session, team, days, agent_id, page)


@router.get(
    "/agents/{agent_id}/evictions", responses=answers(*ACCESS_PROBLEMS, problems.AgentNotFound, problems.InvalidRequest)
)
def preview_evictions(
    agent_id: AgentName,
    team: Listing,
    database: Db,
    disk_budget_bytes: Annotated[
        int | None,
        Query(ge=1, le=2**63 - 1, description="A budget to try. Default: the machine's.", examples=[500_000_000_000]),
    ] = None,
) -> EvictionPreview:
    """Read what a machine would not hold with a disk budget; changes nothing."""
    with database.reading() as session:
        return evictions.preview_evictions(session, team, agent_id, disk_budget_bytes)


@router.put("/agents/{agent_id}", responses=answers(*ACCESS_PROBLEMS, problems.AgentNotFound))
def update_agent(agent_id: AgentName, change: AgentUpdate, team: Managing, database: Db) -> Done:
    """Label, pause or resume a machine, or set its disk budget."""
    with database.writing(team.team_id) as session:
        operations.update_agent(session, team, agent_id, change)
    return Done()


@router.put(
    "/agents/{agent_id}/models/{model_id}",
    responses=answers(*ACCESS_PROBLEMS, problems.AgentNotFound, problems.ModelNotFound, problems.ModelIsFolder),
)
def assign_model(agent_id: AgentName, model_id: PathId, team: Assigning, database: Db) -> AssignmentDone:
    """Assign a model to a machine, which should hold it then whatever its labels are."""
    with database.writing(team.team_id) as session:
        is_new = assignments.assign_model(session, team, agent_id, parse_model_id(model_id))
    return AssignmentDone(is_new=is_new)


@router.delete(
    "/agents/{agent_id}/models/{model_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=answers(*ACCESS_PROBLEMS, problems.AgentNotFound, problems.ModelNotFound),
)
def unassign_model(agent_id: AgentName, model_id: PathId, team: Assigning, database: Db) -> None:
    """End the assignment of a model to a machine."""
    with database.writing(team.team_id) as session:
        assignments.unassign_model(session, team, agent_id, parse_model_id(model_id))


@router.post(
    "/agents/{agent_id}/approve-removal",
    responses=answers(
        *ACCESS_PROBLEMS,
        problems.AgentNotFound,
        problems.RemovalNotWaiting,
        problems.RemovalChanged,
        problems.InvalidRequest,
    ),
)
def approve_removal(agent_id: AgentName, team: Managing, database: Db, approval: Approval = _ANY_REMOVAL) -> Done:
    """Approve the removal of the files that a machine holds back."""
    with database.writing(team.team_id) as session:
        operations.approve_removal(session, team, agent_id, approval.removal_token or None)
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
    asked: Annotated[_ManifestRequest, Depends(_read_manifest_request)],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Read the models that a machine should hold; waits until they differ from a known manifest."""
    known_etags = [tag for tag in _parse_etags(if_none_match) if tag]
    waiting = fleet.manifests.wait_for_manifest(
        team, asked.agent_id, known_etags, asked.wait_seconds, has_previews=asked.has_previews
    )
    manifest = await run_while_connected(request, waiting)
    if manifest is None:
        known = {"ETag": known_etags[0]} if known_etags else None
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=known)
    headers = {"ETag": manifest.etag, "Vary": "Accept-Encoding"}
    if accepts_encoding("gzip", request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        return Response(manifest.compressed, media_type="application/json", headers=headers)
    return Response(await fleet.manifests.decompress(team, manifest), media_type="application/json", headers=headers)


@router.post("/agent/heartbeat", responses=answers(*ACCESS_PROBLEMS, problems.AgentTaken, problems.TooManyMachines))
@records_heartbeats
def record_heartbeat(
    beat: Annotated[Heartbeat, WrapValidator(read_heartbeat)],
    team: Annotated[TeamContext, require_permission(Operation.AGENT_HEARTBEAT)],
    database: Db,
    settings: CurrentSettings,
) -> HeartbeatResponse:
    """Report a machine's description, activity and model states.

    `unreadable_list` of the response names values that the registry could not read; the others count.
    """
    return recording.record_heartbeat(database, team, beat, settings.max_machines)


async def _read_requestable_filter(
    q: Annotated[SearchText | None, Query(description=SEARCH_HELP, examples=["sdxl base"])] = None,
    model_type: Annotated[
        FilterText | None, Query(description="Only this type; aliases are the same.", examples=["loras"])
    ] = None,
    pending: Annotated[
        bool, Query(description="The models that are not verified yet, instead of the others.", examples=[False])
    ] = False,
) -> ModelFilter:
    """Return the filter of the query parameters, for models that a machine can download, or perhaps can soon."""
    verification: Verification = "pending" if pending else "verified"
    return ModelFilter(q=q, model_type=model_type, model_status="active", verification=verification)


@router.get(
    "/agent/models",
    responses=answers(*ACCESS_PROBLEMS, problems.MachineRequestsOff, problems.AgentUnknown, problems.InvalidRequest),
)
def list_requestable_models(
    agent_id: OwnAgentId,
    model_filter: Annotated[ModelFilter, Depends(_read_requestable_filter)],
    page: PageParams,
    team: Requesting,
    database: Db,
) -> RequestableModelList:
    """List the active, verified models of the team, or the pending ones, and their states on the calling machine."""
    with database.reading() as session:
        return model_requests.list_requestable_models(session, team, agent_id, model_filter, page)


@router.post(
    "/agent/requests",
    responses=answers(*ACCESS_PROBLEMS, problems.MachineRequestsOff, problems.AgentUnknown, problems.InvalidRequest),
)
def request_models(request: ModelRequest, team: Requesting, database: Db) -> ModelRequestResult:
    """Assign models to the calling machine; may be repeated."""
    with database.writing(team.team_id) as session:
        return model_requests.request_models(session, team, request)
