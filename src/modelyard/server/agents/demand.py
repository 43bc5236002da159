"""How many models a machine should hold, without counting them for everybody who looks."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from modelyard.server import changes
from modelyard.server.database.session import table_of
from modelyard.server.models.holders.labels import fits
from modelyard.server.models.holders.wanting import is_wanted
from modelyard.server.models.tables import ModelRow

MOST_TEAMS = 1_000
_models = table_of(ModelRow)


class Demand:
    """The wanted models of each team by what labels they need, counted once a revision."""

    def __init__(self) -> None:
        self._counted: OrderedDict[UUID, tuple[int, Mapping[str, int]]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, session: Session, team_id: UUID) -> Mapping[str, int]:
        """How many models need each label set, at the moment that the session sees."""
        revision = changes.totals_of(session, team_id).revision
        with self._lock:
            known = self._counted.get(team_id)
        if known is not None and known[0] == revision:
            return known[1]
        counted = select(_models.c.label_set, func.count()).where(is_wanted(team_id)).group_by(_models.c.label_set)
        counts: dict[str, int] = {row[0]: row[1] for row in session.execute(counted)}
        with self._lock:
            self._counted[team_id] = (revision, counts)
            self._counted.move_to_end(team_id)
            if len(self._counted) > MOST_TEAMS:
                self._counted.popitem(last=False)
        return counts


def wanted_by(demand: Mapping[str, int], has: str) -> int:
    """How many of these models a machine with this label set should hold."""
    return sum(count for needed, count in demand.items() if fits(needed, has))
