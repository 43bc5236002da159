"""Receiving a workflow file, finding its references and rewriting it, in threads and sandboxes of their own."""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Query, Request

from modelyard.comfyui.model_files.readers import BytesReader
from modelyard.comfyui.workflows.references import ExpansionTooLarge, ModelReference, WorkflowUnreadable
from modelyard.comfyui.workflows.rewriting import SLASHES, Slash, System
from modelyard.server.database.session import Database, Db
from modelyard.server.fairness.usage import Limits
from modelyard.server.http.json_body import BodyBudget, receive_file
from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.server.inspection.sandbox import (
    LimitExceeded,
    SandboxFailed,
    SandboxLimits,
    SandboxProgram,
    log_failure,
    run_in_sandbox,
)
from modelyard.server.teams.context import TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.server.workflows import operations, rewriting
from modelyard.server.workflows.reading import read_references
from modelyard.wire.problems import Unavailable, WorkflowRefused
from modelyard.wire.texts.strict_json import JsonLimits, JsonRejected, check_size
from modelyard.wire.workflows import MAX_WORKFLOW_BYTES

# A slow connection gets more time than for other bodies, and these bodies have a budget of their own.
WORKFLOW_SECONDS = 120.0
WORKFLOW_BYTES = Limits(2 * MAX_WORKFLOW_BYTES, per_person=MAX_WORKFLOW_BYTES, per_team=MAX_WORKFLOW_BYTES)
# A JSON file up to this size is read in some milliseconds. Others could keep the interpreter from other requests.
MAX_BYTES_WITHOUT_SANDBOX = 256 * 1024
MAX_EXPANDED_WITHOUT_SANDBOX = 512 * 1024
# No workflow of ComfyUI's templates has more in so few bytes.
LIMITS_WITHOUT_SANDBOX = JsonLimits(depth=32, brackets=20_000, separators=40_000)
# The text of a file, decoded and parsed, takes up to ten times its size.
LIMITS = SandboxLimits(memory=1024 * 1024 * 1024, cpu_seconds=20, wall_seconds=60.0)
SANDBOXES = Limits(2, per_person=1, per_team=1)
SLOT_SECONDS = 20.0
BUSY = "The registry is reading too many workflows at this moment. Try again."
_BOOT = "import sys; sys.path.append(sys.argv[1]); from modelyard.server.workflows.{} import main; main(sys.argv[2:])"
_FOLDER = str(Path(__file__).parents[3])
_READING_PROGRAM = SandboxProgram(_BOOT.format("reading"), _FOLDER)
_REWRITING_PROGRAM = SandboxProgram(_BOOT.format("rewriting"), _FOLDER)

Checking = Annotated[TeamContext, require_permission(Operation.WORKFLOWS_CHECK)]


def build_workflow_budget() -> BodyBudget:
    """Build the limit on the bytes of workflow files that one process holds at a time."""
    return BodyBudget(WORKFLOW_BYTES)


def build_workflow_limiter() -> OperationLimiter:
    """Build the limiter of reading: the files that one team sends never take all sandboxes."""
    return OperationLimiter(SANDBOXES, busy=BUSY, queue_seconds=SLOT_SECONDS)


async def _receive_file(request: Request, _team: Checking) -> AsyncIterator[bytes]:
    """Yield the body of a request whose caller was checked; it counts towards the budget until the operation ends.

    Raises:
        BodyTooLarge, RequestStalled, Unavailable: see ``receive_file``.
    """
    budget: BodyBudget = request.app.state.workflow_budget
    async with receive_file(request, budget, MAX_WORKFLOW_BYTES, WORKFLOW_SECONDS) as file:
        yield file


WorkflowFile = Annotated[bytes, Depends(_receive_file)]


async def _find_references(request: Request, team: Checking, content: WorkflowFile) -> list[ModelReference]:
    """Return the model files that the workflow in the body names.

    Raises:
        WorkflowRefused: the body has no workflow, or one that takes too much to read.
        Unavailable: the sandbox did not start, or none became free in time.
    """
    limiters = request.app.state
    if _is_small(content):
        references = await limiters.read_limiter.run(team.account, partial(_read_small, content))
        if references is not None:
            return references  # type: ignore[no-any-return]  # of the application's state
    return await limiters.workflow_limiter.run(team.account, partial(_read_in_sandbox, content))  # type: ignore[no-any-return]  # likewise


