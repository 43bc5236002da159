"""Texts of unknown origin as one printable line."""

import unicodedata

MAX_TEXT = 1_000
# Categories that no label needs: controls (they end log lines and header fields), surrogates (UTF-8 cannot encode
# them), private use and unassigned. Format characters are removed too: they reverse the direction of text or hide it.
_REMOVED_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn", "Cf"})


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """Return the text as one printable line of at most ``limit`` characters; only the first ``4 * limit`` are read.

    White space is collapsed; controls, surrogates, direction marks and other invisible characters are removed.
    """
    # Truncated first, generously: a 16 MiB title must not cost 16 MiB of lookups.
    text = " ".join(text[: limit * 4].split())
    if not text.isprintable():
        kept = (character for character in text if unicodedata.category(character) not in _REMOVED_CATEGORIES)
        text = " ".join("".join(kept).split())
    return text[:limit].strip()
