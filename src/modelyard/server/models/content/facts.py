"""What a file says of itself, made safe to store and to show: every string in a file was written by a stranger."""

import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_TEXT = 1_000
MAX_EXTRA_BYTES = 64 * 1024
MAX_EXTRA_ENTRIES = 100

# Categories that no label needs: controls (they end log lines and header fields), surrogates (no UTF-8 can carry
# them), private use and unassigned. Format characters are dropped too: they turn text around or hide it.
_UNWANTED = frozenset({"Cc", "Cs", "Co", "Cn", "Cf"})


@dataclass(frozen=True)
class ModelFacts:
    """What ``examine`` learned. All strings are cleaned and cut; ``extra`` is JSON-able and at most 64 KiB.

    ``parameter_count`` counts elements, not bytes; None where the format does not tell.
    """

    format: str
    tensor_dtypes: dict[str, int] = field(default_factory=dict)
    parameter_count: int | None = None
    architecture: str | None = None
    tags: list[str] = field(default_factory=list)
    trigger_words: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """One line of printable text, at most ``limit`` characters, without controls, surrogates or direction tricks."""
    # Cut first, and generously: a 16 MiB title must not cost 16 MiB of lookups.
    text = text[: limit * 4]
    if not text.isprintable():
        spaced = " ".join(text.split())
        text = "".join(character for character in spaced if unicodedata.category(character) not in _UNWANTED)
    return text[:limit].strip()


def clean_entries(entries: Mapping[str, str | int | float | bool]) -> dict[str, Any]:
    """The entries that fit into ``MAX_EXTRA_BYTES`` of JSON, in their order, with clean keys and values."""
    kept: dict[str, Any] = {}
    room = MAX_EXTRA_BYTES - 2
    for key, value in list(entries.items())[:MAX_EXTRA_ENTRIES]:
        name = clean_text(key, 100)
        worth = clean_text(value) if isinstance(value, str) else value
        # JSON knows no infinity and no NaN, and PostgreSQL insists on it.
        is_number = not isinstance(worth, float) or math.isfinite(worth)
        cost = len(json.dumps({name: worth})) + 2
        if name and worth != "" and is_number and cost <= room:
            kept[name] = worth
            room -= cost
    return kept


def clean_list(words: list[str], limit: int = 20) -> list[str]:
    """At most ``limit`` different clean words of at most 100 characters, in their order."""
    cleaned = (clean_text(word, 100) for word in words)
    return list(dict.fromkeys(word for word in cleaned if word))[:limit]
