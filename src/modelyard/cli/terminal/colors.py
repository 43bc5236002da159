"""Coloured lines, and the colours of states: the ones of the page, as far as a terminal has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

Color = Literal["green", "cyan", "yellow", "red", "bright_black"]

# Of models, of their copies on machines, and of machines. A state that is not here is a normal one.
_COLORS: dict[Color, tuple[str, ...]] = {
    "green": ("ready", "up to date", "idle"),
    "cyan": ("syncing", "busy", "downloading", "verifying"),
    "yellow": ("pending", "queued", "waiting", "paused"),
    "red": ("problem", "failed", "damaged", "blocked", "conflict", "unhealthy"),
    "bright_black": ("disabled", "offline"),
}
_COLOR_OF = {state: color for color, states in _COLORS.items() for state in states}
_STATE = re.compile(rf"\b({'|'.join(_COLOR_OF)})\b", re.IGNORECASE)


class Span(NamedTuple):
    """A part of a line, and its colour if it has one."""

    text: str
    color: Color | None = None


class Line:
    """A line of spans. As a text it has no colour and no spaces at its end."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = tuple(spans)

    def __str__(self) -> str:
        return "".join(span.text for span in self.spans).rstrip()


def find_state_color(text: str) -> Color | None:
    """Return the colour of the first state in a text such as ``verified, v2 failed``; None for normal ones."""
    found = _STATE.search(text)
    return None if found is None else _COLOR_OF[found[1].casefold()]
