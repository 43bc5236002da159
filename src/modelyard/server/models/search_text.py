"""The text of a model that searches look in: what people see of it, and entries for exact and short values.

All parts are compared as substrings, with one trigram index. So that a value can be compared in full, control
characters, which no search contains, are around it:

    name and path            as they are
    tags, trigger words,     between a mark of their kind and ``END``
    base model, architecture
    type, creator, license   as ten upper-case letters of their digest: words are in lower case, so none matches them
    base model               once more, with ``WORD_END`` after each word and symbol, so that its first words are a part
    starts of words          the first two characters of each word, each after two ``START``: words of one or two
                             characters are compared with these only
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from functools import lru_cache
from string import ascii_uppercase
from typing import Any, Literal

from modelyard.wire.paths import get_canonical_type

VisibleKey = Literal["tag", "trigger", "base", "architecture"]
HiddenKey = Literal["type", "by", "license"]
_MARKS: dict[VisibleKey, str] = {"tag": "\x10", "trigger": "\x11", "base": "\x12", "architecture": "\x13"}
_FIRST_WORDS, WORD_END, END, START = "\x14", "\x1d", "\x1e", "\x1f"
# Shorter words are compared with the starts of words.
SHORTEST_PART = 3
MAX_VALUES, MAX_VALUE_LENGTH = 100, 255
_DIGEST_LETTERS = 10
_CONTROL = dict.fromkeys((*range(32), 127), " ")
# Scripts that do not separate words by spaces: Thai, Lao, Tibetan, Burmese, Khmer, kana, Chinese characters.
_UNSPACED = (
    (0x0E00, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x31FF),
    (0x3400, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
# The columns of a model that its text is built from.
SEARCHED_COLUMNS = (
    *("display_name", "model_path", "tags", "trigger_words", "base_model", "facts"),
    *("canonical_type", "creator_id", "creator_name", "license"),
)


def build_search_text(model: Mapping[str, Any]) -> str:
    """Return the text that searches look in, from the values of ``SEARCHED_COLUMNS``; absent ones are empty."""
    visible: dict[VisibleKey, Iterable[Any]] = {
        "tag": model["tags"],
        "trigger": (word["text"] for word in model.get("trigger_words") or ()),
        "base": [model.get("base_model")],
        "architecture": [(model.get("facts") or {}).get("architecture")],
    }
    hidden: dict[HiddenKey, Iterable[Any]] = {
        "type": [model.get("canonical_type")],
        "by": [model.get("creator_name"), model.get("creator_id")],
        "license": [model.get("license")],
    }
    named = [fold_value(model["display_name"]), fold_value(model["model_path"])]
    values = [(key, value) for key, texts in visible.items() for value in _clean_values(texts)]
    words = dict.fromkeys(word for text in (*named, *(value for _, value in values)) for word in text.split())
    starts = dict.fromkeys(start for word in words for start in _iterate_starts(word))
    lines = [
        *named,
        *(build_entry(key, value) for key, value in values),
        *(build_first_words(value) for key, value in values if key == "base"),
        *(build_digest(key, value) for key, texts in hidden.items() for value in _clean_values(texts)),
        "".join(START + START + start for start in starts),
    ]
    return "\n".join(lines)


def _clean_values(values: Iterable[Any]) -> list[str]:
    """Return the first distinct values, folded and cut, without null and empty ones."""
    folded = (fold_value(str(value))[:MAX_VALUE_LENGTH] for value in values if value is not None)
    return list(dict.fromkeys(filter(None, folded)))[:MAX_VALUES]


def fold_value(text: str) -> str:
    """Return a text as it is compared: casefolded, one space between words, without control characters."""
    return " ".join(text.translate(_CONTROL).casefold().split())


def build_entry(key: VisibleKey, folded: str) -> str:
    """Return the part of the searched text that a model with this folded value has."""
    return _MARKS[key] + folded[:MAX_VALUE_LENGTH] + END


def build_first_words(folded: str) -> str:
    """Return the part of the searched text that a model has whose base model begins with these words."""
    text = folded[:MAX_VALUE_LENGTH]
    following = [*text[1:], " "]
    marked = (
        one if _is_inner(one) and _is_inner(following_one) else one + WORD_END
        for one, following_one in zip(text, following, strict=True)
    )
    return _FIRST_WORDS + "".join(marked)


@lru_cache(10_000)
def build_digest(key: HiddenKey, folded: str) -> str:
    """Return the part of the searched text that a model with this folded value has; other values have other parts."""
    number = int.from_bytes(hashlib.sha256(f"{key}:{folded[:MAX_VALUE_LENGTH]}".encode()).digest())
    letters = []
    for _ in range(_DIGEST_LETTERS):
        number, letter = divmod(number, len(ascii_uppercase))
        letters.append(ascii_uppercase[letter])
    return "".join(letters)


def build_word_part(folded: str) -> str:
    """Return the part of the searched text that a model with this word has: the word, or the start of a word."""
    return folded if len(folded) >= SHORTEST_PART else START * (SHORTEST_PART - len(folded)) + folded


class Place(IntEnum):
    """Where a model's text has a word; the smaller the better."""

    WORD_OF_NAME, START_IN_NAME, NAME, FILE_NAME, TRIGGER, TAG, ELSEWHERE = range(7)


