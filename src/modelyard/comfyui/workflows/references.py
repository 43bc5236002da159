"""References from workflows to model files."""

from dataclasses import dataclass


class WorkflowUnreadable(ValueError):
    """A document is no workflow, or exceeds a limit of the reader. The message says why, without its content."""


class ExpansionTooLarge(WorkflowUnreadable):
    """Reading the nodes of subgraphs at each of their instances exceeds the caller's limit."""


@dataclass(frozen=True)
class ModelReference:
    """A model file that a workflow's node names.

    Everything is as an untrusted document says it: ``name`` may contain ``..`` or be absolute, and ``url`` may lead
    anywhere. Neither has been resolved.
    """

    node_id: str  # inside a subgraph "12:3" (instance:inner node), as ComfyUI's API format writes it
    node_type: str
    input: str  # the name of the widget or input; "" if unknown
    folder: str | None  # ComfyUI's canonical folder key, such as "loras"; None if unknown
    name: str  # as written, with either slash; from prompt tags and some custom nodes without extension
    hash: str | None  # declared by the workflow: lower-case hex SHA-256, or another hash as "kind:digits"
    url: str | None  # declared by the workflow; http or https
    is_required: bool  # False: muted or bypassed, inside such a subgraph, or a LoRA row that is switched off
    is_bare: bool = False  # without extension, for a node that finds the file by its name in any subfolder
