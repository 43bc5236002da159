import json
from typing import Any

import pytest

from modelyard.comfyui.workflows.reading import read_workflow
from modelyard.comfyui.workflows.references import ModelReference

SUBGRAPH = "8a8b0c4e-0000-4000-8000-000000000001"
Json = dict[str, Any]


def read(**workflow: object) -> list[ModelReference]:
    return read_workflow(json.dumps(workflow).encode())


def read_nodes(*nodes: Json, **workflow: object) -> list[ModelReference]:
    return read(nodes=list(nodes), **workflow)


def node(node_type: str, values: object = (), node_id: int = 1, **rest: object) -> Json:
    listed = list(values) if isinstance(values, tuple) else values
    return {"id": node_id, "type": node_type, "widgets_values": listed, **rest}


def list_names(references: list[ModelReference]) -> list[tuple[str, str, str | None, str]]:
    return [(each.node_id, each.input, each.folder, each.name) for each in references]


def subgraph(*nodes: Json, identifier: str = SUBGRAPH, **rest: object) -> Json:
    return {"id": identifier, "nodes": list(nodes), **rest}


def promoting(name: str, loader: Json) -> Json:
    """Return a subgraph whose input leads to the first widget of its loader."""
    links = [
        {"id": 9, "origin_id": -10, "origin_slot": 1, "target_id": loader["id"], "target_slot": 0, "type": "COMBO"}
    ]
    linked = {**loader, "inputs": [{"name": "lora_name", "widget": {"name": "lora_name"}, "link": 9}]}
    return subgraph(linked, links=links, inputs=[{"name": "model"}, {"name": name}])


def test_read_loaders_with_positional_values_returns_names_and_folders() -> None:
    references = read_nodes(
        node("CheckpointLoaderSimple", ("xl/base.safetensors",)),
        node("DualCLIPLoader", ("clip_l.safetensors", "t5.gguf", "flux", "default"), 2),
        node("CheckpointLoader", ("v1-inference.yaml", "old.ckpt"), 3),
        node("VAELoader", ("taehv.safetensors",), 4),
    )
    assert list_names(references) == [
        ("1", "ckpt_name", "checkpoints", "xl/base.safetensors"),
        ("2", "clip_name1", "text_encoders", "clip_l.safetensors"),
        ("2", "clip_name2", "text_encoders", "t5.gguf"),
        ("3", "ckpt_name", "checkpoints", "old.ckpt"),
        ("4", "vae_name", "vae_approx", "taehv.safetensors"),
    ]


def test_read_unknown_node_pairs_values_with_inputs_and_skips_seed_control() -> None:
    inputs = [{"name": name, "widget": {"name": name}, "link": None} for name in ("seed", "weights")]
    references = read_nodes(node("New", (7, "randomize", "ink.safetensors"), inputs=inputs))
    assert list_names(references) == [("1", "weights", None, "ink.safetensors")]


def test_read_unknown_node_with_unpaired_values_has_no_input_name() -> None:
    inputs = [{"name": "seed", "widget": {"name": "seed"}, "link": None}]
    references = read_nodes(node("New", (7, 8, "ink.safetensors"), inputs=inputs))
    assert list_names(references) == [("1", "", None, "ink.safetensors")]


def test_read_values_as_object_or_with_names_are_named() -> None:
    references = read_nodes(
        node("New", {"weights": "a.gguf"}),
        node("New", ("b.gguf", 1), 2, widgets_values_named={"weights": "stale.gguf", "strength": 1}),
    )
    assert list_names(references) == [("1", "weights", None, "a.gguf"), ("2", "weights", None, "b.gguf")]


@pytest.mark.parametrize("mode", [2, 4], ids=["muted", "bypassed"])
def test_read_inactive_node_is_optional(mode: int) -> None:
    (reference,) = read_nodes(node("LoraLoader", ("ink.pt", 1, 1), mode=mode))
    assert not reference.is_required