References = Annotated[list[ModelReference], Depends(_find_references)]
Slashes = Annotated[
    System | None,
    Query(
        description="Write all names with the slash of this system; without it, each name keeps its own.",
        examples=["posix"],
    ),
]


async def _rewrite(
    request: Request,
    team: Checking,
    content: WorkflowFile,
    references: References,
    database: Db,
    slashes: Slashes = None,
) -> bytes:
    """Return a copy of the workflow in the body, with the names that the team's files have.

    Raises:
        WorkflowRefused, Unavailable: see ``_find_references``; WorkflowRefused also if the copy is too large.
    """
    limiters, slash = request.app.state, None if slashes is None else SLASHES[slashes]
    find_names = partial(_find_names, database, team, references, slash)
    names = await limiters.read_limiter.run(team.account, find_names)
    limiter, rewrite = (
        (limiters.read_limiter, _rewrite_small)
        if _is_small(content)
        else (limiters.workflow_limiter, _rewrite_in_sandbox)
    )
    return await limiter.run(team.account, partial(rewrite, content, names))  # type: ignore[no-any-return]  # likewise


Rewritten = Annotated[bytes, Depends(_rewrite)]


def _is_small(content: bytes) -> bool:
    """Return whether a file can be read without a sandbox, unless its subgraphs are large."""
    if len(content) > MAX_BYTES_WITHOUT_SANDBOX or content.lstrip()[:1] != b"{":
        return False
    try:
        check_size(content, LIMITS_WITHOUT_SANDBOX)
    except JsonRejected:
        return False
    return True


def _read_small(content: bytes) -> list[ModelReference] | None:
    """Return the references of a small JSON file; None if its subgraphs are large. Raises ``WorkflowRefused``."""
    try:
        return read_references(content, MAX_EXPANDED_WITHOUT_SANDBOX)
    except ExpansionTooLarge:
        return None
    except WorkflowUnreadable as unreadable:
        raise WorkflowRefused(str(unreadable)) from None


def _read_in_sandbox(content: bytes) -> list[ModelReference]:
    """Return the references of any file; raises as ``_find_references``."""
    verdict = _run(_READING_PROGRAM, content)
    if "unreadable" in verdict:
        raise WorkflowRefused(str(verdict["unreadable"])[:200])
    try:
        return [ModelReference(*fields) for fields in verdict["references"]]
    except (KeyError, TypeError):
        raise WorkflowRefused("The file cannot be read.") from None


def _find_names(
    database: Database, team: TeamContext, references: list[ModelReference], slash: Slash | None
) -> dict[str, str]:
    """Return the names to replace, in a transaction of its own."""
    with database.reading() as session:
        return operations.find_team_names(session, team, references, slash)


def _rewrite_small(content: bytes, names: Mapping[str, str]) -> bytes:
    """Return the copy of a small JSON file; raises ``WorkflowRefused``."""
    try:
        return rewriting.rewrite_workflow(content, names)
    except WorkflowUnreadable as unreadable:
        raise WorkflowRefused(str(unreadable)) from None


def _rewrite_in_sandbox(content: bytes, names: Mapping[str, str]) -> bytes:
    """Return the copy of the workflow in any file; raises as ``_rewrite``."""
    try:
        return rewriting.parse_verdict(_run(_REWRITING_PROGRAM, rewriting.pack_request(content, names)))
    except WorkflowUnreadable as unreadable:
        raise WorkflowRefused(str(unreadable)) from None


def _run(sandbox_program: SandboxProgram, content: bytes) -> dict[str, Any]:
    """Return the verdict of a program.

    Raises:
        WorkflowRefused: the file takes too much time or memory.
        Unavailable: the sandbox did not start, or failed.
    """
    try:
        return run_in_sandbox(sandbox_program, BytesReader(content), LIMITS)
    except LimitExceeded:
        raise WorkflowRefused("The file takes too much time or memory to read.") from None
    except SandboxFailed as failed:
        log_failure(failed, task="workflow")
        raise Unavailable("The registry cannot read workflows at this moment. Try again.", retry_after=5) from None
