"""API schemas of workflow checks: which models a ComfyUI workflow names, and on which machines it can run."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from modelyard.wire.agents.values import EXAMPLE_AGENT
from modelyard.wire.schemas import EXAMPLE_ID, Schema

MAX_WORKFLOW_BYTES = 64 * 1024 * 1024
# A name that was not found is compared with names of the team's models, which costs a search each.
MAX_SUGGESTIONS = 20

ReferenceState = Literal["present", "other_content", "other_name", "similar", "unknown"]
Readiness = Literal["ready", "soon", "assignable", "cannot"]

EXAMPLE_REFERENCE_NAME = "portraits/ink.safetensors"


class WorkflowReference(Schema):
    """A model file that a node of the workflow names, and what the team has for it."""

    node_id: str = Field(
        description="The node's id; inside subgraphs the ids from the outermost node on, joined by `:`.",
        examples=["12"],
    )
    node_type: str = Field(description="The node's class.", examples=["LoraLoader"])
    input: str = Field(description="The node's input that names the file; empty if unknown.", examples=["lora_name"])
    folder: str | None = Field(description="ComfyUI's folder key; null if unknown.", examples=["loras"])
    name: str = Field(description="The name below that folder, as written.", examples=[EXAMPLE_REFERENCE_NAME])
    hash: str | None = Field(description="The hash that the workflow declares for the file.", examples=[None])
    url: str | None = Field(description="The address that the workflow declares for the file.", examples=[None])
    is_required: bool = Field(
        description="False for muted and bypassed nodes, and for entries that are switched off.", examples=[True]
    )
    state: ReferenceState = Field(
        description="`present`: the team has the file at this folder and name, with the declared hash if there is one. "
        "`other_content`: its file of this name has another hash. `other_name`: it has a file with this hash, but "
        "under another name. `similar`: it has a file whose name is similar; whether it is the same one is not known. "
        "`unknown`: none of these.",
        examples=["present"],
    )
    model_id: UUID | None = Field(
        description="The model that the state is about; null if unknown.", examples=[EXAMPLE_ID]
    )
    version: int | None = Field(description="Its version with that content, or its current one.", examples=[1])
    suggestion: str | None = Field(
        description="What the node would have to name instead to load a file that the team has.", examples=[None]
    )
    reason: str | None = Field(
        default=None, description="Why no model of the registry can have this name; null if one can.", examples=[None]
    )


class MachineReadiness(Schema):
    """Whether a machine can run the workflow."""

    agent_id: str = Field(description="The machine's name.", examples=[EXAMPLE_AGENT])
    readiness: Readiness = Field(
        description="`ready`: it holds all models that are required. `soon`: it should hold them, and gets the missing "
        "ones. `assignable`: it would, if the models in `missing_list` were assigned to it. `cannot`: `reason` says "
        "why.",
        examples=["ready"],
    )
    seconds: int | None = Field(
        description="An estimate of the time until it is ready, once all are assigned; null if unknown or `cannot`.",
        examples=[0],
    )
    reason: str | None = Field(
        description="Why it is not ready; of a machine that is, that it is offline or paused.", examples=[None]
    )
    missing_list: list[UUID] = Field(
        description="The models that it lacks and that are not meant for it: `PUT /agents/{agent_id}/models/{model_id}`"
        " assigns one.",
        examples=[[]],
    )


class WorkflowCheck(Schema):
    """The result of a check."""

    reference_list: list[WorkflowReference] = Field(description="In the order of the file.", examples=[[]])
    machine_list: list[MachineReadiness] = Field(
        description="The team's machines by name; for a machine's key only its own.", examples=[[]]
    )
