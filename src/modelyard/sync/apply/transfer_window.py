"""The daily hours in which a machine downloads, and the rule for disk space to leave free. Pure; performs no I/O."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta

_HOURS = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])-([01]?[0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True)
class TransferWindow:
    """The hours of the day, in the machine's local time, in which it downloads. They may span midnight."""

    start: time
    end: time

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    @property
    def waiting_reason(self) -> str:
        """Return the sentence shown outside of these hours."""
        return f"Downloads start at {self.start:%H:%M}."


def parse_window(text: str) -> TransferWindow:
    """Parse a transfer window as an operator writes it: "22:00-07:00".

    Raises:
        ValueError: it has another form, or start and end are equal.
    """
    hours = _HOURS.fullmatch(text.strip())
    if hours is None:
        raise ValueError('Write the hours as in "22:00-07:00".')
    start_hour, start_minute, end_hour, end_minute = map(int, hours.groups())
    window = TransferWindow(time(start_hour, start_minute), time(end_hour, end_minute))
    if window.start == window.end:
        raise ValueError("The start and the end are the same. Omit the hours to download at any time.")
    return window


def get_closed_reason(window: TransferWindow | None, now: datetime) -> str | None:
    """Return why nothing may be downloaded now; None if ``window`` is None or open. ``now`` is in local time."""
    if window is None or _is_open(window, now.time()):
        return None
    return window.waiting_reason


def get_seconds_until_close(window: TransferWindow | None, now: datetime) -> float | None:
    """Return how long an open window stays open; None: there is no window. Precondition: the window is open."""
    if window is None:
        return None
    end = datetime.combine(now.date(), window.end, now.tzinfo)
    if end <= now:
        end += timedelta(days=1)
    return (end - now).total_seconds()


def count_missing_bytes(needed: int, free: int, keep_free: int) -> int:
    """Return the bytes to delete before ``needed`` more fit and ``keep_free`` stay free; 0 if they fit."""
    return max(0, needed + keep_free - free)


def _is_open(window: TransferWindow, at: time) -> bool:
    """Return whether a time of day is within the window, which may span midnight."""
    if window.start < window.end:
        return window.start <= at < window.end
    return at >= window.start or at < window.end
