"""What a search means, as plain Python over the values of models: no index, no SQL, no searched text."""

import unicodedata
from collections.abc import Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from modelyard.wire.search.grammar import SearchTerm, parse_search
from modelyard.wire.search.values import parse_size_condition, parse_time_condition

ALIASES = {"unet": "diffusion_models", "clip": "text_encoders"}
# Characters of scripts without spaces, as far as the tests use them.
UNSPACED = frozenset("日本語เพลง")


def is_found(model: Mapping[str, Any], q: str) -> bool:
    """Return whether the column values of a model match a search; replica states and hashes are not known here."""
    return all(_matches(model, term) is not term.is_negated for term in parse_search(q))


def _matches(model: Mapping[str, Any], term: SearchTerm) -> bool:
    return any(
        _begins_with(model, value) if value in term.by_first_words else _matches_value(model, term.key, value)
        for value in term.values
    )


def _begins_with(model: Mapping[str, Any], value: str) -> bool:
    """Return whether the base model begins with a text, and its last word ends there."""
    base, folded = fold(model.get("base_model") or ""), fold(value)
    is_inside_word = _is_word_character(folded[-1]) and _is_word_character(base[len(folded) :][:1] or " ")
    return base.startswith(folded) and not is_inside_word


def _matches_value(model: Mapping[str, Any], key: str, value: str) -> bool:
    folded = fold(value)
    triggers = [word["text"] for word in model.get("trigger_words") or ()]
    match key:
        case "":
            base = [model.get("base_model"), model["facts"].get("architecture")]
            texts = [model["display_name"], model["model_path"], *model["tags"], *triggers, *filter(None, base)]
            return any(_has_word(fold(text), folded) for text in texts)
        case "type":
            return model["canonical_type"] in {ALIASES.get(name, name) for name in (folded, f"{folded}s")}
        case "tag":
            return folded in map(fold, model["tags"])
        case "trigger":
            return folded in map(fold, triggers)
        case "size":
            return _is_between(model.get("total_size") or model["file_size"], *parse_size_condition(value))
        case "added":
            return _is_between(model["created_at"], *parse_time_condition(value))
        case "is" if folded == "unpreviewed":
            return model.get("preview_sha256") is None
        case "is":
            columns = {"disabled": "model_status", "damaged": "verification", "pending": "verification"}
            return bool(model[columns[folded]] == {"damaged": "failed"}.get(folded, folded))
        case _:
            one = {
                "base": model.get("base_model"),
                "architecture": model["facts"].get("architecture"),
                "by": model["creator_name"],
                "license": model.get("license"),
            }[key]
            return one is not None and fold(one) == folded


def fold(text: str) -> str:
    return " ".join(text.casefold().split())


def _has_word(text: str, word: str) -> bool:
    if len(word) >= 3:
        return word in text
    return any(text.startswith(word, position) for position in _list_word_starts(text))


def _list_word_starts(text: str) -> list[int]:
    """Return where words begin: runs of letters and digits; any other visible character is a word of its own."""
    starts, position = [], 0
    for is_word, characters in groupby(text, key=_is_word_character):
        length = len(list(characters))
        places = [position] if is_word else range(position, position + length)
        starts += [place for place in places if not text[place].isspace()]
        position += length
    return starts


def _is_word_character(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM" and character not in UNSPACED


def _is_between(value: Any, first: int | datetime | None, end: int | datetime | None) -> bool:
    return (first is None or value >= first) and (end is None or value < end)
