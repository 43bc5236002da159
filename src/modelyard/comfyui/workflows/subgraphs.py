"""Subgraphs and group nodes of the UI format: definitions, and the values that an instance gives to the nodes in it."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace

from modelyard.comfyui.workflows.documents import JsonObject, as_list, as_object, as_text, list_objects
from modelyard.comfyui.workflows.group_nodes import build_group_graph, find_groups
from modelyard.comfyui.workflows.links import Graph, Scope
from modelyard.comfyui.workflows.nodes import is_active_mode
from modelyard.comfyui.workflows.references import ExpansionTooLarge, WorkflowUnreadable
from modelyard.comfyui.workflows.widgets import list_arriving

# Subgraphs within each other.
_MAX_DEPTH = 50
_MIN_INSTANCE_BYTES = 5_000

_INSTANCE_ITSELF = "-1"
# Widgets of subgraphs within each other are also written as "12: ckpt_name".
_proxy_prefix = re.compile(r"^(\s*\d{1,20}\s*:)+\s*")


class Subgraphs:
    """The subgraph definitions of a workflow, and how much of them has been read."""

    def __init__(self, content: JsonObject, max_expanded_bytes: int) -> None:
        self._max_expanded_bytes = max_expanded_bytes
        self._groups = find_groups(content)
        self._contents = {**self._groups, **_collect_definitions(content)}
        self._graphs: dict[str, Graph] = {}
        self._sizes: dict[str, int] = {}
        self._read_bytes = 0

    def enter(self, node: JsonObject, scope: Scope) -> Scope | None:
        """Return what is inside a node that is an instance of a subgraph; None for any other node.

        Raises:
            WorkflowUnreadable: the subgraph contains itself, or a limit is exceeded.
        """
        definition = as_text(node.get("type"))
        if definition not in self._contents:
            return None
        if definition in scope.definitions:
            raise WorkflowUnreadable("A subgraph of the workflow contains itself.")
        if len(scope.definitions) >= _MAX_DEPTH:
            raise WorkflowUnreadable("The workflow's subgraphs are nested too deeply.")
        self._count_instance(definition)
        if self._read_bytes > self._max_expanded_bytes:
            raise ExpansionTooLarge("The workflow's subgraphs are too large.")

        if definition in self._groups:
            return _build_scope(node, scope, build_group_graph(node, self._contents[definition]))
        graph = self._get_graph(definition)
        arriving = list_arriving(node, scope)
        proxied = _list_proxied(node, arriving)
        stored = {} if proxied else _list_stored(node, graph)
        inner = _build_scope(node, scope, graph)
        return replace(inner, supplied={**stored, **proxied.pop(_INSTANCE_ITSELF, {}), **arriving}, proxied=proxied)

    def _get_graph(self, definition: str) -> Graph:
        """Return the graph of a definition, which is indexed once."""
        if definition not in self._graphs:
            self._graphs[definition] = Graph(self._contents[definition])
        return self._graphs[definition]

    def _count_instance(self, definition: str) -> None:
        """Add an instance to what has been read."""
        if definition not in self._sizes:
            own = {key: value for key, value in self._contents[definition].items() if key != "definitions"}
            self._sizes[definition] = _MIN_INSTANCE_BYTES + len(json.dumps(own))
        self._read_bytes += self._sizes[definition]


def _build_scope(node: JsonObject, scope: Scope, graph: Graph) -> Scope:
    """Return the scope of the nodes inside an instance, without values from it."""
    return Scope(
        graph=graph,
        prefix=f"{scope.prefix}{as_text(node.get('id'))}:",
        is_active=scope.is_active and is_active_mode(node.get("mode")),
        definitions=(*scope.definitions, as_text(node.get("type"))),
    )


def _collect_definitions(content: JsonObject) -> Mapping[str, JsonObject]:
    """Return the subgraph definitions of a workflow by id; a definition may have definitions of its own."""
    found: dict[str, JsonObject] = {}
    remaining = [content]
    while remaining:
        for definition in list_objects(as_object(remaining.pop().get("definitions")).get("subgraphs")):
            if identifier := as_text(definition.get("id")):
                found.setdefault(identifier, definition)
            remaining.append(definition)
    return found


def _list_stored(node: JsonObject, graph: Graph) -> dict[str, object]:
    """Return the values that are stored at an instance, by the names of the subgraph's inputs; without null.

    Values without names are those of the inputs that lead to widgets, in order, as for ComfyUI's page.
    """
    values, named = node.get("widgets_values"), as_object(node.get("widgets_values_named"))
    listed = as_list(values)
    if isinstance(values, dict):
        named = values
    elif len(named) == len(listed):
        named = dict(zip(named, listed, strict=True))
    elif not named:
        named = dict(zip(graph.widget_inputs, listed, strict=False))
    return {name: value for name, value in named.items() if value is not None}


def _list_proxied(node: JsonObject, arriving: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Return values of widgets that an instance shows, which workflows of 2025 list as ``properties.proxyWidgets``.

    Each has the id of a node in the subgraph and the name of its widget; the id -1 is the instance itself. A widget
    that a subgraph around this one shows has its value in ``arriving``.
    """
    proxies = [as_list(each)[:2] for each in as_list(as_object(node.get("properties")).get("proxyWidgets"))]
    stored = as_list(node.get("widgets_values"))
    found: dict[str, dict[str, object]] = {}
    for index, pair in enumerate(proxies):
        key = (as_text(pair[0]), _proxy_prefix.sub("", as_text(pair[1]))) if len(pair) > 1 else ("", "")
        value = arriving.get(key[1], stored[index] if index < len(stored) else None)
        if all(key) and value is not None:
            found.setdefault(key[0], {})[key[1]] = value
    return found
