"""ComfyUI's official workflow templates: what they declare is compared with what is read."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pytest

from modelyard.comfyui.workflows.loaders import get_default_loaders
from modelyard.comfyui.workflows.reading import read_workflow
from modelyard.comfyui.workflows.references import ModelReference

pytestmark = pytest.mark.slow

Json = dict[str, Any]


@dataclass(frozen=True)
class Template:
    name: str
    content: Json
    references: list[ModelReference]


@dataclass(frozen=True)
class Declaration:
    """An entry of ``properties.models`` with its node."""

    node: Json
    name: str
    directory: str


@pytest.fixture(scope="module")
def templates() -> list[Template]:
    folder = files("comfyui_workflow_templates_json") / "templates"
    documents = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.endswith(".json")}
    contents = {name: json.loads(document) for name, document in documents.items()}
    return [
        Template(name, content, read_workflow(documents[name]))
        for name, content in sorted(contents.items())
        # The package also has indexes of its templates.
        if isinstance(content, dict) and "nodes" in content
    ]


def iterate_nodes(graph: Json) -> Iterator[Json]:
    """Yield the nodes of a workflow and of its subgraph definitions."""
    yield from graph["nodes"]
    for definition in graph.get("definitions", {}).get("subgraphs", []):
        yield from iterate_nodes(definition)


def list_declarations(template: Template) -> list[Declaration]:
    return [
        Declaration(node, model["name"], model["directory"])
        for node in iterate_nodes(template.content)
        for model in node.get("properties", {}).get("models", [])
    ]


def test_every_declared_model_is_found_with_its_folder(templates: list[Template]) -> None:
    declared = {(each.name, model.name, model.directory) for each in templates for model in list_declarations(each)}
    found = {(each.name, model.name, model.folder) for each in templates for model in each.references}
    assert declared
    assert len(declared & found) == len(declared), sorted(declared - found)


def test_every_declared_hash_and_address_is_found(templates: list[Template]) -> None:
    declared = {
        (each.name, model["name"], model["url"], model.get("hash", "").lower() or None)
        for each in templates
        for declaration in list_declarations(each)
        for model in declaration.node["properties"]["models"]
    }
    found = {(each.name, model.name, model.url, model.hash) for each in templates for model in each.references}
    assert any(digest for *_, digest in declared)
    assert declared - found == set()


def test_every_reference_is_declared(templates: list[Template]) -> None:
    undeclared = {
        (each.name, reference.node_id, reference.name)
        for each in templates
        for reference in each.references
        if reference.name not in {declaration.name for declaration in list_declarations(each)}
    }
    assert undeclared == set()


def test_muted_and_bypassed_nodes_are_optional(templates: list[Template]) -> None:
    count = 0
    for template in templates:
        inactive = {str(node["id"]) for node in template.content["nodes"] if node.get("mode") in (2, 4)}
        of_inactive = [each for each in template.references if each.node_id.split(":")[0] in inactive]
        assert [each for each in of_inactive if each.is_required] == []
        count += len(of_inactive)
    assert count > 0


def test_table_of_loaders_has_the_declared_folders(templates: list[Template]) -> None:
    table = get_default_loaders()
    unknown = set()
    for template in templates:
        for declaration in list_declarations(template):
            loader = table.find(declaration.node["type"])
            inputs = loader.inputs.values() if loader else ()
            if not any(declaration.directory in each.list_folders(declaration.name) for each in inputs):
                unknown.add((declaration.node["type"], declaration.directory))
    assert unknown == set()
