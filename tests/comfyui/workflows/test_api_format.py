import json

import pytest

from modelyard.comfyui.workflows.reading import read_workflow
from modelyard.comfyui.workflows.references import ModelReference, WorkflowUnreadable


def read_inputs(class_type: str, **inputs: object) -> list[ModelReference]:
    return read_workflow(json.dumps({"4": {"class_type": class_type, "inputs": inputs}}).encode())


def test_read_api_format_returns_reference_with_folder() -> None:
    (reference,) = read_inputs("CheckpointLoaderSimple", ckpt_name="xl\\base.safetensors")
    assert reference == ModelReference(
        node_id="4",
        node_type="CheckpointLoaderSimple",
        input="ckpt_name",
        folder="checkpoints",
        name="xl\\base.safetensors",
        hash=None,
        url=None,
        is_required=True,
    )


def test_read_api_format_follows_link_to_string_node() -> None:
    nodes = {
        "1": {"class_type": "UNETLoader", "inputs": {"unet_name": ["2", 0], "weight_dtype": ["3", 0]}},
        "2": {"class_type": "PrimitiveString", "inputs": {"value": "flux.safetensors"}},
        "3": {"class_type": "Computed", "inputs": {}},
    }
    references = read_workflow(json.dumps(nodes).encode())
    assert [(each.node_id, each.folder, each.name) for each in references] == [
        ("1", "diffusion_models", "flux.safetensors")
    ]


@pytest.mark.parametrize(
    ("class_type", "inputs"),
    [
        ("VAELoader", {"vae_name": "taesdxl"}),
        ("VAELoader", {"vae_name": "pixel_space"}),
        ("KlingTextToVideo", {"model_name": "kling-v2"}),
        ("Load3D", {"model_file": "3d/robot.glb"}),
        ("Downloader", {"url": "https://example.com/ink.safetensors"}),
    ],
)
def test_read_value_that_is_no_model_file_returns_no_reference(class_type: str, inputs: dict[str, object]) -> None:
    assert read_inputs(class_type, **inputs) == []


def test_read_unknown_node_returns_reference_without_folder() -> None:
    (reference,) = read_inputs("NewLoader", weights="ink.gguf")
    assert (reference.folder, reference.input, reference.name) == (None, "weights", "ink.gguf")


def test_read_path_outside_models_folder_returns_it_as_name() -> None:
    (reference,) = read_inputs("CheckpointLoaderSimple", ckpt_name="../../etc/passwd.ckpt")
    assert reference.name == "../../etc/passwd.ckpt"


def test_read_document_with_nan_is_accepted() -> None:
    document = b'{"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "ink.pt", "strength_model": NaN}}}'
    assert [reference.name for reference in read_workflow(document)] == ["ink.pt"]


def test_read_api_format_with_comment_is_accepted() -> None:
    document = {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "ink.pt"}}, "_comment": "for the team"}
    assert [reference.name for reference in read_workflow(json.dumps(document).encode())] == ["ink.pt"]


def test_read_prompt_request_returns_references_of_its_nodes() -> None:
    request = {"prompt": {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "ink.pt"}}}, "client_id": "x"}
    assert [reference.name for reference in read_workflow(json.dumps(request).encode())] == ["ink.pt"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"a": 1}',
        b"\xff",
        b"{" * 100_000,
        b"[" * 100_000,
        b'{"nodes": ' + b"[" * 150 + b"]" * 150 + b"}",
    ],
    ids=["empty", "no nodes", "list", "null", "other object", "not text", "open objects", "open lists", "deep"],
)
def test_read_document_that_is_no_workflow_raises(document: bytes) -> None:
    with pytest.raises(WorkflowUnreadable):
        read_workflow(document)
