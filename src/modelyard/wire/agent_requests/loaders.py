"""API schemas of the loader nodes that a machine's ComfyUI has."""

from typing import Annotated

from pydantic import Field, StringConstraints

from modelyard.wire.agents.values import EXAMPLE_AGENT, AgentId
from modelyard.wire.schemas import ModelType, Schema
from modelyard.wire.texts.rules import NAME_PATTERN

# In one report. A ComfyUI with many custom nodes has some hundred.
MAX_LOADER_INPUTS = 2_000
MAX_NODE_NAME_LENGTH = 200

NodeName = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=MAX_NODE_NAME_LENGTH, pattern=NAME_PATTERN)
]


class LoaderInput(Schema):
    """An input of a node that offers the files of one models folder."""

    node_type: NodeName = Field(description="The node's class.", examples=["StyleLoader"])
    input: NodeName = Field(description="The input's name.", examples=["style_name"])
    folder: ModelType = Field(description="ComfyUI's key of the folder.", examples=["style_models"])


class LoaderReport(Schema):
    """The loader inputs that the ComfyUIs of a machine have, in place of those that it reported before."""

    agent_id: AgentId = Field(description="The machine's name, which its agent chooses.", examples=[EXAMPLE_AGENT])
    loader_list: Annotated[list[LoaderInput], Field(max_length=MAX_LOADER_INPUTS)] = Field(
        description=f"The inputs, at most {MAX_LOADER_INPUTS:,}, each once.", examples=[[]]
    )
