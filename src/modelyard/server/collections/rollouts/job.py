"""The job that moves all running roll-outs on."""

import time
from collections.abc import Callable, Sequence
from uuid import UUID

from modelyard.server.collections.rollouts.advancing import advance_rollout, list_running_rollouts
from modelyard.server.database.session import Database
from modelyard.server.leases import Interruption

# A look at the machines of a roll-out takes at most this share of the time: with many, the next one is later.
_MAX_SHARE = 1 / 20


class RolloutAdvancer:
    """Moves running roll-outs on, each of them again after a time that grows with what a look at it costs.

    Only these times are kept in memory: another process that gets the lease looks at all roll-outs at once.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self.interruption = Interruption()
        self._database = database
        self._clock = clock
        self._due_at: dict[UUID, float] = {}

    def list_due(self) -> Sequence[tuple[UUID, UUID]]:
        """Return the team and the id of each running roll-out that is due; what is kept of ended ones is dropped."""
        running, moment = list_running_rollouts(self._database), self._clock()
        self._due_at = {each: self._due_at[each] for _, each in running if each in self._due_at}
        return [(team_id, each) for team_id, each in running if self._due_at.get(each, moment) <= moment]

    def advance(self, due: Sequence[tuple[UUID, UUID]]) -> None:
        """Take the next step of each of these roll-outs.

        If some raise, continue with the others, then raise the first error. Ends early if the job is interrupted. A
        roll-out is due again after a pause that grows with the time it took.
        """
        first: Exception | None = None
        for team_id, rollout_id in due:
            if self.interruption.is_set():
                break
            begun_at = self._clock()
            try:
                advance_rollout(self._database, team_id, rollout_id)
            except Exception as error:  # noqa: BLE001 other teams must not wait for any of them; it is raised at the end
                error.add_note(f"roll-out {rollout_id}")
                first = first or error
            ended_at = self._clock()
            self._due_at[rollout_id] = ended_at + (ended_at - begun_at) / _MAX_SHARE
        if first is not None:
            raise first
