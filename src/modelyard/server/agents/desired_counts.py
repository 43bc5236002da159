"""Counts of the models that a machine should hold, cached per team so that a list of machines does not count them."""

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.desired import is_desired
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.tables import AgentRow, AssignmentRow
from modelyard.server.models.tables import ModelRow

MAX_CACHED_TEAMS = 1_000
_models, _assignments = get_table(ModelRow), get_table(AssignmentRow)


@dataclass(frozen=True)
class TeamDesiredCounts:
    """The number of a team's desired models for each set of required labels, and of those assigned to each machine."""

    by_label_set: Mapping[str, int]
    assigned: Mapping[int, Mapping[str, int]]

    def count_for(self, agent: AgentRow) -> int:
        """Return how many models a machine should hold: those whose labels it has, and others assigned to it."""
        labelled = (count for needed, count in self.by_label_set.items() if has_all_labels(needed, agent.label_set))
        assigned = self.assigned.get(agent.number, {}).items()
        return sum(labelled) + sum(count for needed, count in assigned if not has_all_labels(needed, agent.label_set))


class DesiredCounts:
    """The counts of each team, computed once per revision."""

    def __init__(self) -> None:
        self._cache: OrderedDict[UUID, tuple[int, TeamDesiredCounts]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, session: Session, team_id: UUID) -> TeamDesiredCounts:
        """Return a team's counts as of the session's snapshot."""
        return self._get_at(session, team_id, revisions.get_totals(session, team_id).revision)

    def get_all(self, session: Session, team_ids: Collection[UUID]) -> dict[UUID, TeamDesiredCounts]:
        """Return the counts of several teams; of those without a new revision, all are found with one query."""
        found = revisions.get_revisions(session, team_ids)
        return {team_id: self._get_at(session, team_id, found.get(team_id, 0)) for team_id in team_ids}

    def _get_at(self, session: Session, team_id: UUID, revision: int) -> TeamDesiredCounts:
        """Return a team's counts at the revision of the session's snapshot, cached or else loaded and then cached."""
        with self._lock:
            cached = self._cache.get(team_id)
        if cached is not None and cached[0] == revision:
            return cached[1]
        counts = _load(session, team_id)
        with self._lock:
            self._cache[team_id] = (revision, counts)
            self._cache.move_to_end(team_id)
            if len(self._cache) > MAX_CACHED_TEAMS:
                self._cache.popitem(last=False)
        return counts


def _load(session: Session, team_id: UUID) -> TeamDesiredCounts:
    """Count the team's desired models and assignments."""
    by_label_set = select(_models.c.label_set, func.count()).where(is_desired(team_id)).group_by(_models.c.label_set)
    assigned = (
        select(_assignments.c.agent_number, _models.c.label_set, func.count())
        .join(_models, _models.c.id == _assignments.c.model_id)
        .where(_assignments.c.team_id == team_id, is_desired(team_id))
        .group_by(_assignments.c.agent_number, _models.c.label_set)
    )
    counts: dict[int, dict[str, int]] = {}
    for number, needed, count in session.execute(assigned):
        counts.setdefault(number, {})[needed] = count
    return TeamDesiredCounts({row[0]: row[1] for row in session.execute(by_label_set)}, counts)
