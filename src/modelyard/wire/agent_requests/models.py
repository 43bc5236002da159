"""API schemas of models that a machine lists, and assigns to itself."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from modelyard.wire.agents.values import EXAMPLE_AGENT, AgentId, ModelState
from modelyard.wire.model_details import BaseSource, TriggerWord
from modelyard.wire.schemas import EXAMPLE_ID, EXAMPLE_PAGE, PageMeta, Schema
from modelyard.wire.versions import EXAMPLE_PREVIEW

# The maximum number of models in one request.
MAX_REQUESTED_MODELS = 100


class ModelRequest(Schema):
    """Models that a machine should hold from now on, because a user of it wants them."""

    agent_id: AgentId = Field(description="The machine's name, which its agent chooses.", examples=[EXAMPLE_AGENT])
    model_ids: Annotated[list[UUID], Field(min_length=1, max_length=MAX_REQUESTED_MODELS)] = Field(
        description=f"The models, at most {MAX_REQUESTED_MODELS}.", examples=[[EXAMPLE_ID]]
    )


class RefusedModel(Schema):
    """A requested model that the machine does not get."""

    id: UUID = Field(description="The id, as requested.", examples=[EXAMPLE_ID])
    problem: str = Field(description="Why, as one sentence.", examples=["The team has no such model."])


class ModelRequestResult(Schema):
    """Which of the requested models are assigned to the machine now."""

    requested: list[UUID] = Field(
        description="The models that the machine gets, also those that were assigned to it before.",
        examples=[[EXAMPLE_ID]],
    )
    pending: list[UUID] = Field(
        default_factory=list,
        description="Those of them that are not verified yet: the machine gets them once they are.",
        examples=[[]],
    )
    refused: list[RefusedModel] = Field(description="The others, with the reason of each.", examples=[[]])


class RequestableModel(Schema):
    """A model that a machine can request, and its state there."""

    id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    display_name: str = Field(description="Its name.", examples=["Ink"])
    model_type: str = Field(description="The ComfyUI models sub-directory.", examples=["loras"])
    model_path: str = Field(description="Relative path inside the models directory.", examples=["loras/ink.sft"])
    file_size: int = Field(description="Bytes of the file.", examples=[151_000_000])
    base_model: str | None = Field(description="What it is based on; null if unknown.", examples=["Pony"])
    base_source: BaseSource | None = Field(
        default=None, description="Where that comes from, as in the record of a model.", examples=["metadata"]
    )
    trigger_words: list[TriggerWord] = Field(
        description="Words or phrases that make it take effect, best first.",
        examples=[[{"text": "inkwash", "source": "file"}]],
    )
    preview_sha256: str | None = Field(
        description="The hash of its picture, which `GET /previews/{sha256}` serves; null without one.",
        examples=[EXAMPLE_PREVIEW.rpartition("/")[2]],
    )
    state: ModelState | Literal["absent"] = Field(
        description="The replica state on this machine; `absent`: the machine should not hold it.",
        examples=["absent"],
    )


class RequestableModelList(Schema):
    """A page of models that a machine can request."""

    model_list: list[RequestableModel] = Field(description="The models, newest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])
