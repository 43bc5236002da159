"""Copies of workflows with other names of models."""

import json

import pytest

from modelyard.comfyui.workflows.references import WorkflowUnreadable
from modelyard.comfyui.workflows.rewriting import replace_names

NAMES = {"ink.safetensors": "portraits/ink.safetensors"}


def test_replace_names_in_widgets_rows_and_declared_models() -> None:
    node = {"widgets_values": ["ink.safetensors", {"lora": "ink.safetensors", "on": True}, 1.5]}
    workflow = {"nodes": [node | {"properties": {"models": [{"name": "ink.safetensors"}]}}], "version": 0.4}
    rewritten = json.loads(replace_names(json.dumps(workflow).encode(), NAMES))
    new = "portraits/ink.safetensors"
    assert rewritten["nodes"][0]["widgets_values"] == [new, {"lora": new, "on": True}, 1.5]
    assert rewritten["nodes"][0]["properties"]["models"] == [{"name": new}]


def test_replace_names_leaves_prompts_and_keys() -> None:
    workflow = {"1": {"class_type": "N", "inputs": {"text": "<lora:ink.safetensors:1>", "ink.safetensors": 1}}}
    assert json.loads(replace_names(json.dumps(workflow).encode(), NAMES)) == workflow


def test_replace_names_keeps_nan_letters_and_halves_of_surrogate_pairs() -> None:
    assert replace_names('{"a": [NaN, "墨"]}'.encode(), {}) == '{"a": [NaN, "墨"]}'.encode()
    assert replace_names(b'{"a": "\\ud800"}', {}) == b'{"a": "\\ud800"}'


def test_replace_names_in_a_document_that_is_no_json_is_refused() -> None:
    with pytest.raises(WorkflowUnreadable):
        replace_names(b"{", {})
