"""Graphs of the UI format with their links: the value that arrives at an input of a node."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from modelyard.comfyui.workflows.documents import JsonObject, as_list, as_object, as_text, list_objects
from modelyard.comfyui.workflows.nodes import VALUE_NODES

# Nodes that only pass on what they are linked to.
_PASSING_NODES = frozenset({"Reroute"})
_MAX_HOPS = 100


class Absent:
    """No value arrives at an input, so that the node's own value counts."""


class Computed:
    """The value of an input is known only when the workflow is executed."""


ABSENT, COMPUTED = Absent(), Computed()


@dataclass(frozen=True)
class Link:
    """A link between two nodes; an end at a subgraph's own inputs has the id of its input node."""

    origin: str
    origin_slot: int
    target: str
    target_slot: int


class Graph:
    """A graph of the UI format: a workflow or the definition of a subgraph. Indexes are built once."""

    def __init__(self, content: JsonObject) -> None:
        self.content = content
        self.nodes = list_objects(content.get("nodes"))
        self.input_names = [as_text(each.get("name")) for each in list_objects(content.get("inputs"))]
        # ComfyUI's page gives it this id in each subgraph.
        self.input_node = as_text(as_object(content.get("inputNode")).get("id")) or "-10"

    @cached_property
    def nodes_by_id(self) -> Mapping[str, JsonObject]:
        """The nodes by id."""
        return {as_text(node.get("id")): node for node in self.nodes}

    @cached_property
    def links(self) -> Mapping[str, Link]:
        """The links by id."""
        return {key: link for each in as_list(self.content.get("links")) for key, link in _read_link(each)}

    @cached_property
    def widget_inputs(self) -> tuple[str, ...]:
        """The names of a subgraph's inputs that lead to widgets, in order: those of its instances' values."""
        from_inputs = [link for link in self.links.values() if link.origin == self.input_node]
        widgets = {target: self._list_widget_slots(target) for target in {link.target for link in from_inputs}}
        slots = {link.origin_slot for link in from_inputs if link.target_slot in widgets[link.target]}
        return tuple(name for slot, name in enumerate(self.input_names) if slot in slots)

    def _list_widget_slots(self, node_id: str) -> frozenset[int]:
        """Return the indexes of a node's inputs that belong to widgets."""
        inputs = list_objects(as_object(self.nodes_by_id.get(node_id)).get("inputs"))
        return frozenset(slot for slot, each in enumerate(inputs) if isinstance(each.get("widget"), dict))


def _read_link(link: object) -> list[tuple[str, Link]]:
    """Return a link with its id: a list in version 0.4, an object in subgraphs and in version 1; none if invalid."""
    if isinstance(link, dict):
        ends = [link.get(key) for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
    else:
        ends = as_list(link)[:5]
    if len(ends) < 5 or not isinstance(ends[2], int) or not isinstance(ends[4], int):
        return []
    return [(as_text(ends[0]), Link(as_text(ends[1]), ends[2], as_text(ends[3]), ends[4]))]


@dataclass(frozen=True)
class Scope:
    """A graph as it is executed: the workflow, or one instance of a subgraph.

    ``supplied`` are the values that the instance gives to the subgraph's inputs by name, ``proxied`` those that it
    gives to widgets of nodes in it, by node id and widget name.
    """

    graph: Graph
    prefix: str = ""  # of node ids, such as "12:"
    is_active: bool = True
    definitions: tuple[str, ...] = ()  # of the subgraphs that contain each other here
    supplied: Mapping[str, object] = field(default_factory=dict)
    proxied: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def find_value(self, link: object) -> object:
        """Return the value that arrives over a link; ``ABSENT`` or ``COMPUTED`` if there is none.

        It comes from the instance of the subgraph or from a node that holds a value.
        """
        for _ in range(_MAX_HOPS):
            found = self.graph.links.get(as_text(link))
            if found is None:
                return ABSENT
            if found.origin == self.graph.input_node:
                return self._find_supplied(found.origin_slot)
            node = self.graph.nodes_by_id.get(found.origin)
            if node is None:
                return ABSENT
            link = _get_first_link(node)
            if link is None:
                return self._get_held_value(node)
            if node.get("type") not in _PASSING_NODES and node.get("type") not in VALUE_NODES:
                return COMPUTED
        return COMPUTED

    def _find_supplied(self, slot: int) -> object:
        """Return the value of an input of the subgraph."""
        names = self.graph.input_names
        return self.supplied.get(names[slot], ABSENT) if 0 <= slot < len(names) else ABSENT

    def _get_held_value(self, node: JsonObject) -> object:
        """Return the value of a node that holds one; ``COMPUTED`` for any other node."""
        if (widget := VALUE_NODES.get(as_text(node.get("type")))) is None:
            return COMPUTED
        proxied = self.proxied.get(as_text(node.get("id")), {})
        if widget in proxied:
            return proxied[widget]
        values = node.get("widgets_values")
        return values.get(widget, ABSENT) if isinstance(values, dict) else next(iter(as_list(values)), ABSENT)


def _get_first_link(node: JsonObject) -> object:
    """Return the id of the link at a node's first input; None if it has none."""
    return next((as_object(each).get("link") for each in as_list(node.get("inputs"))), None)
