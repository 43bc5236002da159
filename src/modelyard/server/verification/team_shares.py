"""Equal shares of the workers' time for all teams that have files to verify (weighted fair queuing)."""

import threading
from collections.abc import Collection
from uuid import UUID

# Charged when a file is begun, so that teams that have used equally much alternate.
BEGIN_SECONDS = 0.01


class TeamShares:
    """How much of this process's verification time each team has used while it had files to verify.

    ``_level`` is the virtual time: what a team that always had files waiting would have used by now. A new team starts
    there, so it gains nothing by having been idle and does not wait for another team's backlog.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Collection[UUID] = ()
        self._used: dict[UUID, float] = {}
        self._level = 0.0

    def order_teams(self, waiting: Collection[UUID]) -> list[UUID]:
        """Return these teams, the one that has used the least time first; they count as waiting until the next call.

        Teams that used equally much keep their order.
        """
        with self._lock:
            used = {team: self._get_used(team) for team in waiting}
            self._waiting = used.keys()
            self._level = max(self._level, min(used.values(), default=0.0))
            # Of a team that has nothing waiting, only what it is ahead counts when it comes back.
            self._used = {team: ahead for team, ahead in self._used.items() if ahead > self._level} | used
            return sorted(waiting, key=used.__getitem__)

    def charge(self, team: UUID, seconds: float) -> None:
        """Add time that was spent on a file of this team to what it has used, which moves the level for all."""
        with self._lock:
            self._used[team] = self._get_used(team) + seconds
            self._level += seconds / max(1, len(self._waiting))

    def _get_used(self, team: UUID) -> float:
        """Return the time that a team has used; at least the level if it has no files waiting.

        The caller holds the lock.
        """
        used = self._used.get(team, self._level)
        return used if team in self._waiting else max(used, self._level)
