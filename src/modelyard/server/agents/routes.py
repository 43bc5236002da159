"""``/agents`` for people, and ``/agent`` for the machines themselves."""

import hashlib
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response, status

from modelyard.server.agents import operations, standing
from modelyard.server.agents.heartbeats import take_heartbeat
from modelyard.server.agents.operations import AgentFilter
from modelyard.server.agents.standing import ModelFilter
from modelyard.server.agents.state import FleetState
from modelyard.server.database.session import Db
from modelyard.server.identity.asked import PathId
from modelyard.server.models.operations import id_of
from modelyard.server.packing import takes
from modelyard.server.paging import AskedPage
from modelyard.server.problems import Answers, answers
from modelyard.server.teams.acting import REFUSALS, Acting, may
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.agents import (
    AGENT_ID_PATTERN,
    EXAMPLE_AGENT,
    AgentChange,
    AgentList,
    AgentModelList,
    AgentStatus,
    Heartbeat,
    HeartbeatAnswer,
    Manifest,
    ModelState,
    ModelStatesList,
)
from modelyard.wire.models import Label
from modelyard.wire.shapes import EXAMPLE_ID, Done, Shape

router = APIRouter(tags=["agents"])

LONGEST_WAIT_SECONDS = 60
# As many as a page of models has.
MOST_MODELS = 100
UNCHANGED: Answers = {304: {"description": "Nothing has changed since the answer with this ETag."}}

Listing = Annotated[Acting, may(Operation.AGENTS_LIST)]
Managing = Annotated[Acting, may(Operation.AGENTS_MANAGE)]
AgentName = Annotated[str, Path(description="The machine's name for itself.", examples=[EXAMPLE_AGENT])]
IfNoneMatch = Annotated[
    str | None, Header(description="The ETag of the answer that the caller has.", examples=['"5f2a"'])
]


def _asked_agents(
    label: Annotated[Label | None, Query(description="Only with this label.", examples=["gpu24"])] = None,
    agent_status: Annotated[AgentStatus | None, Query(description="Only in this state.", examples=["idle"])] = None,
) -> AgentFilter:
    return AgentFilter(label, agent_status)


def _tags(if_none_match: str | None) -> list[str]:
    """The ETags that a caller has; a proxy that compressed an answer has made them weak."""
    return [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]


def _answered(shown: Shape, if_none_match: str | None) -> Response:
    """The whole, or only that it is what the caller has."""
    body = shown.model_dump_json().encode()
    headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'}
    if headers["ETag"] in _tags(if_none_match):
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


