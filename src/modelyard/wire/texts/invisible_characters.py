"""Detection of characters that make different texts look equal: invisible ones and text direction controls."""

import unicodedata

# Letters and marks by category that are rendered as nothing: Hangul, Khmer and Mongolian fillers, the Braille blank.
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
# Persian and Indic scripts need these to spell words, and they join emoji.
_JOINERS = frozenset("\u200c\u200d")
_WESTERN = ("LATIN", "GREEK", "CYRILLIC")


def has_invisible_characters(text: str) -> bool:
    """Return whether a text contains invisible characters or text direction controls.

    Joiners are allowed only between letters or symbols of scripts that need them. Spaces, control characters (such as
    newlines) and variation selectors do not count as invisible.
    """
    return any(
        character in _BLANKS
        or (unicodedata.category(character) == "Cf" and not (character in _JOINERS and _is_valid_joiner(text, place)))
        for place, character in enumerate(text)
    )


def _is_valid_joiner(text: str, place: int) -> bool:
    """Return whether the joiner at index ``place`` has two neighbors, both of which allow joiners."""
    return 0 < place < len(text) - 1 and all(_allows_joiners(text[neighbor]) for neighbor in (place - 1, place + 1))


def _allows_joiners(character: str) -> bool:
    """Return False for ASCII, spaces, format characters, and Latin, Greek and Cyrillic characters; else True."""
    if character.isascii() or unicodedata.category(character) in ("Cf", "Zs"):
        return False
    return not unicodedata.name(character, "").startswith(_WESTERN)
