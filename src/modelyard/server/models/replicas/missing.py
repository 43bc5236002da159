"""Missing replicas: models that are not ready on a machine that should hold them, found by ``ix_models_desired``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, literal_column, or_, select, union_all
from sqlalchemy.orm import Session

from modelyard.server.database.search import is_sqlite_session
from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.desired import MachineCounts, is_desired, list_desired_label_sets
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow
from modelyard.server.models.tables import ModelRow

ANY = "any"
_models, _states = get_table(ModelRow), get_table(AgentModelRow)


@dataclass(frozen=True)
class Missing:
    """SQL conditions on models, one for each range of the index; a model that meets any of them is missing."""

    ranges: Sequence[ColumnElement[bool]]

    @property
    def condition(self) -> ColumnElement[bool]:
        """The condition that a model is missing, as one SQL expression."""
        return or_(*self.ranges) if self.ranges else false()

    @property
    def ids(self) -> Select[Any]:
        """The query of the ids of missing models, a union over the ranges: for an OR, databases read another index."""
        queries = [select(_models.c.id).where(condition) for condition in self.ranges or [false()]]
        return select(union_all(*queries).subquery("missing"))

    def build_condition(self, session: Session, limit: int) -> ColumnElement[bool]:
        """Return the condition that a model is missing.

        On PostgreSQL, if there are fewer than ``limit`` missing models, it is a list of their ids: the planner cannot
        estimate how few they are.
        """
        if is_sqlite_session(session):
            return self.condition
        ids = list(session.scalars(self.ids.limit(limit)))
        return self.condition if len(ids) == limit else _models.c.id.in_(ids)


def find_missing(session: Session, team_id: UUID, agent_id: str) -> Missing:
    """Return conditions for verified models that should be on this machine and are not ready there.

    With ``any``, those that are not ready on at least one machine that should hold them. No model is missing on a
    machine that does not exist.
    """
    needed = list_desired_label_sets(session, team_id)
    if agent_id == ANY:
        return Missing(_list_incomplete_ranges(session, team_id, needed))
    agent = session.scalar(select(AgentRow).where(AgentRow.team_id == team_id, AgentRow.agent_id == agent_id))
    if agent is None:
        return Missing(())
    needed = [label_set for label_set in needed if has_all_labels(label_set, agent.label_set)]
    desired_count = select(func.count()).where(is_desired(team_id), _models.c.label_set.in_(needed))
    if agent.models_ready >= (session.scalar(desired_count) or 0):
        return Missing(())
    state = _states.alias("there")
    is_ready_there = exists().where(
        state.c.agent_number == agent.number, state.c.model_id == _models.c.id, state.c.state == "ready"
    )
    # A model that is ready on all machines that should have it is ready on this one: the index alone shows that.
    return Missing(
        [and_(condition, ~is_ready_there) for condition in _list_incomplete_ranges(session, team_id, needed)]
    )


def _list_incomplete_ranges(session: Session, team_id: UUID, needed: list[str]) -> list[ColumnElement[bool]]:
    """Build a condition for each label set that a machine has: fewer machines have the model ready than should have it.

    Relies on ``agent_models`` having rows only for machines that should hold the model.
    """
    machines = MachineCounts.load(session, team_id)
    is_verified = and_(is_desired(team_id), _models.c.verification == literal_column("'verified'"))
    return [
        and_(
            is_desired(team_id),
            _models.c.label_set == label_set,
            is_verified,
            _models.c.agents_ready < machines.count_with(label_set),
        )
        for label_set in needed
        if machines.count_with(label_set)
    ]