def find_word(searched: str, folded: str) -> Place:
    """Return the best place at which a searched text has this folded word."""
    name, path, *entries = searched.split("\n")
    if folded in name:
        return _find_in_name(name, folded)
    if folded in path.rpartition("/")[2]:
        return Place.FILE_NAME
    keys: dict[Place, VisibleKey] = {Place.TRIGGER: "trigger", Place.TAG: "tag"}
    for place, key in keys.items():
        if any(entry.startswith(_MARKS[key]) and folded in entry for entry in entries):
            return place
    return Place.ELSEWHERE


def _find_in_name(name: str, folded: str) -> Place:
    """Return whether a name that contains this text has it as a word, at the start of one, or within one."""
    best, position = Place.NAME, name.find(folded)
    while position >= 0:
        end = position + len(folded)
        if not _are_inner(name[position - 1 : position], folded[0]):
            if not _are_inner(folded[-1], name[end : end + 1]):
                return Place.WORD_OF_NAME
            best = Place.START_IN_NAME
        position = name.find(folded, position + 1)
    return best


def _are_inner(one: str, following: str) -> bool:
    """Return whether two characters, of which either may be absent, belong to one word."""
    return bool(one and following) and _is_inner(one) and _is_inner(following)


def build_type_part(model_type: str) -> str:
    """Return a part of the searched text that models of this type have, and few others: one trigram of its digest."""
    return build_digest("type", fold_value(get_canonical_type(model_type)))[:SHORTEST_PART]


def list_parts(key: VisibleKey | HiddenKey, value: str) -> list[str]:
    """Return the parts of the searched text of which a model with this value of a qualifier has one."""
    folded = fold_value(value)
    match key:
        case "type":
            # Without the plural, too: people say LoRA.
            types = (get_canonical_type(folded), get_canonical_type(f"{folded}s"))
            return [build_digest(key, name) for name in types]
        case "by" | "license":
            return [build_digest(key, folded)]
        case _:
            return [build_entry(key, folded)]


def _iterate_starts(text: str) -> Iterator[str]:
    """Yield the first two characters of each word in a text without spaces.

    A symbol, and a character of an unspaced script, begins a word.
    """
    was_inner = False
    for position, character in enumerate(text):
        is_inner = _is_inner(character)
        if not (is_inner and was_inner):
            yield text[position : position + 2]
        was_inner = is_inner


@lru_cache(10_000)
def _is_inner(character: str) -> bool:
    """Return whether a character, after another one like it, belongs to the same word."""
    is_letter = character.isalnum() or unicodedata.category(character)[0] == "M"
    return is_letter and not any(first <= ord(character) <= last for first, last in _UNSPACED)