@router.get(
    "/agents",
    response_model=AgentList,
    responses=answers(*REFUSALS, problems.InvalidRequest, also=UNCHANGED),
)
def list_agents(
    page: AskedPage,
    asked: Annotated[AgentFilter, Depends(_asked_agents)],
    acting: Listing,
    database: Db,
    fleet: FleetState,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """List the team's machines by name, as they are now."""
    with database.reading() as session:
        demand = fleet.demand.of(session, acting.team_id)
        listed = operations.list_agents(session, acting, asked, page, demand)
    return _answered(listed, if_none_match)


@router.get("/agents/{agent_id}/models", responses=answers(*REFUSALS, problems.AgentNotFound, problems.InvalidRequest))
def list_models_on_agent(
    agent_id: AgentName,
    page: AskedPage,
    acting: Listing,
    database: Db,
    state: Annotated[ModelState | None, Query(description="Only in this state.", examples=["failed"])] = None,
    missing: Annotated[bool, Query(description="Only what is not ready there.", examples=[True])] = False,
) -> AgentModelList:
    """List what a machine should hold, and how far it is; newest first."""
    with database.reading() as session:
        return standing.list_models_on(session, acting, agent_id, ModelFilter(state, missing), page)


@router.get(
    "/agent-states",
    response_model=ModelStatesList,
    responses=answers(*REFUSALS, problems.InvalidRequest, also=UNCHANGED),
)
def list_states_of_models(
    model_id: Annotated[
        list[UUID],
        Query(
            min_length=1, max_length=MOST_MODELS, description="The models; may be repeated.", examples=[[EXAMPLE_ID]]
        ),
    ],
    acting: Listing,
    database: Db,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """List how far some models are on every machine that should hold them."""
    with database.reading() as session:
        shown = standing.states_of(session, acting, model_id)
    return _answered(shown, if_none_match)


@router.get("/models/{model_id}/agents", responses=answers(*REFUSALS, problems.ModelNotFound, problems.InvalidRequest))
def list_agents_of_model(model_id: PathId, page: AskedPage, acting: Listing, database: Db) -> AgentModelList:
    """List the machines that should hold a model, and how far each is."""
    with database.reading() as session:
        return standing.list_agents_of(session, acting, id_of(model_id), page)


@router.put("/agents/{agent_id}", responses=answers(*REFUSALS, problems.AgentNotFound))
def change_agent(agent_id: AgentName, change: AgentChange, acting: Managing, database: Db) -> Done:
    """Label a machine, pause it, or let it go on."""
    with database.writing(acting.team_id) as session:
        operations.change_agent(session, acting, agent_id, change)
    return Done()


@router.post(
    "/agents/{agent_id}/approve-removal",
    responses=answers(*REFUSALS, problems.AgentNotFound, problems.RemovalNotWaiting),
)
def approve_removal(agent_id: AgentName, acting: Managing, database: Db) -> Done:
    """Let a machine remove the files that it holds back."""
    with database.writing(acting.team_id) as session:
        operations.approve_removal(session, acting, agent_id)
    return Done()


@router.post("/agents/{agent_id}/sync", responses=answers(*REFUSALS, problems.AgentNotFound))
def sync_agent(agent_id: AgentName, acting: Managing, database: Db) -> Done:
    """Have a machine look at its disk and its manifest now."""
    with database.writing(acting.team_id) as session:
        operations.ask_to_sync(session, acting, agent_id)
    return Done()


@router.delete(
    "/agents/{agent_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=answers(*REFUSALS, problems.AgentNotFound),
)
def forget_agent(agent_id: AgentName, acting: Managing, database: Db) -> None:
    """Forget a machine; one that is still there comes back with its next heartbeat."""
    with database.writing(acting.team_id) as session:
        operations.forget_agent(session, acting, agent_id)


@router.get(
    "/agent/manifest",
    response_model=Manifest,
    responses=answers(*REFUSALS, problems.AgentUnknown, problems.InvalidRequest, also=UNCHANGED),
)
async def read_manifest(
    request: Request,
    acting: Annotated[Acting, may(Operation.AGENT_MANIFEST)],
    fleet: FleetState,
    agent_id: Annotated[
        str, Query(pattern=AGENT_ID_PATTERN, description="The machine's name for itself.", examples=[EXAMPLE_AGENT])
    ],
    wait: Annotated[
        int, Query(ge=0, le=LONGEST_WAIT_SECONDS, description="Seconds to wait for another ETag.", examples=[30])
    ] = 0,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Read what a machine should hold, as soon as it is something else than what it knows."""
    known = [tag for tag in _tags(if_none_match) if tag]
    built = await fleet.manifests.manifest_for(acting, agent_id, known, wait)
    if built is None:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": known[0]})
    headers = {"ETag": built.etag, "Vary": "Accept-Encoding"}
    if takes("gzip", request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        return Response(built.compressed, media_type="application/json", headers=headers)
    return Response(built.body, media_type="application/json", headers=headers)


@router.post("/agent/heartbeat", responses=answers(*REFUSALS, problems.AgentTaken, problems.QuotaExceeded))
def take_agent_heartbeat(
    beat: Heartbeat, acting: Annotated[Acting, may(Operation.AGENT_HEARTBEAT)], database: Db
) -> HeartbeatAnswer:
    """Say what a machine is, has and is doing."""
    with database.writing(acting.team_id) as session:
        return take_heartbeat(session, acting, beat)
