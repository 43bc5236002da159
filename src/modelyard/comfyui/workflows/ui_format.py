"""Nodes of a workflow in UI format, as ComfyUI's page saves it: subgraphs and group nodes are expanded."""

from collections.abc import Iterator

from modelyard.comfyui.workflows.declared import read_declared
from modelyard.comfyui.workflows.documents import JsonObject, as_object, as_text
from modelyard.comfyui.workflows.links import Graph, Scope
from modelyard.comfyui.workflows.loaders import LoaderTable
from modelyard.comfyui.workflows.nodes import VALUE_NODES, Node, is_active_mode
from modelyard.comfyui.workflows.subgraphs import Subgraphs
from modelyard.comfyui.workflows.widgets import read_values

# Nodes of the page that are not executed.
_PAGE_NODES = frozenset({"Note", "MarkdownNote", "Reroute", *VALUE_NODES})


def read_ui_nodes(content: JsonObject, table: LoaderTable, max_expanded_bytes: int) -> Iterator[Node]:
    """Yield the nodes of a workflow, those of a subgraph at each of its instances.

    Raises:
        WorkflowUnreadable: a subgraph contains itself, or the expanded workflow is too large.
    """
    yield from _read_scope(Scope(Graph(content)), Subgraphs(content, max_expanded_bytes), table)


def _read_scope(scope: Scope, subgraphs: Subgraphs, table: LoaderTable) -> Iterator[Node]:
    """Yield the nodes of a graph and of the subgraphs in it."""
    for content in scope.graph.nodes:
        node_type = as_text(content.get("type"))
        if inner := subgraphs.enter(content, scope):
            yield from _read_scope(inner, subgraphs, table)
        elif node_type and node_type not in _PAGE_NODES:
            yield Node(
                id=(scope.prefix + as_text(content.get("id"))).rstrip(":"),
                type=node_type,
                values=read_values(content, scope, table.find(node_type)),
                is_active=scope.is_active and is_active_mode(content.get("mode")),
                declared=read_declared(as_object(content.get("properties")).get("models")),
            )
