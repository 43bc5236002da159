"""Values of the nodes of the UI format, with the names of their widgets."""

from collections.abc import Sequence

from modelyard.comfyui.workflows.documents import JsonObject, as_list, as_object, as_text, list_objects
from modelyard.comfyui.workflows.links import ABSENT, Absent, Computed, Scope
from modelyard.comfyui.workflows.loaders import Loader
from modelyard.comfyui.workflows.nodes import NodeValue

# What the page adds after a number that changes with each run.
_CONTROLS = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})


def read_values(node: JsonObject, scope: Scope, loader: Loader | None) -> tuple[NodeValue, ...]:
    """Return the values with which a node is executed.

    A value that arrives over a link replaces the stored one, which is that of an earlier time. A stored value is left
    out if its input is computed.
    """
    stored = list_stored(node, loader)
    arriving = list_arriving(node, scope)
    values = [NodeValue(name, arriving.get(name, value)) for name, value in stored]
    known = {name for name, _ in stored}
    values += [NodeValue(name, value) for name, value in arriving.items() if name not in known]
    return tuple(each for each in values if not isinstance(each.value, (Absent, Computed)))


def list_arriving(node: JsonObject, scope: Scope) -> dict[str, object]:
    """Return the values that arrive at a node's inputs by name, also from the instance of the subgraph around it.

    A link takes precedence over a value that the instance shows, which is that of an earlier time then.
    """
    arriving = dict(scope.proxied.get(as_text(node.get("id")), {}))
    for each in list_objects(node.get("inputs")):
        name = _get_widget_name(each) or as_text(each.get("name"))
        if name and each.get("link") is not None and (value := scope.find_value(each["link"])) is not ABSENT:
            arriving[name] = value
    return arriving


def list_stored(node: JsonObject, loader: Loader | None) -> list[tuple[str, object]]:
    """Return the stored values of a node with the names of their widgets; "" where a name cannot be told.

    ``widgets_values`` counts where ``widgets_values_named`` says otherwise, as in workflows that were edited by hand:
    ComfyUI's page restores by name only with an experimental setting (``Comfy.Workflow.NamedValuesRestore``).
    """
    values, named = node.get("widgets_values"), as_object(node.get("widgets_values_named"))
    if isinstance(values, dict):
        return list(values.items())
    listed = as_list(values)
    if len(named) == len(listed):
        return list(zip(named, listed, strict=True))
    if named and not (loader and loader.widgets):
        return list(named.items())
    return list(zip(_list_widget_names(node, listed, loader), listed, strict=True))


def _list_widget_names(node: JsonObject, values: Sequence[object], loader: Loader | None) -> Sequence[str]:
    """Return a widget name for each value of a list: by the table of loaders, or else by the node's inputs."""
    if loader and loader.widgets:
        return (*loader.widgets[: len(values)], *[""] * (len(values) - len(loader.widgets)))
    return _pair_names(_list_widget_inputs(node), values) or [""] * len(values)


def _list_widget_inputs(node: JsonObject) -> list[str]:
    """Return the names of the widgets that have an input, in the order of the inputs."""
    return [name for each in list_objects(node.get("inputs")) if (name := _get_widget_name(each))]


def _pair_names(names: Sequence[str], values: Sequence[object]) -> list[str]:
    """Return the name of each value, "" for controls after numbers; an empty list if the counts do not fit."""
    paired: list[str] = []
    remaining = list(reversed(names))
    surplus = len(values) - len(names)
    for index, value in enumerate(values):
        is_control = isinstance(value, str) and value in _CONTROLS and isinstance(values[index - 1], (int, float))
        if surplus > 0 and index and is_control:
            surplus -= 1
            paired.append("")
        elif remaining:
            paired.append(remaining.pop())
    return paired if surplus == 0 and len(paired) == len(values) else []


def _get_widget_name(node_input: JsonObject) -> str:
    """Return the name of the widget that an input belongs to; "" if it has none."""
    return as_text(as_object(node_input.get("widget")).get("name"))