def test_read_linked_widget_takes_value_of_primitive_node() -> None:
    loader = node(
        "LoraLoader", ("stale.pt", 1, 1), inputs=[{"name": "lora_name", "widget": {"name": "lora_name"}, "link": 5}]
    )
    primitive = node("PrimitiveNode", ("ink.pt", "fixed"), 2)
    for links in (
        [[5, 2, 0, 1, 0, "COMBO"]],
        [{"id": 5, "origin_id": 2, "origin_slot": 0, "target_id": 1, "target_slot": 0}],
    ):
        assert list_names(read_nodes(loader, primitive, links=links)) == [("1", "lora_name", "loras", "ink.pt")]


def test_read_widget_linked_through_reroutes_to_computed_value_has_no_reference() -> None:
    loader = node(
        "LoraLoader", ("stale.pt", 1, 1), inputs=[{"name": "lora_name", "widget": {"name": "lora_name"}, "link": 5}]
    )
    reroute, computed = node("Reroute", None, 2, inputs=[{"name": "", "link": 6}]), node("PickName", None, 3)
    links = [[5, 2, 0, 1, 0, "*"], [6, 3, 0, 2, 0, "*"]]
    assert read_nodes(loader, reroute, computed, links=links) == []


def test_read_link_at_input_without_name_replaces_no_value() -> None:
    unknown = node("New", ("ink.pt",), inputs=[{"name": "", "link": 5}])
    references = read_nodes(unknown, node("PrimitiveNode", ("other.pt",), 2), links=[[5, 2, 0, 1, 0, "*"]])
    assert [each.name for each in references] == ["ink.pt"]


def test_read_links_in_a_circle_end() -> None:
    loader = node(
        "LoraLoader", ("ink.pt", 1, 1), inputs=[{"name": "lora_name", "widget": {"name": "lora_name"}, "link": 5}]
    )
    reroute = node("Reroute", None, 2, inputs=[{"name": "", "link": 6}])
    assert read_nodes(loader, reroute, links=[[5, 2, 0, 1, 0, "*"], [6, 2, 0, 2, 0, "*"]]) == []


def test_read_declared_models_join_by_exact_name() -> None:
    models = [
        {
            "name": "ink.pt",
            "url": "https://example.com/ink.pt",
            "directory": "loras",
            "hash": "AB" * 32,
            "hash_type": "SHA256",
        },
        {"name": "other.pt", "url": "https://example.com/other.pt", "directory": "loras"},
    ]
    (reference,) = read_nodes(node("LoraLoader", ("ink.pt", 1, 1), properties={"models": models}))
    assert (reference.url, reference.hash) == ("https://example.com/ink.pt", "ab" * 32)


def test_read_declared_directory_gives_folder_of_unknown_node() -> None:
    models = [{"name": "ink.pt", "url": "https://example.com/ink.pt", "directory": "unet/flux"}]
    (reference,) = read_nodes(node("New", ("ink.pt",)), models=models)
    assert (reference.folder, reference.url) == ("diffusion_models", "https://example.com/ink.pt")


@pytest.mark.parametrize("directory", ["../../etc", "custom_nodes", "models/configs", "", ".", "a\nb", "C:\\x", 5])
def test_read_declared_directory_without_models_gives_no_folder(directory: object) -> None:
    models = [{"name": "ink.pt", "directory": directory}]
    assert [each.folder for each in read_nodes(node("New", ("ink.pt",)), models=models)] == [None]


def test_read_declared_directory_chooses_among_folders_of_loader() -> None:
    models = [{"name": "ltx.safetensors", "directory": "checkpoints"}]
    loader = node("LTXVAudioVAELoader", ("ltx.safetensors",))
    assert [each.folder for each in read_nodes(loader)] == ["vae"]
    assert [each.folder for each in read_nodes(loader, models=models)] == ["checkpoints"]


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "file:///etc/passwd", "ftp://example.com/a", "//example.com", "https://a b/", "", 5, None],
)
def test_read_declared_url_that_is_not_http_is_left_out(url: object) -> None:
    models = [{"name": "ink.pt", "url": url, "directory": "../..", "hash": "zz", "hash_type": ["x"]}]
    (reference,) = read_nodes(node("New", ("ink.pt",), properties={"models": models}))
    assert (reference.url, reference.folder, reference.hash) == (None, None, None)


