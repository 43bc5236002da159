"""Bodies of the local API's requests and responses."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from modelyard.wire.agent_requests.models import MAX_REQUESTED_MODELS, RefusedModel
from modelyard.wire.agents.values import ModelState
from modelyard.wire.schemas import Name
from modelyard.wire.versions import MAX_VERSION
from modelyard.wire.workflows import MachineReadiness, WorkflowReference

# The progress of so many models in one request.
MAX_PROGRESS_MODELS = 1000
_MAX_PAGE_ROWS = 100

LocalModelState = ModelState | Literal["absent"]


class LocalShape(BaseModel):
    """A body; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True)


class MachineStatus(LocalShape):
    """The machine, its registry, and what its users may do; ``may_fetch`` is None before the registry said it."""

    registry_url: str
    team_name: str | None
    machine_name: str
    is_registry_reachable: bool
    problem: str | None
    may_fetch: bool | None
    may_push: bool
    push_hint: str | None
    last_synced_at: datetime | None


class ModelQuery(LocalShape):
    """Which of the team's models to list; ``cursor`` is that of the page before."""

    q: Annotated[str, Field(max_length=1000)] | None = None
    model_type: Annotated[str, Field(max_length=255)] | None = None
    cursor: Annotated[str, Field(max_length=2000)] | None = None
    limit: Annotated[int, Field(ge=1, le=_MAX_PAGE_ROWS)] = 40


class ListedModel(LocalShape):
    """A model of the team, and its state on this machine."""

    id: UUID
    display_name: str
    model_type: str
    model_path: str
    base_model: str | None
    is_base_claimed: bool
    trigger_words: list[str]
    file_size: int
    preview_sha256: str | None
    state: LocalModelState


class ModelPage(LocalShape):
    """A page of models; ``next_cursor`` is None on the last one."""

    model_list: list[ListedModel]
    next_cursor: str | None


class FetchRequest(LocalShape):
    """Models that this machine should get."""

    model_ids: Annotated[list[UUID], Field(min_length=1, max_length=MAX_REQUESTED_MODELS)]


class FetchResult(LocalShape):
    """Which of them it gets."""

    requested: list[UUID]
    refused: list[RefusedModel]


class ProgressQuery(LocalShape):
    """Models whose progress is asked for."""

    model_ids: Annotated[list[UUID], Field(min_length=1, max_length=MAX_PROGRESS_MODELS)]


class ModelProgress(LocalShape):
    """How far a model is on this machine. ``ready``: its file is at its path, verified."""

    id: UUID
    state: LocalModelState
    received_bytes: int
    file_size: int | None
    problem: str | None


class ProgressList(LocalShape):
    """The progress of the models, in the order of the request."""

    model_list: list[ModelProgress]


class WorkflowReport(LocalShape):
    """What the team has of a workflow's models, and whether this machine can run it.

    ``machine`` is None if the registry does not list this machine yet.
    """

    reference_list: list[WorkflowReference]
    machine: MachineReadiness | None


class FilePush(LocalShape):
    """A file in a models folder of ComfyUI, to be pushed to the team."""

    folder: Annotated[str, Field(min_length=1, max_length=50)]
    path: Annotated[str, Field(min_length=1, max_length=400)]
    note: Annotated[str, Field(max_length=1000)] | None = None
    replace: bool = False


class PushProgress(LocalShape):
    """A push that goes on; the same request again tells more."""

    state: Literal["running"] = "running"
    step: Literal["preparing", "hashing", "sending", "verifying"]
    done_bytes: int
    total_bytes: int | None


class PushedModel(LocalShape):
    """A file that is a model of the team now."""

    state: Literal["done"] = "done"
    outcome: Literal["registered", "new version", "already there"]
    id: UUID
    display_name: str
    model_type: str
    model_path: str
    version: int


class WorkflowPush(LocalShape):
    """A workflow whose models become a collection of this name; files that the team lacks are pushed first.

    ``expected_version`` is the version that a collection of this name has: without it, one that exists is not changed.
    With ``replace``, it gets the models even if some of the workflow's models are left out.
    """

    workflow: dict[str, Any]
    name: Name
    expected_version: Annotated[int, Field(ge=1, le=MAX_VERSION)] | None = None
    replace: bool = False


class FailedFile(LocalShape):
    """A file that could not be pushed."""

    path: str
    problem: str


class PushedWorkflow(LocalShape):
    """A collection that has the models of a workflow.

    ``pushed_list`` names the files that were pushed, ``missing_list`` those that the team still lacks, ``failed_list``
    why files could not be pushed, ``other_content_list`` those of which the team has other content than the workflow
    declares, which was taken.
    """

    state: Literal["done"] = "done"
    collection_id: UUID
    collection_name: str
    version: int
    model_count: int
    pushed_list: list[str]
    missing_list: list[str]
    failed_list: list[FailedFile]
    other_content_list: list[str]
