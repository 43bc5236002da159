"""Values of custom nodes and texts of prompts."""

import json

import pytest

from modelyard.comfyui.workflows.loaders import LoadersInvalid, parse_loaders
from modelyard.comfyui.workflows.reading import read_workflow
from modelyard.comfyui.workflows.references import ModelReference


def read_api(class_type: str, **inputs: object) -> list[ModelReference]:
    return read_workflow(json.dumps({"1": {"class_type": class_type, "inputs": inputs}}).encode())


def read_ui(node_type: str, *values: object) -> list[ModelReference]:
    nodes = [{"id": 1, "type": node_type, "widgets_values": list(values)}]
    return read_workflow(json.dumps({"nodes": nodes}).encode())


def summarize(references: list[ModelReference]) -> list[tuple[str | None, str, bool]]:
    return [(each.folder, each.name, each.is_required) for each in references]


def test_read_power_lora_rows_that_are_off_are_optional() -> None:
    rows = [{}, {"type": "Header"}, {"on": True, "lora": "a.pt", "strength": 1}, {"on": False, "lora": "b.pt"}]
    expected = [("loras", "a.pt", True), ("loras", "b.pt", False)]
    assert summarize(read_ui("Power Lora Loader (rgthree)", *rows)) == expected
    assert summarize(read_api("Power Lora Loader (rgthree)", lora_1=rows[2], lora_2=rows[3])) == expected


@pytest.mark.parametrize("is_wrapped", [True, False])
def test_read_lora_manager_rows_take_precedence_over_tags(is_wrapped: bool) -> None:
    rows = [{"name": "a", "strength": "0.75", "active": True}, {"name": "b", "strength": 1, "active": False}]
    references = read_api(
        "Lora Loader (LoraManager)",
        text="<lora:a:0.75> <lora:b:1> <lora:c:1:0.5>",
        loras={"__value__": rows} if is_wrapped else rows,
    )
    assert summarize(references) == [("loras", "a", True), ("loras", "b", False), ("loras", "c", True)]


def test_read_lora_stacker_counts_only_rows_in_use() -> None:
    values = ["simple", 1, "a.pt", 1, 1, 1, "b.pt", 1, 1, 1, "None", 1, 1, 1]
    expected = [("loras", "a.pt", True), ("loras", "b.pt", False)]
    assert summarize(read_ui("LoRA Stacker", *values)) == expected
    assert summarize(read_api("LoRA Stacker", lora_count=1, lora_name_1="a.pt", lora_name_2="b.pt")) == expected


def test_read_lora_stack_of_other_version_still_has_folder() -> None:
    assert summarize(read_ui("LoRA Stacker", "a.pt", 1.0, "None", 1.0)) == [("loras", "a.pt", True)]


def test_read_lora_stack_with_switches_marks_rows_that_are_off() -> None:
    expected = [("loras", "a.pt", True), ("loras", "b.pt", False)]
    assert summarize(read_ui("CR LoRA Stack", "On", "a.pt", 1, 1, "Off", "b.pt", 1, 1, "Off", "None", 1, 1)) == expected
    inputs = {"switch_1": "On", "lora_name_1": "a.pt", "switch_2": "Off", "lora_name_2": "b.pt"}
    assert summarize(read_api("CR LoRA Stack", **inputs)) == expected


@pytest.mark.parametrize("name", ["None", "none", "Baked VAE", "(use same)", ""])
def test_read_choice_of_no_model_returns_no_reference(name: str) -> None:
    assert read_api("Efficient Loader", vae_name=name, lora_name=name) == []


def test_read_value_with_picture_returns_its_name() -> None:
    references = read_api("LoraLoader|pysssss", lora_name={"content": "ink.pt", "image": "ink.png"})
    assert summarize(references) == [("loras", "ink.pt", True)]


