"""API schemas of checks of all models of a team for newer versions at their sources."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from modelyard.wire.schemas import EXAMPLE_ID, EXAMPLE_TIME, Schema
from modelyard.wire.versions import Creator

SourceCheckState = Literal["running", "done", "failed"]
# Further ones are counted only.
MAX_LISTED_FAILURES = 200


class FailedSourceCheck(Schema):
    """A model whose source could not be asked."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    model_path: str = Field(description="Its path.", examples=["loras/ink.safetensors"])
    error: str = Field(description="Why its source could not be asked.", examples=["'civitai.com' has no such model."])


class SourceCheckRun(Schema):
    """A check of all models that name a source, and how far it is."""

    id: UUID = Field(description="The id of this check of all models.", examples=[EXAMPLE_ID])
    check_state: SourceCheckState = Field(
        description="`running`: the registry asks the sources, one model after the other. `done`: all were asked. "
        "`failed`: it has ended early; `error` says why.",
        examples=["running"],
    )
    model_count: int = Field(description="Models that named a source when it was started.", examples=[120])
    checked_count: int = Field(description="Models that were checked so far.", examples=[42])
    newer_count: int = Field(description="Those with a newer version at their source.", examples=[3])
    failure_count: int = Field(description="Those whose source could not be asked.", examples=[0])
    failure_list: list[FailedSourceCheck] = Field(
        description=f"Those whose source could not be asked, at most {MAX_LISTED_FAILURES}.", examples=[[]]
    )
    retry_at: datetime | None = Field(
        description="When a source that did not answer is asked again; null if it is not waiting.", examples=[None]
    )
    error: str | None = Field(description="Why it has ended early; null otherwise.", examples=[None])
    created_at: datetime = Field(description="When it was started.", examples=[EXAMPLE_TIME])
    finished_at: datetime | None = Field(description="When it ended; null before.", examples=[None])
    created_by: Creator = Field(
        description="Who started it.", examples=[{"kind": "user", "id": None, "display_name": "Ada"}]
    )


class SourceChecks(Schema):
    """The last check of all models of a team."""

    source_check_run: SourceCheckRun | None = Field(
        description="The one that runs, or the last that ended; null before the first.", examples=[None]
    )
