"""A node of a workflow with its values: what the UI format and the API format are both brought to."""

from dataclasses import dataclass, field

from modelyard.comfyui.workflows.declared import DeclaredModels

# Nodes that pass a value on unchanged, with the name of its widget, the first one. Readers follow links to them, so
# they name no model themselves.
VALUE_NODES = {"PrimitiveNode": "value", "PrimitiveString": "value", "PrimitiveStringMultiline": "value"}

_INACTIVE_MODES = frozenset({2, 4})  # muted, bypassed


@dataclass(frozen=True)
class NodeValue:
    """A value of a widget or an input that is not linked."""

    name: str  # "" if unknown
    value: object  # JSON


@dataclass(frozen=True)
class Node:
    """A node that ComfyUI executes, unless ``is_active`` is False: muted, bypassed or in such a subgraph."""

    id: str
    type: str
    values: tuple[NodeValue, ...]
    is_active: bool = True
    declared: DeclaredModels = field(default_factory=dict)  # of this node


def is_active_mode(mode: object) -> bool:
    """Return whether ComfyUI executes a node of this mode: one that is neither muted nor bypassed."""
    return not (isinstance(mode, int) and mode in _INACTIVE_MODES)
