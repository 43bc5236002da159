"""Parse durations that people type, such as ``90s``."""

import re

_DURATION = re.compile(r"(?i)\s*([0-9]+(?:\.[0-9]+)?)\s*(s|m|h|)\s*")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> float:
    """Parse ``300``, ``90s``, ``1.5M`` or ``2h`` and return seconds; without a unit the number is seconds.

    Units are seconds, minutes and hours, in any case; only one is allowed.

    Raises:
        ValueError: the text is not a duration, or is zero.
    """
    match = _DURATION.fullmatch(text)
    seconds = float(match[1]) * _SECONDS[match[2].lower()] if match is not None else 0.0
    if not seconds:
        raise ValueError(f"'{text}' is not a duration. Write it like 90s, 5m or 2h.")
    return seconds
