"""The handlers of the local API: parse, call the registry as this machine, build the response."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError

from modelyard.agent.local_api.http import LocalProblem, LocalResponse, build_malformed, parse_json_object
from modelyard.agent.local_api.progress import KnownStates, RequestTracker
from modelyard.agent.local_api.pushes import LocalPushes
from modelyard.agent.local_api.registry_problems import build_registry_problem, build_unreachable_problem
from modelyard.agent.local_api.shapes import (
    FetchRequest,
    FetchResult,
    FilePush,
    ListedModel,
    MachineStatus,
    ModelPage,
    ModelQuery,
    ProgressList,
    ProgressQuery,
    PushProgress,
    WorkflowPush,
    WorkflowReport,
)
from modelyard.agent.status import AgentStatus
from modelyard.client.api.paging import Paging, list_pages
from modelyard.transfer.errors import TransferFailed
from modelyard.wire.agent_requests.models import (
    ModelRequest,
    ModelRequestResult,
    RequestableModel,
    RequestableModelList,
)
from modelyard.wire.model_details import CLAIMED_BASE_SOURCES
from modelyard.wire.problems import Problem
from modelyard.wire.versions import PreviewFormat
from modelyard.wire.workflows import WorkflowCheck

# The extension waits longer than this.
REGISTRY_SECONDS = 60.0
# A request for progress is not kept longer.
_PENDING_SECONDS = 5.0
_MAX_LEADING_SPACE = 100
_NOT_REACHED = "The agent has not reached the registry yet. Try again in a moment."
_NO_PUSHES = "This agent pushes no files. Use: modelyard push FILE."

Query = TypeVar("Query", bound=BaseModel)
Answer = TypeVar("Answer")


class LocalApiCalls(Protocol):
    """The calls to the registry; ``client.api.registry.RegistryApi`` implements them."""

    async def list_requestable_models(
        self,
        agent_id: str,
        paging: Paging = ...,
        *,
        search: str | None = None,
        model_type: str | None = None,
        pending: bool = False,
    ) -> RequestableModelList:
        """Return one page of the team's models, with their states on the machine."""

    async def request_models(self, request: ModelRequest) -> ModelRequestResult:
        """Assign models to the machine."""

    async def check_workflow(self, workflow: bytes) -> WorkflowCheck:
        """Return what the team has of a workflow's models, and whether the machine can run it."""

    async def get_picture(self, sha256: str, *, image_format: PreviewFormat = "webp") -> bytes:
        """Return a preview picture."""


