"""Workflows of untrusted origin: any types, recursion, and sizes."""

import contextlib
import json
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.comfyui.workflows.reading import read_workflow
from modelyard.comfyui.workflows.references import WorkflowUnreadable

pytestmark = pytest.mark.slow

KEYS = [
    *("id", "type", "mode", "inputs", "nodes", "links", "link", "name", "widget", "widgets_values", "properties"),
    *("widgets_values_named", "proxyWidgets", "models", "definitions", "subgraphs", "inputNode", "extra", "groupNodes"),
    *("class_type", "lora", "on", "strength", "loras", "__value__", "content", "directory", "hash"),
]
TYPES = ["LoraLoader", "S", "workflow>G", "G", "Reroute", "PrimitiveNode", "LoRA Stacker", "ink.pt", "embedding:x"]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(TYPES + KEYS) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS + TYPES), inner, max_size=6),
    max_leaves=15,
)
NODES = st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUES) | {"type": st.sampled_from(TYPES)})


@settings(max_examples=50)
@given(
    st.fixed_dictionaries(
        {"nodes": st.lists(NODES, max_size=4)},
        optional={
            "links": VALUES,
            "models": VALUES,
            "extra": st.fixed_dictionaries({"groupNodes": st.dictionaries(st.just("G"), NODES)}),
            "definitions": st.fixed_dictionaries({"subgraphs": st.lists(NODES.map(lambda each: each | {"id": "S"}))}),
        },
    )
    | st.dictionaries(st.text(max_size=3), st.fixed_dictionaries({"class_type": VALUES, "inputs": VALUES}))
    | VALUES
)
def test_read_wrong_types_raises_only_workflow_unreadable(content: Any) -> None:
    with contextlib.suppress(WorkflowUnreadable):
        read_workflow(json.dumps(content).encode())


@given(st.binary(max_size=200))
def test_read_arbitrary_bytes_raises_only_workflow_unreadable(document: bytes) -> None:
    with contextlib.suppress(WorkflowUnreadable):
        read_workflow(document)


def read_instances(first: str, *subgraphs: tuple[str, list[str]]) -> None:
    """Read a workflow with one instance of a subgraph; each subgraph contains instances of the named ones."""
    definitions = [
        {"id": identifier, "nodes": [{"id": index, "type": each} for index, each in enumerate(types)]}
        for identifier, types in subgraphs
    ]
    nodes = [{"id": 1, "type": first}]
    read_workflow(json.dumps({"nodes": nodes, "definitions": {"subgraphs": definitions}}).encode())


def test_read_subgraph_that_contains_itself_raises() -> None:
    with pytest.raises(WorkflowUnreadable, match="itself"):
        read_instances("A", ("A", ["B"]), ("B", ["A"]))


def test_read_deeply_nested_subgraphs_raises() -> None:
    with pytest.raises(WorkflowUnreadable, match="deeply"):
        read_instances("0", *((str(level), [str(level + 1)]) for level in range(100)))


def test_read_subgraphs_that_multiply_raises() -> None:
    with pytest.raises(WorkflowUnreadable, match="large"):
        read_instances("0", *((str(level), [str(level + 1)] * 2) for level in range(40)))


@contextlib.contextmanager
def counting_lines() -> Iterator[list[int]]:
    """Count the lines of Python that are executed in the block; the only item is their number once it has ended."""
    counted, lines = list[int](), 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield counted
    finally:
        sys.settrace(before)
        counted.append(lines)


def count_lines(document: bytes, count: int) -> int:
    """Return how many lines of Python are executed to read a workflow with so many references."""
    with counting_lines() as lines:
        references = read_workflow(document)
    assert len(references) == count
    return lines[0]


def count_lines_of_refusal(tags: int) -> int:
    """Return how many lines are executed until a text with so many tags is refused for naming more than 100 models."""
    text = " ".join(f"<lora:ink{number}:1> embedding:ink{number}" for number in range(tags))
    document = json.dumps({"1": {"class_type": "CLIPTextEncode", "inputs": {"text": text}}}).encode()
    with counting_lines() as lines, pytest.raises(WorkflowUnreadable, match="more than 100 places"):
        read_workflow(document, max_references=100)
    return lines[0]


def test_read_text_with_too_many_tags_ends_at_the_limit() -> None:
    count_lines_of_refusal(101)  # what is computed once
    assert count_lines_of_refusal(8_000) == count_lines_of_refusal(200)


def test_read_text_that_repeats_a_name_executes_few_lines_for_each() -> None:
    once, often = ({"1": {"class_type": "New", "inputs": {"text": "embedding:ink " * n}}} for n in (1, 1_001))
    count_lines(json.dumps(once).encode(), 1)  # what is computed once
    difference = count_lines(json.dumps(often).encode(), 1) - count_lines(json.dumps(once).encode(), 1)
    assert difference <= 20 * 1_000


def count_lines_of_nodes(count: int) -> int:
    """Return how many lines are executed to read so many linked nodes with declared models."""
    models = [{"name": "ink.pt", "url": "https://example.com/ink.pt", "directory": "vae"}]
    nodes = [
        {
            "id": number,
            "type": "LoraLoader",
            "widgets_values": ["ink.pt", 1, 1],
            "inputs": [{"name": "model", "link": number}],
            "properties": {"models": models},
        }
        for number in range(count)
    ]
    links = [[number, number - 1, 0, number, 0, "MODEL"] for number in range(count)]
    return count_lines(json.dumps({"nodes": nodes, "links": links, "models": models * count}).encode(), count)


def test_read_10000_nodes_executes_ten_times_the_lines_of_1000() -> None:
    count_lines_of_nodes(1)  # what is computed once
    assert count_lines_of_nodes(10_000) <= 10.1 * count_lines_of_nodes(1_000)


def count_lines_of_inputs(count: int) -> int:
    """Return how many lines are executed for a subgraph with so many inputs that all lead to one node."""
    widgets = [{"name": str(slot), "widget": {"name": str(slot)}, "link": slot} for slot in range(count)]
    links = [[slot, -10, slot, 3, slot, "COMBO"] for slot in range(count)]
    reroute = {"id": 4, "type": "Reroute", "inputs": [{"link": -1}, *widgets]}
    from_reroute = [[slot, 4, 0, 3, slot, "*"] for slot in range(count)]
    loader = {"id": 3, "type": "New", "inputs": widgets}
    subgraph = {"id": "A", "nodes": [loader], "links": links, "inputs": [{"name": str(slot)} for slot in range(count)]}
    instance = {"id": 1, "type": "A", "widgets_values": ["ink.pt"] * count}
    document = {"nodes": [instance, loader, reroute], "links": from_reroute, "definitions": {"subgraphs": [subgraph]}}
    return count_lines(json.dumps(document).encode(), count)


@pytest.mark.extended(reason="seconds; test_read_10000_nodes_executes_ten_times_the_lines_of_1000 is like it")
def test_read_node_with_10000_inputs_executes_ten_times_the_lines_of_1000() -> None:
    count_lines_of_inputs(1)  # what is computed once
    assert count_lines_of_inputs(10_000) <= 10.1 * count_lines_of_inputs(1_000)
