"""Names of files and registries inside sentences: they may hold anything, a sentence holds no control character."""

from pathlib import Path

_LONGEST = 600


def printable(text: str) -> str:
    """The text with whatever a terminal or a heartbeat could not carry replaced, and its middle if it is very long."""
    clean = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return clean if len(clean) <= _LONGEST else f"{clean[: _LONGEST // 2]}…{clean[-_LONGEST // 2 :]}"


def quoted(name: str | Path) -> str:
    """A name as it stands in a sentence."""
    return f'"{printable(str(name))}"'


def counted(count: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def in_bytes(count: int) -> str:
    """``6.8 GB``: decimal units, as disks are sold."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.95:
            return f"{size:.3g} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