def test_read_free_text_name_without_extension_is_reported() -> None:
    assert summarize(read_api("WanVideoLoraSelectByName", lora_name="lightx2v")) == [("loras", "lightx2v", True)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("embedding:easynegative, blurry", ["easynegative"]),
        ("(embedding:sub\\bad-hands.pt:1.2) hands", ["sub\\bad-hands.pt"]),
        ("a, embedding:one embedding:two.safetensors", ["one", "two.safetensors"]),
        ("notembedding:x embedding: y", []),
    ],
)
def test_read_embeddings_of_prompt(text: str, names: list[str]) -> None:
    assert summarize(read_api("CLIPTextEncode", text=text)) == [("embeddings", name, True) for name in names]


@pytest.mark.parametrize(
    ("class_type", "is_required"), [("CLIPTextEncode", False), ("Power Prompt (rgthree)", True), ("Unknown", False)]
)
def test_read_lora_tag_is_required_only_if_node_loads_tags(class_type: str, is_required: bool) -> None:
    references = read_api(class_type, prompt="cat <lora:sub/ink:0.8> and <lora:ink2>")
    assert summarize(references) == [("loras", "sub/ink", is_required), ("loras", "ink2", is_required)]


@pytest.mark.parametrize(
    ("class_type", "inputs", "is_bare"),
    [
        ("LoRA Text Loader (LoraManager)", {"lora_syntax": "<lora:ink:1>"}, True),
        ("LoRA Text Loader (LoraManager)", {"lora_syntax": "<lora:ink.pt:1>"}, False),
        ("Lora Stacker (LoraManager)", {"loras": [{"name": "ink", "strength": 1, "active": True}]}, True),
        ("WanVideoLoraSelectByName", {"lora_name": "ink"}, True),
        ("DiffusersLoader", {"model_path": "ink"}, False),
        ("CLIPTextEncode", {"text": "embedding:ink"}, False),
    ],
    ids=["tag", "tag with extension", "row", "part of a name", "folder", "embedding"],
)
def test_read_name_that_its_node_finds_in_any_subfolder_is_bare(
    class_type: str, inputs: dict[str, object], is_bare: bool
) -> None:
    assert [each.is_bare for each in read_api(class_type, **inputs)] == [is_bare]


def test_read_value_of_a_core_loader_without_extension_is_a_model() -> None:
    assert summarize(read_api("CheckpointLoaderSimple", ckpt_name="base")) == [("checkpoints", "base", True)]
    assert summarize(read_ui("DualCLIPLoader", "a", "b", "flux")) == [
        ("text_encoders", "a", True),
        ("text_encoders", "b", True),
    ]


@pytest.mark.parametrize(
    ("class_type", "name", "value"),
    [("VAELoader", "vae_name", "taesd"), ("TrainLoraNode", "existing_lora", "[None]")],
)
def test_read_choice_of_a_core_loader_that_is_no_file_returns_no_reference(
    class_type: str, name: str, value: str
) -> None:
    assert read_api(class_type, **{name: value}) == []


def test_read_unknown_list_reports_files_in_it_without_folder() -> None:
    value = [{"file": "a.safetensors", "weight": 1}, ["b.gguf", "c.png"]]
    assert summarize(read_api("New", stack=value)) == [(None, "a.safetensors", True), (None, "b.gguf", True)]


def test_read_note_returns_no_reference() -> None:
    assert read_ui("MarkdownNote", "put ink.safetensors") == []


def test_read_caller_table_adds_loader() -> None:
    table = parse_loaders('[[loader]]\nnodes = ["TeamLoader"]\ninputs = { weights = "unet" }')
    nodes = [{"id": 1, "type": "TeamLoader", "widgets_values": ["ink.gguf", 1]}]
    (reference,) = read_workflow(json.dumps({"nodes": nodes}).encode(), loaders=table)
    assert (reference.input, reference.folder) == ("weights", "diffusion_models")


@pytest.mark.parametrize(
    "text",
    ["=", "loader = 5", "[[loader]]", "[[loader]]\nnodes = [5]", '[[loader]]\nnodes = ["A"]\ninputs = { a = 5 }'],
)
def test_parse_invalid_table_of_loaders_raises(text: str) -> None:
    with pytest.raises(LoadersInvalid):
        parse_loaders(text)


def test_read_name_with_control_characters_is_made_printable() -> None:
    assert [each.name for each in read_api("LoraLoader", lora_name="a\x00\ud800b.pt")] == ["a��b.pt"]
