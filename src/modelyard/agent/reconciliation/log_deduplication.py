"""Deduplication of log lines: a conflict that lasts for weeks is logged once."""

from collections.abc import Collection

# How many logged lines that are not current are remembered.
MAX_OLD_LINES = 10_000


class LoggedLines:
    """Lines that were logged before. The caller logs what ``take_new_lines`` returns."""

    def __init__(self) -> None:
        self._logged: dict[str, None] = {}  # ordered by when each line was last current

    def take_new_lines(self, lines: Collection[str], *, is_complete: bool) -> list[str]:
        """Return the lines that were not logged before, sorted, and remember them as logged.

        Args:
            lines: what is wrong now.
            is_complete: whether ``lines`` is everything that is wrong. If so, all other lines are dropped, and logged
                again when they return. Otherwise the newest ``MAX_OLD_LINES`` of the other lines are kept.
        """
        new = sorted(line for line in lines if line not in self._logged)
        current = set(lines)
        others = [] if is_complete else [line for line in self._logged if line not in current]
        self._logged = dict.fromkeys([*others[-MAX_OLD_LINES:], *sorted(current)])
        return new
