"""Deduplication of log lines: a conflict that lasts for weeks is logged once."""

import logging
from collections.abc import Collection

from modelyard.comfyui.quoting import counted, printable, quoted
from modelyard.sync.inventory.deadlines import FilesystemNotResponding
from modelyard.wire.agents.heartbeats import HeartbeatResponse

log = logging.getLogger("modelyard.agent")

# How many logged lines that are not current are remembered.
MAX_OLD_LINES = 10_000
# How many kinds of values that the registry could not read are logged from start to end of an agent.
MAX_UNREADABLE_KINDS = 100


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


class LoggedFailures:
    """The failures of the last run of work that is repeated; each is logged once as long as it lasts.

    ``problem`` begins the lines, as in "The use of models cannot be counted".
    """

    def __init__(self, problem: str) -> None:
        self._problem = problem
        self._current: frozenset[str] = frozenset()

    def update(self, failures: Collection[Exception]) -> None:
        """Log the failures of a run that the run before did not have; none if it succeeded."""
        by_text = {f"{type(failure).__name__}: {failure}": failure for failure in failures}
        for text, failure in by_text.items():
            if text not in self._current:
                self._log(failure)
        self._current = frozenset(by_text)

    def _log(self, failure: Exception) -> None:
        """Log one failure, an unexpected one with its traceback."""
        if isinstance(failure, FilesystemNotResponding):
            log.warning("%s: %s does not respond.", self._problem, quoted(failure.path))
        elif isinstance(failure, OSError):
            log.warning("%s: %s", self._problem, failure.strerror or failure)
        else:
            log.error("%s because of an unexpected error.", self._problem, exc_info=failure)


class LoggedUnreadableValues:
    """The kinds of values that the registry could not read; the first ``MAX_UNREADABLE_KINDS`` are logged.

    A kind is a message, which the registry chooses.
    """

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def update(self, answer: HeartbeatResponse) -> None:
        """Log each kind of value that an answer names and that was not logged before, with one example."""
        for each in answer.unreadable_list:
            message = printable(each.message)
            if message in self._logged or len(self._logged) == MAX_UNREADABLE_KINDS:
                continue
            self._logged.add(message)
            count, example = counted(answer.unreadable_count, "value"), printable(each.field)
            log.warning(
                "The registry could not read %s of a report. The first of this kind: %s: %s", count, example, message
            )
