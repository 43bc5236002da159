"""Group nodes: what the UI format had before subgraphs. Definitions are in ``extra.groupNodes``."""

from collections.abc import Mapping

from modelyard.comfyui.workflows.documents import JsonObject, as_list, as_object, as_text, list_objects
from modelyard.comfyui.workflows.links import Graph

# Of an instance's type before the name of its group; the second one until version 1.2.63 of the page.
_PREFIXES = ("workflow>", "workflow/")


def find_groups(content: JsonObject) -> Mapping[str, JsonObject]:
    """Return the group definitions of a workflow by the types of their instances."""
    groups = as_object(as_object(content.get("extra")).get("groupNodes"))
    return {
        prefix + name: definition
        for name, definition in groups.items()
        if isinstance(definition, dict)
        for prefix in _PREFIXES
    }


def build_group_graph(instance: JsonObject, definition: JsonObject) -> Graph:
    """Return the nodes inside an instance of a group, with the values of the instance; their ids are their indexes."""
    nodes = list_objects(definition.get("nodes"))
    stored, values = [as_list(node.get("widgets_values")) for node in nodes], as_list(instance.get("widgets_values"))
    remaining: list[object] = []
    if values:
        stored, remaining = _distribute(stored, values)
    inner = [
        {**node, "id": index, "inputs": _unlink(node), "widgets_values": listed, "widgets_values_named": None}
        for index, (node, listed) in enumerate(zip(nodes, stored, strict=True))
    ]
    # Unknown by type: values of the instance whose node cannot be told.
    return Graph({"nodes": [*inner, {"type": f"group {as_text(instance.get('type'))}", "widgets_values": remaining}]})


def _distribute(stored: list[list[object]], values: list[object]) -> tuple[list[list[object]], list[object]]:
    """Return the instance's values for each node, and those whose node cannot be told.

    An instance lists the values of all nodes one after the other. Fewer than the nodes have stored are there if some
    are linked: then a stored text counts only if the instance has it too.
    """
    if sum(map(len, stored)) == len(values):
        remaining = iter(values)
        return [[next(remaining) for _ in listed] for listed in stored], []
    own = {value for value in values if isinstance(value, str)}
    known = {value for listed in stored for value in listed if isinstance(value, str)}
    kept = [[None if isinstance(value, str) and value not in own else value for value in listed] for listed in stored]
    return kept, [value for value in values if isinstance(value, str) and value not in known]


def _unlink(node: JsonObject) -> list[JsonObject]:
    """Return the inputs of a node without links, whose ids are those of the workflow that the group was made in."""
    return [{**each, "link": None} for each in list_objects(node.get("inputs"))]
