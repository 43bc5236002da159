"""Prompts in the responses of ComfyUI's history and queue: which models they name, and when they ended.

Both responses carry what users sent with their prompts, among it API tokens (``extra_data``). Of each prompt only its
id, the models that it names and its time are returned; the rest must not be stored or logged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from modelyard.comfyui.workflows.documents import as_list, as_object, as_text
from modelyard.comfyui.workflows.reading import list_prompt_references
from modelyard.comfyui.workflows.references import ModelReference

# The places of a prompt's id and of its nodes in API format, in an entry ``[number, id, nodes, extra data, outputs]``.
_ID, _NODES = 1, 2


@dataclass(frozen=True)
class Prompt:
    """A prompt, the models that it names, and when it ended; None if it has not ended, or ComfyUI does not say."""

    id: str
    references: tuple[ModelReference, ...]
    ended_at: datetime | None = None


def parse_history(history: Mapping[str, object]) -> list[Prompt]:
    """Return the prompts in a response of ``/history``, also those that failed; malformed entries are left out."""
    return [
        Prompt(prompt.id, prompt.references, _find_end(as_object(entry)))
        for entry in history.values()
        if (prompt := _parse_prompt(as_object(entry).get("prompt"))) is not None
    ]


def parse_queue_entries(entries: Sequence[object]) -> list[Prompt]:
    """Return the prompts in a list of ``/queue``; malformed entries are left out."""
    return [prompt for entry in entries if (prompt := _parse_prompt(entry)) is not None]


def find_prompt_id(entry: object) -> str:
    """Return the id of an entry of ``/queue``; empty if it is malformed."""
    parts = as_list(entry)
    return as_text(parts[_ID]) or "" if len(parts) > _ID else ""


def _parse_prompt(entry: object) -> Prompt | None:
    """Return the prompt of an entry; None if it is malformed."""
    parts, prompt_id = as_list(entry), find_prompt_id(entry)
    if len(parts) <= _NODES or not prompt_id:
        return None
    return Prompt(prompt_id, tuple(list_prompt_references(as_object(parts[_NODES]))))


def _find_end(entry: Mapping[str, object]) -> datetime | None:
    """Return the time of the last message about a prompt, which has it in milliseconds; None without any."""
    messages = as_list(as_object(entry.get("status")).get("messages"))
    data = [as_object(as_list(message)[1]) for message in messages if len(as_list(message)) > 1]
    times = [time for each in data if isinstance(time := each.get("timestamp"), int | float)]
    try:
        return datetime.fromtimestamp(max(times) / 1000, UTC) if times else None
    except (ValueError, OverflowError, OSError):
        return None
