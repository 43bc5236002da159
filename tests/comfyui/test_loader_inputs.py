"""Loader inputs found by comparing what a ComfyUI offers with the files of its folders."""

import json
from typing import Any

import pytest

from modelyard.comfyui.loader_inputs import ANY_INPUT, FoundLoader, find_loader_inputs

FILES = {
    "style_models": frozenset({"a/ink.safetensors", "oil.safetensors"}),
    "loras": frozenset({"same.safetensors"}),
    "vae": frozenset({"same.safetensors"}),
    "gligen": frozenset[str](),
}
INK, OIL = "a/ink.safetensors", "oil.safetensors"


def build_node(**inputs: Any) -> dict[str, Any]:
    return {"input": {"required": inputs, "optional": {}}}


@pytest.mark.parametrize(
    ("declared", "is_found"),
    [
        ([[INK, OIL], {"tooltip": "A style."}], True),
        ([[OIL, INK]], True),
        (["COMBO", {"options": [INK, OIL]}], True),
        ([["None", "a\\ink.safetensors", OIL]], True),
        ([[INK]], False),
        ([[INK, OIL, "other.safetensors"]], False),
        ([["same.safetensors"]], False),
        ([[]], False),
        ([["None"]], False),
        ([[INK, OIL, 7]], False),
        (["STRING", {"options": [INK, OIL]}], False),
        (["COMBO", {}], False),
        (["COMBO"], False),
        ([], False),
        (None, False),
    ],
    ids=[
        *("old form", "another order", "new form", "no model and another slash", "some of the files", "other files"),
        *("files of two folders", "empty", "no model", "a number", "text", "no options", "no facts", "nothing", "null"),
    ],
)
def test_find_loader_inputs_of_each_declaration(declared: object, is_found: bool) -> None:
    content = json.dumps({"StyleLoader": build_node(style=declared)}).encode()
    names = [ANY_INPUT, "style"] if is_found else []
    expected = [FoundLoader("StyleLoader", name, "style_models") for name in names]
    assert find_loader_inputs(content, FILES) == expected


@pytest.mark.parametrize(
    ("declared", "is_only"),
    [
        (["INT", {"default": 1}], True),
        (["MODEL"], True),
        ([["euler", "ddim"]], True),
        (["COMBO", {"options": [OIL, INK]}], True),
        (["STRING", {}], False),
        (["*"], False),
        (["COMBO", {}], False),
        ([[]], False),
        ([["None"]], False),
        (["COMBO", {"options": ["None", "Baked VAE"]}], False),
        (["COMBO", {"options": ["None", "euler"]}], True),
        ([["same.safetensors"]], False),
        ([["euler", 7]], False),
    ],
    ids=[
        *("number", "link", "names of no files", "same folder", "text", "any type", "choices of the server"),
        *("empty", "no model", "two kinds of no model", "no model and another name"),
        *("files of two folders", "a number as choice"),
    ],
)
def test_find_loader_inputs_with_another_input_says_if_all_models_are_of_one_folder(
    declared: object, is_only: bool
) -> None:
    content = json.dumps({"StyleLoader": build_node(style=[[INK, OIL]], other=declared)}).encode()
    found = find_loader_inputs(content, FILES)
    assert (FoundLoader("StyleLoader", ANY_INPUT, "style_models") in found) == is_only


def test_find_loader_inputs_of_two_folders_says_nothing_of_other_values() -> None:
    files = FILES | {"clip_vision": frozenset({"v.safetensors"})}
    content = json.dumps({"Both": build_node(style=[[INK, OIL]], vision=[["v.safetensors"]])}).encode()
    assert [each.input for each in find_loader_inputs(content, files)] == ["style", "vision"]


def test_find_loader_inputs_leaves_out_known_nodes_and_what_is_no_node() -> None:
    nodes = {"StyleModelLoader": build_node(style_model_name=[[INK, OIL]]), "A": None, "B": {"input": 7}, "C": {}}
    assert find_loader_inputs(json.dumps(nodes).encode(), FILES) == []


@pytest.mark.parametrize("content", [b"{", b"[]", b"[" * 100_000], ids=["malformed", "list", "nested"])
def test_find_loader_inputs_in_another_response_raises(content: bytes) -> None:
    with pytest.raises(ValueError):
        find_loader_inputs(content, FILES)