def test_read_subgraph_returns_nodes_of_each_instance() -> None:
    definitions = {"subgraphs": [subgraph(node("LoraLoader", ("ink.pt", 1, 1), 3))]}
    references = read_nodes(node(SUBGRAPH, (), 12), node(SUBGRAPH, (), 13, mode=4), definitions=definitions)
    assert [(each.node_id, each.is_required) for each in references] == [("12:3", True), ("13:3", False)]


@pytest.mark.parametrize(
    "instance",
    [
        {"widgets_values": ["own.pt"]},
        {"widgets_values": ["own.pt"], "widgets_values_named": {"lora": "stale.pt"}},
        {"widgets_values": [None], "inputs": [{"name": "lora", "link": 4}]},
        {"widgets_values": ["own.pt"], "properties": {"proxyWidgets": [["3", "lora_name"]]}},
        {"widgets_values": ["own.pt"], "properties": {"proxyWidgets": [["-1", "lora"]]}},
        {
            "widgets_values": ["stale.pt"],
            "properties": {"proxyWidgets": [["3", "lora_name"]]},
            "inputs": [{"name": "lora", "link": 4}],
        },
    ],
    ids=["positional", "named", "linked", "proxied", "proxied input", "proxied and linked"],
)
def test_read_subgraph_instance_overrides_value_inside(instance: Json) -> None:
    definitions = {"subgraphs": [promoting("lora", node("LoraLoader", ("inner.pt", 1, 1), 3))]}
    nodes = [node(SUBGRAPH, (), 12) | instance, node("PrimitiveNode", ("own.pt",), 2)]
    references = read(nodes=nodes, links=[[4, 2, 0, 12, 0, "COMBO"]], definitions=definitions)
    assert list_names(references) == [("12:3", "lora_name", "loras", "own.pt")]


@pytest.mark.parametrize("values", [(), (None,)])
def test_read_subgraph_instance_without_values_keeps_value_inside(values: tuple[None, ...]) -> None:
    definitions = {"subgraphs": [promoting("lora", node("LoraLoader", ("inner.pt", 1, 1), 3))]}
    references = read_nodes(node(SUBGRAPH, values, 12), definitions=definitions)
    assert [each.name for each in references] == ["inner.pt"]


def test_read_nested_subgraphs_pass_value_of_outer_instance() -> None:
    inner = promoting("lora", node("LoraLoader", ("inner.pt", 1, 1), 3)) | {"id": "inner"}
    middle = {**node("inner", ("middle.pt",), 7), "inputs": [{"name": "lora", "widget": {"name": "lora"}, "link": 9}]}
    links = [{"id": 9, "origin_id": -10, "origin_slot": 0, "target_id": 7, "target_slot": 0, "type": "COMBO"}]
    outer = subgraph(middle, links=links, inputs=[{"name": "style"}], definitions={"subgraphs": [inner]})
    references = read_nodes(node(SUBGRAPH, ("outer.pt",), 12), definitions={"subgraphs": [outer]})
    assert [(each.node_id, each.name) for each in references] == [("12:7:3", "outer.pt")]


@pytest.mark.parametrize("prefix", ["workflow>", "workflow/"])
def test_read_group_node_takes_values_of_instance(prefix: str) -> None:
    group = {"nodes": [node("LoraLoader", ("a.pt", 1, 1)), node("VAELoader", ("a.vae.pt",))], "links": []}
    extra = {"groupNodes": {"Style": group}}
    references = read_nodes(node(f"{prefix}Style", ("b.pt", 0.5, 1, "b.vae.pt"), 8), extra=extra)
    assert list_names(references) == [("8:0", "lora_name", "loras", "b.pt"), ("8:1", "vae_name", "vae", "b.vae.pt")]


def test_read_group_node_with_unpaired_values_reports_unknown_ones() -> None:
    group = {"nodes": [node("LoraLoader", ("a.pt", 1, 1)), node("VAELoader", ("a.vae.pt",))], "links": []}
    references = read_nodes(node("workflow>Style", ("b.pt", "a.vae.pt"), 8), extra={"groupNodes": {"Style": group}})
    assert [(each.node_id, each.folder, each.name) for each in references] == [
        ("8:1", "vae", "a.vae.pt"),
        ("8", None, "b.pt"),
    ]
