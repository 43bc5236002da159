"""Nodes of a workflow in API format, as ``POST /prompt`` takes it: inputs have names, subgraphs are expanded."""

from modelyard.comfyui.workflows.documents import JsonObject, as_list, as_object, as_text
from modelyard.comfyui.workflows.nodes import VALUE_NODES, Node, NodeValue


def read_api_nodes(nodes: JsonObject) -> list[Node]:
    """Return the nodes of a workflow in API format. All of them are active: the others are not written to it."""
    return [
        Node(node_id, type_name, tuple(NodeValue(name, value) for name, value in _list_values(as_object(node), nodes)))
        for node_id, node in nodes.items()
        if (type_name := as_text(as_object(node).get("class_type"))) and type_name not in VALUE_NODES
    ]


def _list_values(node: JsonObject, nodes: JsonObject) -> list[tuple[str, object]]:
    """Return names and values of a node's inputs; links are followed to nodes that hold a value, or left out."""
    values = []
    for name, value in as_object(node.get("inputs")).items():
        if (link := _get_origin(value)) is None:
            values.append((name, value))
        elif (text := _get_value(as_object(nodes.get(link)))) is not None:
            values.append((name, text))
    return values


def _get_origin(value: object) -> str | None:
    """Return the id of the node that a link ``[id, output]`` comes from; None for a value."""
    pair = as_list(value)
    if len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], int):
        return pair[0]
    return None


def _get_value(node: JsonObject) -> object:
    """Return the value that a node passes on; None if its output is known only when it is executed."""
    value = as_object(node.get("inputs")).get(VALUE_NODES.get(as_text(node.get("class_type")), ""))
    return None if isinstance(value, list) else value
