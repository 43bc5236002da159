"""``/workflows``: the check of a workflow file, and copies of it; ``/agent/loaders``: the nodes of machines."""

from typing import Annotated, Any

from fastapi import Response

from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.problems import Answers, answers
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.server.workflows import loaders, operations
from modelyard.server.workflows.request_reading import Checking, References, Rewritten
from modelyard.wire import problems
from modelyard.wire.agent_requests.loaders import LoaderReport
from modelyard.wire.schemas import Done
from modelyard.wire.workflows import WorkflowCheck

router = ApiRouter("workflows")

Reporting = Annotated[TeamContext, require_permission(Operation.AGENT_HEARTBEAT)]

WORKFLOW_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
REWRITE_PROBLEMS = (*ACCESS_PROBLEMS, problems.InvalidRequest, problems.WorkflowRefused)
REWRITTEN: Answers = {
    200: {
        "description": "The workflow, without the file that it was saved in.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


@router.post(
    "/workflows/check",
    openapi_extra=WORKFLOW_BODY,
    responses=answers(*ACCESS_PROBLEMS, problems.WorkflowRefused, problems.BodyTooLarge, problems.RequestStalled),
)
def check_workflow(team: Checking, references: References, database: Db) -> WorkflowCheck:
    """Check which models a ComfyUI workflow needs, and where it can run: the file of up to 64 MiB as the body.

    A workflow file in UI or API format, or a file in which ComfyUI saved one: PNG, WebP, AVIF, SVG, MP4, WebM, GLB,
    FLAC, Ogg, MP3 or latent.
    """
    with database.reading() as session:
        return operations.check_workflow(session, team, references)


@router.post(
    "/workflows/rewrite",
    openapi_extra=WORKFLOW_BODY,
    response_class=Response,
    responses=answers(*REWRITE_PROBLEMS, problems.BodyTooLarge, problems.RequestStalled, also=REWRITTEN),
)
def rewrite_workflow(rewritten: Rewritten) -> Response:
    """Return a copy of a ComfyUI workflow with the names that the team's files have: the file as for the check.

    Replaced are names of files that the team has under another name, in another folder or with other capitals; prompts
    stay as they are. The copy may have up to 2 MiB.
    """
    return Response(rewritten, media_type="application/json")


@router.post(
    "/agent/loaders",
    responses=answers(*ACCESS_PROBLEMS, problems.AgentUnknown, problems.InvalidRequest),
)
def report_loaders(report: LoaderReport, team: Reporting, database: Db) -> Done:
    """Report which inputs of nodes name models in the ComfyUIs of the caller's machine, in place of earlier ones."""
    loaders.record_loaders(database, team, report)
    return Done()
