"""Detection of characters that make different texts look equal: invisible ones and text direction controls."""

import re
import unicodedata
from collections.abc import Callable

# Letters, marks and symbols by category that are rendered as nothing: Hangul, Khmer, Khitan and Mongolian fillers, the
# Braille blank, the null notehead.
BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\U00016fe4\U0001d159")
# Persian and Indic scripts need these to spell words, and they join emoji.
_JOINERS = frozenset("\u200c\u200d")
_WESTERN = ("LATIN", "GREEK", "CYRILLIC")
# The flags of England, Scotland and Wales are a black flag with these tags (UTS 51, "Valid Emoji Tag Sequences"). With
# others, which fonts do not have, it looks like the black flag alone.
_FLAGS = ("gbeng", "gbsct", "gbwls")


def _build_tags(code: str) -> str:
    """Return the tag characters of a flag's code, with the one that ends them."""
    return "".join(chr(0xE0000 + ord(letter)) for letter in code) + "\U000e007f"


_flag_tags = re.compile(f"(?<=\U0001f3f4)(?:{'|'.join(map(_build_tags, _FLAGS))})")


def has_invisible_characters(text: str) -> bool:
    """Return whether a text contains invisible characters or text direction controls.

    Joiners are allowed only between letters or symbols of scripts that need them, and tags only in flags. Spaces,
    control characters (such as newlines) and variation selectors do not count as invisible.
    """
    return bool(_find_hidden_characters(text)) or not BLANKS.isdisjoint(text)


def replace_unprintable(text: str, replace: Callable[[str], str]) -> str:
    """Return a text with each unprintable or invisible character replaced, such as newlines and direction marks.

    Joiners and tags stay where ``has_invisible_characters`` allows them.
    """
    if text.isprintable() and BLANKS.isdisjoint(text):
        return text
    hidden = _find_hidden_characters(text)
    return "".join(
        letter if place not in hidden and _is_visible(letter) else replace(letter) for place, letter in enumerate(text)
    )


def _is_visible(letter: str) -> bool:
    """Return whether a character is rendered, or is a format character."""
    return letter not in BLANKS and (letter.isprintable() or unicodedata.category(letter) == "Cf")


def _find_hidden_characters(text: str) -> set[int]:
    """Return the places of those format characters that are no valid joiners, and not the tags of a flag."""
    tags = {place for match in _flag_tags.finditer(text) for place in range(*match.span())}
    return {
        place
        for place, character in enumerate(text)
        if unicodedata.category(character) == "Cf"
        and place not in tags
        and not (character in _JOINERS and _is_valid_joiner(text, place))
    }


def _is_valid_joiner(text: str, place: int) -> bool:
    """Return whether the joiner at index ``place`` has two neighbors, both of which allow joiners."""
    return 0 < place < len(text) - 1 and all(_allows_joiners(text[neighbor]) for neighbor in (place - 1, place + 1))


def _allows_joiners(character: str) -> bool:
    """Return False for ASCII and unprintable characters, spaces, and Latin, Greek and Cyrillic characters; else True.

    Unprintable are also unassigned characters and those for private use: ``replace_unprintable`` replaces them.
    """
    if character.isascii() or not character.isprintable():
        return False
    return not unicodedata.name(character, "").startswith(_WESTERN)
