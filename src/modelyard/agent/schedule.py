"""When an agent does what. Pure: it knows no clock but the times that it is given, in seconds."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelyard.client.sync.acting.budget import Window, why_closed

# People put files into folders without telling anybody.
LOOK_EVERY = 600.0
# What failed may go well a little later; the longer it fails, the less often.
FIRST_RETRY = 15.0
LONGEST_RETRY = 600.0
# A replacement waits for ComfyUI to be idle, which a person notices when it takes long.
BUSY_RETRY = 10.0
# A round that downloads is left alone for so long before a change ends it, and for twice as long after each time: a
# download that is taken up again is read again, and must get on although the team pushes models all day.
UNDISTURBED = 10.0
LONGEST_UNDISTURBED = 300.0

IDLE_BEAT = 30.0
BUSY_BEAT = 2.0
_LONGEST_BEAT = 300.0

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0


@dataclass
class Backoff:
    """Waits that double, with jitter, so that fifty machines that lost one registry do not come back as one."""

    spread: Callable[[], float] = random.random
    _tries: int = 0

    def next_wait(self) -> float:
        """Seconds until the next attempt."""
        longest = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0**self._tries)
        self._tries = min(self._tries + 1, 16)
        return longest * (0.5 + self.spread() / 2)

    def reset(self) -> None:
        """An attempt went well."""
        self._tries = 0


@dataclass
class Schedule:
    """When the disk is looked at again."""

    window: Window | None = None
    _due: float = 0.0
    _failures: int = 0
    _began: float = 0.0
    _disturbed: int = 0

    def wake(self, now: float) -> None:
        """Something changed: look now."""
        self._due = min(self._due, now)

    def begin(self, now: float) -> None:
        """A round begins; what wakes from here on asks for another one."""
        self._began = now
        self._due = now + LOOK_EVERY

    def ended(self, now: float, local: datetime, *, has_failed: bool = False, is_busy: bool = False) -> None:
        """A round ended: ``has_failed`` if something may go well later, ``is_busy`` if ComfyUI was in the way."""
        self._disturbed = 0
        self._failures = self._failures + 1 if has_failed else 0
        waits = [LOOK_EVERY]
        if has_failed:
            waits.append(min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(self._failures - 1, 16)))
        if is_busy:
            waits.append(BUSY_RETRY)
        if (opens := seconds_until_open(self.window, local)) is not None:
            waits.append(opens)
        self._due = min(self._due, now + min(waits))

    def wait(self, now: float) -> float:
        """Seconds until the next round is due."""
        return max(0.0, self._due - now)

    def wait_to_disturb(self, now: float) -> float:
        """Seconds for which a round that runs is left alone, though something changed."""
        alone = min(LONGEST_UNDISTURBED, UNDISTURBED * 2.0 ** min(self._disturbed, 16))
        return max(0.0, self._began + alone - now)

    def disturbed(self) -> None:
        """A round was ended for a change."""
        self._disturbed += 1


@dataclass
class Pulse:
    """When the next heartbeat is due."""

    backoff: Backoff = field(default_factory=Backoff)
    _last: float = float("-inf")
    _due: float = 0.0

    def changed(self) -> None:
        """Something is worth telling: soon, but not sooner than every ``BUSY_BEAT`` seconds."""
        self._due = min(self._due, self._last + BUSY_BEAT)

    def went_well(self, now: float, interval: float, *, is_busy: bool) -> None:
        """A heartbeat was answered; ``interval`` is what the registry asks for."""
        self.backoff.reset()
        self._last = now
        asked = min(max(interval, BUSY_BEAT), _LONGEST_BEAT) if math.isfinite(interval) else IDLE_BEAT
        self._due = now + (min(asked, BUSY_BEAT) if is_busy else asked)

    def failed(self, now: float) -> None:
        """Nobody answered."""
        self._last = self._due = now + self.backoff.next_wait()

    def wait(self, now: float) -> float:
        """Seconds until it is due."""
        return max(0.0, self._due - now)


def seconds_until_open(window: Window | None, local: datetime) -> float | None:
    """How long a window that is closed stays so; None if downloads may run."""
    if window is None or why_closed(window, local) is None:
        return None
    opens = datetime.combine(local.date(), window.start, local.tzinfo)
    if opens <= local:
        opens += timedelta(days=1)
    return (opens - local).total_seconds()
