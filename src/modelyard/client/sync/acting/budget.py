"""When a machine may download, and how much room it leaves: pure rules, each with the sentence of why it waits."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta

_HOURS = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])-([01]?[0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True)
class Window:
    """The hours of the day, by the machine's clock, in which it downloads. They may span midnight."""

    start: time
    end: time

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    @property
    def why_waiting(self) -> str:
        """What a machine says outside of them."""
        return f"Downloads start at {self.start:%H:%M}."


def read_window(text: str) -> Window:
    """A window from what an operator writes: "22:00-07:00".

    Raises:
        ValueError: it is something else, or empty.
    """
    hours = _HOURS.fullmatch(text.strip())
    if hours is None:
        raise ValueError('Write the hours as in "22:00-07:00".')
    start_hour, start_minute, end_hour, end_minute = map(int, hours.groups())
    window = Window(time(start_hour, start_minute), time(end_hour, end_minute))
    if window.start == window.end:
        raise ValueError("The hours begin and end at the same time. Leave them out to download at any time.")
    return window


def why_closed(window: Window | None, now: datetime) -> str | None:
    """Why nothing may be downloaded now; None if it may."""
    if window is None or _is_open(window, now.time()):
        return None
    return window.why_waiting


def seconds_left(window: Window | None, now: datetime) -> float | None:
    """How long the window stays open, which it is; None: for ever."""
    if window is None:
        return None
    end = datetime.combine(now.date(), window.end, now.tzinfo)
    if end <= now:
        end += timedelta(days=1)
    return (end - now).total_seconds()


def room_lacking(needed: int, free: int, floor: int) -> int:
    """The bytes that must go before ``needed`` more fit and ``floor`` bytes stay free; 0 if they do."""
    return max(0, needed + floor - free)


def _is_open(window: Window, at: time) -> bool:
    if window.start < window.end:
        return window.start <= at < window.end
    return at >= window.start or at < window.end
