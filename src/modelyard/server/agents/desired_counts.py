"""Counts of the models that a machine should hold, cached per team so that a list of machines does not count them."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.desired import is_desired
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.tables import ModelRow

MAX_CACHED_TEAMS = 1_000
_models = get_table(ModelRow)


class DesiredCounts:
    """The number of desired models of each team by the label set that they need, counted once per revision."""

    def __init__(self) -> None:
        self._cache: OrderedDict[UUID, tuple[int, Mapping[str, int]]] = OrderedDict()
        self._lock = threading.Lock()

    def get_by_label_set(self, session: Session, team_id: UUID) -> Mapping[str, int]:
        """Return the number of desired models for each set of required labels, as of the session's snapshot."""
        revision = revisions.get_totals(session, team_id).revision
        with self._lock:
            cached = self._cache.get(team_id)
        if cached is not None and cached[0] == revision:
            return cached[1]
        statement = select(_models.c.label_set, func.count()).where(is_desired(team_id)).group_by(_models.c.label_set)
        counts: dict[str, int] = {row[0]: row[1] for row in session.execute(statement)}
        with self._lock:
            self._cache[team_id] = (revision, counts)
            self._cache.move_to_end(team_id)
            if len(self._cache) > MAX_CACHED_TEAMS:
                self._cache.popitem(last=False)
        return counts


def count_desired_models(desired_counts: Mapping[str, int], label_set: str) -> int:
    """Return how many of these models a machine with this label set should hold."""
    return sum(count for needed, count in desired_counts.items() if has_all_labels(needed, label_set))
