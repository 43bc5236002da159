"""How teams share the senders of a process, so that slow receivers do not take all of them."""

from collections import Counter
from collections.abc import Sequence
from itertools import count
from uuid import UUID

# Deliveries that a process sends at the same time; most of the time they wait for receivers.
SENDER_THREADS = 6
# So many of them never send for a team that is slow, nor for one that has two running deliveries.
RESERVED_THREADS = 2
# Deliveries of one team that are sent at the same time, in all processes; of one webhook it is one.
MAX_PER_TEAM = 2
# An attempt that takes longer is slow.
SLOW_SECONDS = 2.0


class SenderShare:
    """The running deliveries of a process, and when and how quickly it last sent for each team.

    Not safe for threads: the caller holds a lock.
    """

    def __init__(self, threads: int = SENDER_THREADS, reserved: int = RESERVED_THREADS) -> None:
        self._threads, self._reserved = threads, reserved
        self._running = Counter[UUID]()
        self._turns = count(1)
        self._last_turn: dict[UUID, int] = {}
        self._slow: set[UUID] = set()

    def order_teams(self, waiting: Sequence[UUID], running: Counter[UUID]) -> list[UUID]:
        """Return the teams for which a free sender may send now, the next one first.

        ``running`` are the deliveries that all processes send. Those with the fewest come first, then those for which
        this process has sent nothing for the longest time.
        """
        teams = [team for team in waiting if self._is_allowed(team, running[team])]
        return sorted(teams, key=lambda team: (running[team], self._last_turn.get(team, 0), team))

    def begin(self, team_id: UUID) -> None:
        """Count a delivery that is sent now."""
        self._running[team_id] += 1
        self._last_turn[team_id] = next(self._turns)

    def end(self, team_id: UUID) -> None:
        """Count a delivery as ended."""
        self._running[team_id] -= 1
        # A team without deliveries takes no memory.
        self._running += Counter()

    def record_duration(self, team_id: UUID, seconds: float) -> None:
        """Record how long a receiver of the team took: the last one decides whether the team is slow."""
        if seconds > SLOW_SECONDS:
            self._slow.add(team_id)
        else:
            self._slow.discard(team_id)

    def _is_allowed(self, team_id: UUID, running: int) -> bool:
        """Return whether one more delivery of a team may be sent."""
        general, limit = self._count_general(), self._threads - self._reserved
        if running == 0:
            return team_id not in self._slow or general < limit
        return running < MAX_PER_TEAM and general < limit and self._running.total() < limit

    def _count_general(self) -> int:
        """Count the running deliveries of slow teams and of teams that have several: no reserved sender has these."""
        return sum(count for team, count in self._running.items() if count > 1 or team in self._slow)
