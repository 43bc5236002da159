import json

import pytest

from modelyard.comfyui.model_files.several_files import find_missing_parts, is_common_name, list_parts

INDEX = "unet/model.safetensors.index.json"
PARTS = ["unet/model-00001-of-00002.safetensors", "unet/model-00002-of-00002.safetensors"]


def build_index(*names: str) -> bytes:
    weights = {f"w{number}": name for number, name in enumerate(names)}
    return json.dumps({"metadata": {}, "weight_map": weights}).encode()


@pytest.mark.parametrize(
    ("paths", "missing"),
    [
        ([INDEX, "unet/a.safetensors", "unet/b.safetensors"], []),
        ([INDEX, "unet/a.safetensors"], ["unet/b.safetensors"]),
        ([INDEX, "a.safetensors", "unet/b.safetensors"], ["unet/a.safetensors"]),
        ([INDEX, "unet/config.json"], ["unet/a.safetensors", "unet/b.safetensors"]),
        ([INDEX, "vae/c.safetensors"], ["unet/a.safetensors", "unet/b.safetensors"]),
        # Left over from weights in another format.
        ([INDEX, "unet/c.safetensors"], []),
    ],
)
def test_find_missing_parts_by_index(paths: list[str], missing: list[str]) -> None:
    assert find_missing_parts(paths, {INDEX: build_index("a.safetensors", "b.safetensors")}) == missing


@pytest.mark.parametrize("content", [b"{", b"[1]", b'{"weight_map": [1]}', b'{"weight_map": {"w": 1}}', b"[" * 100_000])
def test_find_missing_parts_of_other_json_is_empty(content: bytes) -> None:
    assert find_missing_parts([INDEX, "unet/a.safetensors"], {INDEX: content}) == []


@pytest.mark.parametrize(
    ("paths", "missing"),
    [
        (PARTS, []),
        (PARTS[1:], PARTS[:1]),
        (["m-00003-of-00002.gguf", "m-00000-of-00002.gguf"], []),
        (["m-1-of-2.gguf", "model.safetensors"], []),
    ],
)
def test_find_missing_parts_by_number(paths: list[str], missing: list[str]) -> None:
    assert find_missing_parts(paths, {}) == missing


def test_list_parts_of_only_part_is_itself() -> None:
    assert list_parts("m-00001-of-00001.gguf") == ["m-00001-of-00001.gguf"]


@pytest.mark.parametrize(
    "name",
    [
        "diffusion_pytorch_model.safetensors",
        "diffusion_pytorch_model.fp16.safetensors",
        "model-00001-of-00002.safetensors",
        "pytorch_model.bin",
        "Model.GGUF",
    ],
)
def test_is_common_name_of_publishers_default_is_true(name: str) -> None:
    assert is_common_name(name)


@pytest.mark.parametrize("name", ["ink.safetensors", "model_v2.safetensors", "model", "model.json"])
def test_is_common_name_of_other_name_is_false(name: str) -> None:
    assert not is_common_name(name)
