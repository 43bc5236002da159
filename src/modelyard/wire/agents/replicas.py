"""API schemas of replica states: models on machines."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from modelyard.wire.agents.values import EXAMPLE_AGENT, MAX_REASON_LENGTH, DesiredBy, ModelState
from modelyard.wire.schemas import EXAMPLE_ID, EXAMPLE_PAGE, EXAMPLE_TIME, PageMeta, Schema

_REASON = (
    "The reason for the state: as the machine reports it, or why it does not go on: the machine is offline, paused, "
    "waits, or has not reported the model, or the registry's copy is damaged."
)


class AgentModel(Schema):
    """The replica state of one model on one machine."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    agent_id: str = Field(description="The machine.", examples=[EXAMPLE_AGENT])
    desired_by: DesiredBy = Field(
        description="Why the machine should hold it: `labels`, it has all labels that the model requires; or else "
        "`assignment`, the model is assigned to it; or else `subscription`, a collection has the model to which the "
        "machine or one of its labels is subscribed.",
        examples=["labels"],
    )
    version: int = Field(
        description="The version that the state is about: the current or the pinned one.",
        examples=[3],
    )
    display_name: str = Field(description="The model's name.", examples=["Ink"])
    model_path: str = Field(description="Where it belongs.", examples=["loras/ink.safetensors"])
    file_size: int = Field(description="Bytes of the file.", examples=[151_000_000])
    state: ModelState = Field(description="The replica state.", examples=["ready"])
    reason: str | None = Field(
        description=_REASON,
        examples=[None],
    )
    bytes_done: int = Field(description="Bytes already on the machine.", examples=[151_000_000])
    reported_at: datetime | None = Field(
        description="When the machine reported the state; null if it has not reported the model yet.",
        examples=[EXAMPLE_TIME],
    )
    last_used_at: datetime | None = Field(
        description="When a prompt of this machine used the model last; null if none is known.",
        examples=[EXAMPLE_TIME],
    )


class AgentModelList(Schema):
    """A page of replica states."""

    agent_model_list: list[AgentModel] = Field(description="The states.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])


class AgentState(Schema):
    """The replica state of a model on one machine."""

    agent_id: str = Field(description="The machine.", examples=[EXAMPLE_AGENT])
    state: ModelState = Field(description="The replica state.", examples=["downloading"])
    reason: str | None = Field(
        description=f"{_REASON} It is cut to {MAX_REASON_LENGTH} characters, the last of which is an ellipsis then.",
        examples=[None],
    )
    bytes_done: int = Field(description="Bytes already on the machine.", examples=[75_000_000])
    pinned_version: int | None = Field(
        description="The version that the machine should hold instead of the current one, since a collection pins it; "
        "the state is about it. Null if it is the current one.",
        examples=[None],
    )


class ModelStates(Schema):
    """The replica states of one model; most machines on which it is ready are only named: the response stays small."""

    model_id: UUID = Field(description="The model's id.", examples=[EXAMPLE_ID])
    version: int = Field(
        description="Its current version, which the states are about, apart from those with a `pinned_version`.",
        examples=[3],
    )
    ready: list[str] = Field(
        description="The machines on which the current version is ready without a remark.", examples=[[EXAMPLE_AGENT]]
    )
    state_list: list[AgentState] = Field(description="The states on all other machines.", examples=[[]])


class ModelStatesList(Schema):
    """The replica states of several models."""

    model_list: list[ModelStates] = Field(description="The models, in the requested order.", examples=[[]])
