"""Format values for a terminal: sizes, times, fields, and untrusted text with unprintable characters escaped."""

import re
import shlex
import sys
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from modelyard.comfyui.quoting import counted
from modelyard.wire.texts.invisible_characters import replace_unprintable

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def escape_unprintable(text: str) -> str:
    """Replace unprintable and invisible characters, such as newlines and direction marks, by Python escapes.

    The joiners of emoji and words, and the tags of flags, stay.
    """
    return replace_unprintable(text, lambda letter: letter.encode("unicode_escape").decode())


def format_size(count: int) -> str:
    """Format a number of bytes with at most three digits and a decimal unit, such as ``6.8 GB``."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.3g} {_UNITS[unit]}"


def format_partial_count(count: int, *, is_capped: bool) -> str:
    """Format a count as ``4,210``; with ``is_capped``, at which counting stopped, as ``4,210+`` or ``10k+``."""
    if is_capped and count >= 10_000 and count % 1_000 == 0:
        return f"{count // 1_000}k+"
    return f"{count:,}+" if is_capped else f"{count:,}"


def quote_word(text: str, platform: str = sys.platform) -> str:
    """Return a text as one word of a command that can be pasted into a shell of the platform.

    Windows' shells share only double quotes. Within them, they replace ``%NAME%`` and ``$NAME`` all the same. On other
    platforms, unprintable characters are escaped as bash and zsh read them.
    """
    if platform != "win32":
        return shlex.quote(text) if escape_unprintable(text) == text else f"$'{''.join(map(_escape_letter, text))}'"
    if re.fullmatch(r"[\w.:/\\+=-][\w.:/\\+=@~-]*", text):
        return text
    # Programs take backslashes before a quote for escapes.
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'


def _escape_letter(letter: str) -> str:
    """Return a letter as it is written between ``$'`` and ``'``; the bytes of an undecodable file name too."""
    if letter in "\\'":
        return f"\\{letter}"
    if escape_unprintable(letter) == letter:
        return letter
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def format_scope(url: str | None, team: str | None) -> str:
    """Return the typed global options with a space after each: with them, a command is about the same models."""
    given = {"--url": url, "--team": team}
    return "".join(f"{option} {quote_word(value)} " for option, value in given.items() if value is not None)


def shorten_path(model_path: str) -> str:
    """Return a model's path without ``models/``, by which commands find it: only one model has it."""
    return model_path.removeprefix("models/")


def format_model_path(model_path: str) -> str:
    """Return a model's path with ``models/``, with or without which the registry may have stored it."""
    return f"models/{shorten_path(model_path)}"


class Content(Protocol):
    """A model or a version: one file, or a folder of ``file_count`` files."""

    @property
    def content_size(self) -> int: ...

    @property
    def file_count(self) -> int | None: ...


def format_content_size(content: Content) -> str:
    """Format the size of a model or a version as ``6.8 GB``, of a folder as ``6.8 GB, 14 files``."""
    size = format_size(content.content_size)
    return size if content.file_count is None else f"{size}, {counted(content.file_count, 'file')}"


def format_time(moment: datetime | None) -> str:
    """Format a time in this machine's time zone, to the minute; None becomes an empty string."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M")


def format_age(moment: datetime | None) -> str:
    """Format how long ago a time was, such as ``3 days ago``; None becomes ``never``, a future time ``just now``."""
    if moment is None:
        return "never"
    seconds = max(0, round((datetime.now(UTC) - moment).total_seconds()))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{counted(count, unit)} ago"
    return "just now"


def format_duration(seconds: float) -> str:
    """Format a duration as ``1:02:03`` or ``2:03``, and below a minute as ``12 s``."""
    rounded = timedelta(seconds=round(seconds))
    return str(rounded).removeprefix("0:").lstrip("0") if seconds >= 60 else f"{round(seconds)} s"


def count_columns(text: str) -> int:
    """Count the terminal columns of a text: wide characters take two, combining ones, joiners and tags none."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.category(letter) in ("Mn", "Me", "Cf") for letter in text)


def format_fields(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Format pairs as aligned ``name  value`` lines; values are escaped, pairs with an empty one omitted."""
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    return [f"{name:<{width}}  {escape_unprintable(value)}" for name, value in shown]
