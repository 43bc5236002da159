"""How values read on a screen: sizes, times, tables, and text of strangers made harmless."""

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from modelyard.client.sync.wording import counted

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def harmless(text: str) -> str:
    """The text with everything that a terminal could obey, or that turns the reading direction, spelled out."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def size_words(count: int) -> str:
    """``6.8 GB``: decimal units, as disks are sold and clouds are billed."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.3g} {_UNITS[unit]}"


def time_words(moment: datetime | None) -> str:
    """A time by this machine's clock and zone, to the minute."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M")


def age_words(moment: datetime | None) -> str:
    """``3 days ago``, for lists."""
    if moment is None:
        return "never"
    seconds = max(0, round((datetime.now(UTC) - moment).total_seconds()))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{counted(count, unit)} ago"
    return "just now"


def duration_words(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    whole = timedelta(seconds=round(seconds))
    return str(whole).removeprefix("0:").lstrip("0") if seconds >= 60 else f"{round(seconds)} s"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned lines, nothing cut off: a list is read by people and by ``grep``."""
    clean = [[harmless(cell) for cell in row] for row in rows]
    widths = [max(map(columns, cells)) for cells in zip(headings, *clean, strict=True)]
    return [
        "  ".join(cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (headings, *clean)
    ]


def columns(text: str) -> int:
    """How many columns a terminal gives the text."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def fields(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """``name   value`` lines; those without a value are left out."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    return [f"{name:<{width}}  {harmless(value)}" for name, value in shown]
