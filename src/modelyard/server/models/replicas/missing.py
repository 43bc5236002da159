"""Missing replicas: models that are not ready on a machine that should hold them, found by indexes of models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, literal_column, or_, select, union, union_all
from sqlalchemy.orm import Session

from modelyard.server.database.search import SELECTIVE_LIMIT, is_sqlite_session, join_left_to_right
from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.assignments import (
    has_assignments,
    is_of_agent,
    is_of_team,
)
from modelyard.server.models.replicas.desired import (
    MachineCounts,
    is_desired,
    list_desired_label_sets,
    list_label_sets_for,
)
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow, AssignmentRow
from modelyard.server.models.tables import ModelRow

ANY = "any"
_models, _states, _assignments = get_table(ModelRow), get_table(AgentModelRow), get_table(AssignmentRow)


@dataclass(frozen=True)
class Missing:
    """SQL conditions on models, one for each range of an index; a missing model meets exactly one of them.

    With ``may_overlap``, as for several machines, it may meet more than one.
    """

    ranges: Sequence[ColumnElement[bool]]
    may_overlap: bool = False

    @property
    def condition(self) -> ColumnElement[bool]:
        """The condition that a model is missing, as one SQL expression."""
        return or_(*self.ranges) if self.ranges else false()

    @property
    def ids(self) -> Select[Any]:
        """The query of the ids of missing models, a union over the ranges: for an OR, databases read another index."""
        queries = [select(_models.c.id).where(condition) for condition in self.ranges or [false()]]
        combine = union if self.may_overlap else union_all
        return select(combine(*queries).subquery("missing"))

    def build_condition(self, session: Session) -> ColumnElement[bool]:
        """Return the condition that a model is missing.

        On PostgreSQL, if there are fewer than ``SELECTIVE_LIMIT`` missing models, it is a list of their ids: the
        planner cannot estimate how few they are.
        """
        if is_sqlite_session(session):
            return self.condition
        ids = list(session.scalars(self.ids.limit(SELECTIVE_LIMIT)))
        return self.condition if len(ids) == SELECTIVE_LIMIT else _models.c.id.in_(ids)


def find_missing(session: Session, team_id: UUID, agent_id: str) -> Missing:
    """Return conditions for verified models that should be on this machine and are not ready there.

    With ``any``, those that are not ready on at least one machine that should hold them. No model is missing on a
    machine that does not exist.
    """
    if agent_id == ANY:
        return Missing(_list_incomplete_ranges(session, team_id, list_desired_label_sets(session, team_id)))
    agent = session.scalar(select(AgentRow).where(AgentRow.team_id == team_id, AgentRow.agent_id == agent_id))
    if agent is None:
        return Missing(())
    needed = list_label_sets_for(session, agent)
    is_labelled = and_(is_desired(team_id), _models.c.label_set.in_(needed))
    is_assigned = _is_assigned_alone(session, agent, needed)
    if agent.models_ready >= sum(_count(session, condition) for condition in [is_labelled, *is_assigned]):
        return Missing(())
    state = _states.alias("there")
    is_ready_there = exists().where(
        state.c.agent_number == agent.number, state.c.model_id == _models.c.id, state.c.state == "ready"
    )
    # A model that is ready on all machines that should have it is ready on this one: the index alone shows that.
    ranges = _list_incomplete_ranges(session, team_id, needed) + [
        and_(condition, _models.c.verification == literal_column("'verified'")) for condition in is_assigned
    ]
    return Missing([and_(condition, ~is_ready_there) for condition in ranges])


def _count(session: Session, condition: ColumnElement[bool]) -> int:
    """Return how many models meet the condition."""
    return session.scalar(select(func.count()).select_from(_models).where(condition)) or 0


def _is_assigned_alone(session: Session, agent: AgentRow, has: list[str]) -> list[ColumnElement[bool]]:
    """Build the condition for models that a machine should hold by assignment alone; none if it has no assignments.

    It names nothing but ids, for which databases read the primary key.

    ``has`` has the label sets of desired models that the machine has.
    """
    if not has_assignments(session, is_of_agent(agent.number)):
        return []
    model = _models.alias("assigned")
    joined = join_left_to_right(_assignments, model, model.c.id == _assignments.c.model_id)
    ids = (
        select(model.c.id)
        .select_from(joined)
        .where(
            is_of_agent(agent.number),
            model.c.deleted_at.is_(None),
            model.c.model_status == "active",
            model.c.verified_at.is_not(None),
            model.c.label_set.not_in(has),
        )
    )
    return [_models.c.id.in_(ids)]


def _is_verified(team_id: UUID) -> ColumnElement[bool]:
    """Build the condition for desired models whose content is good now."""
    return and_(is_desired(team_id), _models.c.verification == literal_column("'verified'"))


def _list_incomplete_ranges(session: Session, team_id: UUID, needed: list[str]) -> list[ColumnElement[bool]]:
    """Build conditions for each label set: fewer machines have the model ready than should have it.

    They exclude each other. Relies on ``agent_models`` having rows only for machines that should hold the model.
    """
    machines = MachineCounts.load(session, team_id)
    of_set = [(and_(_is_verified(team_id), _models.c.label_set == each), machines.count_with(each)) for each in needed]
    ranges = [and_(condition, _models.c.agents_ready < count) for condition, count in of_set if count]
    if not has_assignments(session, is_of_team(team_id)):
        return ranges
    return ranges + [
        and_(
            condition,
            # Written out, as in ``is_desired``: it is the condition of ``ix_models_assigned``.
            _models.c.agents_assigned > literal_column("0"),
            _models.c.agents_ready >= count,
            _models.c.agents_ready < count + _models.c.agents_assigned,
        )
        for condition, count in of_set
    ]
