"""Metadata of a model file, made safe to store and display: every string in a file is untrusted."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelyard.wire.texts.cleaning import clean_text

MAX_EXTRA_BYTES = 64 * 1024
MAX_EXTRA_ENTRIES = 100


@dataclass(frozen=True)
class ModelMetadata:
    """The result of an inspection. All strings are cleaned and truncated; ``extra`` is JSON-able and at most 64 KiB.

    ``parameter_count`` counts elements, not bytes; None where the format does not state it. ``tensor_dtypes`` has the
    number of tensors by dtype. ``base_families`` are those of ``base_models`` that the tensors permit.
    ``trigger_words``, ``training_tags`` and ``details`` have the fields of their classes in ``wire.model_details``.
    ``imports`` is of a pickle that the scan refuses: ``names`` and ``is_complete``.
    """

    format: str
    tensor_dtypes: dict[str, int] = field(default_factory=dict)
    parameter_count: int | None = None
    architecture: str | None = None
    base_model: str | None = None
    base_source: str | None = None
    base_families: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    trigger_words: list[dict[str, str]] = field(default_factory=list)
    training_tags: list[dict[str, Any]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    imports: dict[str, Any] = field(default_factory=dict)


def clean_entries(entries: Mapping[str, str | int | float | bool]) -> dict[str, Any]:
    """Return entries with clean keys and values, in their order, up to ``MAX_EXTRA_BYTES`` of JSON.

    Only the first ``MAX_EXTRA_ENTRIES`` are considered. Entries with an empty key or text, NaN, infinities and those
    that no longer fit are left out. Of keys that are equal once cleaned, the last entry stays.
    """
    kept: dict[str, Any] = {}
    bytes_left = MAX_EXTRA_BYTES - 2
    for key, value in list(entries.items())[:MAX_EXTRA_ENTRIES]:
        name = clean_text(key, 100)
        cleaned = clean_text(value) if isinstance(value, str) else value
        # JSON has no infinity and no NaN, and PostgreSQL refuses them.
        is_number = not isinstance(cleaned, float) or math.isfinite(cleaned)
        size = len(json.dumps({name: cleaned})) + 2
        if name and cleaned != "" and is_number and size <= bytes_left:
            kept[name] = cleaned
            bytes_left -= size
    return kept


def clean_list(words: list[str], limit: int = 20) -> list[str]:
    """Return the first ``limit`` distinct cleaned words, each of 1 to 100 characters, in their order."""
    cleaned = (clean_text(word, 100) for word in words)
    return list(dict.fromkeys(word for word in cleaned if word))[:limit]