class LocalHandlers:
    """The handlers of one agent. Belongs to its event loop; ``on_request`` is called when models were requested.

    Without ``pushes``, nothing can be pushed.
    """

    def __init__(
        self,
        status: AgentStatus,
        registry: LocalApiCalls,
        on_request: Callable[[], None],
        pushes: LocalPushes | None,
    ) -> None:
        self._status = status
        self._registry = registry
        self._on_request = on_request
        self._pushes = pushes
        self._tracker = RequestTracker()

    async def get_status(self, _: bytes) -> LocalResponse:
        """Return what the machine is, and what its users may do."""
        status, connection = self._status, self._status.connection
        team = status.team_facts
        push_hint = _NO_PUSHES if self._pushes is None else await self._pushes.find_hint()
        return _respond(
            MachineStatus(
                registry_url=status.url,
                team_name=team.team_name,
                machine_name=status.settings.agent_id,
                is_registry_reachable=connection.is_up,
                problem=status.find_waiting_reason() if connection.is_up else connection.reason or _NOT_REACHED,
                may_fetch=team.may_request_models,
                may_push=push_hint is None,
                push_hint=push_hint,
                last_synced_at=status.counted_at,
            )
        )

    async def list_models(self, body: bytes) -> LocalResponse:
        """Return a page of the team's models."""
        query = await _parse(ModelQuery, body)
        paging = Paging(query.limit, query.cursor or "")
        agent_id = self._status.settings.agent_id
        found = await _call(
            self._registry.list_requestable_models(
                agent_id, paging, search=query.q or None, model_type=query.model_type or None
            )
        )
        models = [_build_listed(model) for model in found.model_list]
        return _respond(ModelPage(model_list=models, next_cursor=found.page_meta.next_cursor))

    async def get_preview(self, sha256: str) -> LocalResponse:
        """Return a picture."""
        return LocalResponse(await _call(self._registry.get_picture(sha256)), content_type="image/webp")

    async def check_workflow(self, body: bytes) -> LocalResponse:
        """Check a workflow for this machine.

        The registry gets the body as it is: it reads ``{"workflow": ...}`` too, so that 64 MiB are not parsed twice.

        Raises:
            LocalProblem: it is not a JSON object, or see ``_call``.
        """
        if not body[:_MAX_LEADING_SPACE].lstrip().startswith(b"{"):
            raise build_malformed("The body is not a JSON object.")
        check = await _call(self._registry.check_workflow(body))
        agent_id = self._status.settings.agent_id
        machine = next((each for each in check.machine_list if each.agent_id == agent_id), None)
        return _respond(WorkflowReport(reference_list=check.reference_list, machine=machine))

    async def fetch_models(self, body: bytes) -> LocalResponse:
        """Request models for this machine, and return which ones the registry grants; track the progress of those.

        Raises:
            LocalProblem: the body is invalid, or see ``_call``.
        """
        query = await _parse(FetchRequest, body)
        request = ModelRequest(agent_id=self._status.settings.agent_id, model_ids=query.model_ids)
        result = await _call(self._registry.request_models(request))
        if result.requested:
            self._tracker.record(result.requested, time.monotonic(), result.pending)
            self._on_request()
        return _respond(FetchResult(requested=result.requested, refused=result.refused))

    async def get_progress(self, body: bytes) -> LocalResponse:
        """Return how far models are on this machine; the registry is asked only about pending ones, and rarely.

        Raises:
            LocalProblem: the body is invalid.
        """
        query = await _parse(ProgressQuery, body)
        await self._update_pending(query.model_ids)
        status, connection = self._status, self._status.connection
        known = KnownStates(
            self._tracker.index_manifest(status.manifest),
            status.reports.states,
            None if connection.is_up else connection.reason or "The registry cannot be reached.",
        )
        moment = time.monotonic()
        progress = [self._tracker.describe(model_id, known, moment) for model_id in query.model_ids]
        return _respond(ProgressList(model_list=progress))

    async def _update_pending(self, ids: Sequence[UUID]) -> None:
        """Ask the registry which models are still pending, if one of these is and it was not asked lately.

        They stay pending if the registry does not answer with all pages in time.
        """
        moment = time.monotonic()
        if not self._status.connection.is_up or not self._tracker.is_pending_due(ids, moment):
            return
        asked = self._tracker.begin_pending_request(moment)
        with suppress(LocalProblem, TimeoutError):
            async with asyncio.timeout(_PENDING_SECONDS):
                pages = [page async for page in list_pages(self._load_pending)]
            still = [model.id for page in pages for model in page.model_list if model.state != "absent"]
            self._tracker.set_pending(asked, still, time.monotonic())

    async def _load_pending(self, paging: Paging) -> RequestableModelList:
        """Return a page of the team's pending models; raises as ``_call``."""
        agent_id = self._status.settings.agent_id
        return await _call(self._registry.list_requestable_models(agent_id, paging, pending=True))

    async def push(self, body: bytes) -> LocalResponse:
        """Start to push a file of a models folder, or a workflow, to the team, or return the state of its push.

        The answer has the result, or after a second the progress, with status 202.

        Raises:
            LocalProblem: the body is invalid, pushing is not available here, or the push failed.
        """
        query = await asyncio.to_thread(_parse_push, body)
        if self._pushes is None:
            raise LocalProblem(HTTPStatus.CONFLICT, "push-not-available", "Pushing is not available", _NO_PUSHES)
        if isinstance(query, WorkflowPush):
            result: BaseModel = await self._pushes.push_workflow(query)
        else:
            result = await self._pushes.push_file(query)
        is_running = isinstance(result, PushProgress)
        return replace(_respond(result), status=HTTPStatus.ACCEPTED if is_running else HTTPStatus.OK)

    def cancel_pushes(self) -> None:
        """Stop what goes on after its request was answered."""
        if self._pushes is not None:
            self._pushes.cancel()


def _build_listed(model: RequestableModel) -> ListedModel:
    """Build the local API's view of a model."""
    derived = {
        "trigger_words": [word.text for word in model.trigger_words],
        "is_base_claimed": model.base_source in CLAIMED_BASE_SOURCES,
    }
    return ListedModel.model_validate(model.model_dump(exclude={"base_source"}) | derived)


def _respond(shape: BaseModel) -> LocalResponse:
    """Build a response from a body."""
    return LocalResponse(shape.model_dump_json().encode())


async def _parse(shape: type[Query], body: bytes) -> Query:
    """Parse a body in a thread, since it may be long; raises as ``_validate`` and ``parse_json_object``."""
    return await asyncio.to_thread(lambda: _validate(shape, parse_json_object(body or b"{}")))


def _parse_push(body: bytes) -> FilePush | WorkflowPush:
    """Parse the body of a push: one with a workflow is no file. Blocking; raises as ``_parse``."""
    document = parse_json_object(body)
    return _validate(WorkflowPush, document) if "workflow" in document else _validate(FilePush, document)


def _validate(shape: type[Query], document: dict[str, Any]) -> Query:
    """Validate the values of a body.

    Raises:
        LocalProblem: they are invalid; the detail names the fields.
    """
    try:
        return shape.model_validate(document)
    except ValidationError as error:
        title, text = "The request is invalid", _describe(error.errors())
        raise LocalProblem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", title, text) from None


def _describe(errors: Sequence[Any]) -> str:
    """Return the fields of a validation error with their messages."""
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors[:5])


async def _call(request: Awaitable[Answer]) -> Answer:
    """Await a call to the registry.

    Raises:
        LocalProblem: the registry refused it, or did not answer in time.
    """
    try:
        async with asyncio.timeout(REGISTRY_SECONDS):
            return await request
    except TimeoutError:
        text = f"The registry did not answer within {REGISTRY_SECONDS:g} seconds."
        raise build_unreachable_problem(text) from None
    except (Problem, TransferFailed) as failure:
        raise build_registry_problem(failure) from None
