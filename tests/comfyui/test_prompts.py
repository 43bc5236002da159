"""What is taken from ComfyUI's history and queue: ids, models and times, and nothing else."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelyard.comfyui.prompts import Prompt, parse_history, parse_queue_entries

LORA = {"4": {"class_type": "LoraLoader", "inputs": {"lora_name": "styles\\ink.safetensors", "strength_model": 1.0}}}


def build_entry(nodes: object = LORA, prompt_id: object = "p1") -> list[object]:
    return [7, prompt_id, nodes, {"api_key_comfy_org": "secret"}, ["9"]]


def list_names(prompts: list[Prompt]) -> list[tuple[str, str | None, str]]:
    return [(prompt.id, each.folder, each.name) for prompt in prompts for each in prompt.references]


def test_parse_queue_entries_returns_ids_and_references_without_extra_data() -> None:
    prompts = parse_queue_entries([build_entry()])
    assert list_names(prompts) == [("p1", "loras", "styles\\ink.safetensors")]
    assert "secret" not in repr(prompts)


@pytest.mark.parametrize(
    "entry",
    [None, 3, "text", [], [1, "p1"], [1, None, LORA], [1, {}, LORA]],
    ids=["null", "number", "text", "empty", "short", "no id", "id that is no text"],
)
def test_parse_queue_entries_malformed_entry_is_left_out(entry: object) -> None:
    assert list_names(parse_queue_entries([entry, build_entry()])) == [("p1", "loras", "styles\\ink.safetensors")]


@pytest.mark.parametrize("nodes", [None, [], {"4": None}, {"4": {"class_type": 3}}], ids=repr)
def test_parse_queue_entries_malformed_nodes_name_no_models(nodes: object) -> None:
    assert [prompt.references for prompt in parse_queue_entries([build_entry(nodes)])] == [()]


MESSAGES: list[tuple[Any, int | None]] = [
    ([["execution_start", {"timestamp": 1000}], ["execution_success", {"timestamp": 3000}]], 3),
    ([["execution_start", {"prompt_id": "p1"}]], None),
    ([["execution_start"], None, ["execution_error", {"timestamp": "soon"}]], None),
    ([["execution_start", {"timestamp": 1e300}]], None),
    ([["execution_start", {"timestamp": float("nan")}]], None),
    (None, None),
]


@pytest.mark.parametrize(("messages", "second"), MESSAGES, ids=[str(number) for number in range(len(MESSAGES))])
def test_parse_history_returns_the_time_of_the_last_message(messages: object, second: int | None) -> None:
    history = {"p1": {"prompt": build_entry(), "status": {"messages": messages}}}
    [prompt] = parse_history(history)
    assert prompt.ended_at == (None if second is None else datetime.fromtimestamp(second, UTC))


def test_parse_history_entry_without_status_has_no_time() -> None:
    assert [prompt.ended_at for prompt in parse_history({"p1": {"prompt": build_entry()}, "p2": 5})] == [None]
