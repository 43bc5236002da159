"""Typing errors in names: which text is so close to a known one that it probably means that."""

# Shorter names are too similar to each other: `doras` need not be a typo of `loras`. Swapped letters count at any
# length.
MIN_TYPO_LENGTH = 6


def is_typing_error(text: str, known: str) -> bool:
    """Return whether a text differs from a known one in two swapped letters or, if it is long enough, in one letter.

    Letter case and separators count: normalise them before, if they shall not. Digits have to be equal.
    """
    is_long = len(text) >= MIN_TYPO_LENGTH
    return _are_letters_swapped(text, known) or (is_long and _is_one_letter_off(text, known))


def _is_one_letter_off(one: str, other: str) -> bool:
    """Return whether two texts differ in one letter: inserted, missing or changed; no digit."""
    rest, other_rest = _cut_common_start(one, other)
    if any(map(str.isdigit, rest[:1] + other_rest[:1])):
        return False
    return rest[1:] == other_rest or rest == other_rest[1:] or rest[1:] == other_rest[1:]


def _are_letters_swapped(one: str, other: str) -> bool:
    """Return whether two texts differ in two neighboring letters that are swapped; none is a digit."""
    rest, other_rest = _cut_common_start(one, other)
    return rest[:2].isalpha() and rest[:2] == other_rest[1::-1] and rest[2:] == other_rest[2:]


def _cut_common_start(one: str, other: str) -> tuple[str, str]:
    """Return what follows in two texts after the letters with which both begin."""
    start = next((index for index, pair in enumerate(zip(one, other, strict=False)) if len(set(pair)) > 1), None)
    if start is None:
        start = min(len(one), len(other))
    return one[start:], other[start:]
