"""Formatting of untrusted names, counts and sizes in messages."""

from pathlib import Path

from modelyard.wire.texts.invisible_characters import replace_unprintable

_MAX_LENGTH = 600


def printable(text: str) -> str:
    """Return the text with unprintable characters replaced; the middle is cut out above 600 characters."""
    clean = replace_unprintable(text, lambda _: "\N{REPLACEMENT CHARACTER}")
    return clean if len(clean) <= _MAX_LENGTH else f"{clean[: _MAX_LENGTH // 2]}…{clean[-_MAX_LENGTH // 2 :]}"


def quoted(name: str | Path) -> str:
    """Return a name in double quotes, made printable and cut as ``printable`` does; quotes in it are not escaped."""
    return f'"{printable(str(name))}"'


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a count with its noun: ``1 file``, ``2 files``; ``1 entry``, ``2 entries``."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def in_bytes(count: int) -> str:
    """Format a number of bytes in decimal units, for instance ``6.8 GB``."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.95:
            return f"{size:.3g} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
