"""Models that a machine should have and has not, found by the counts that ``ix_models_wanted`` is sorted by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, literal_column, or_, select, union_all
from sqlalchemy.orm import Session

from modelyard.server.database.search import on_sqlite
from modelyard.server.database.session import table_of
from modelyard.server.models.holders.labels import fits
from modelyard.server.models.holders.tables import AgentModelRow, AgentRow
from modelyard.server.models.holders.wanting import Machines, is_wanted, needed_sets
from modelyard.server.models.tables import ModelRow

ANY = "any"
_models, _states = table_of(ModelRow), table_of(AgentModelRow)


@dataclass(frozen=True)
class Missing:
    """Conditions on models, each a stretch of the index; a model that meets one of them is missing."""

    stretches: Sequence[ColumnElement[bool]]

    @property
    def condition(self) -> ColumnElement[bool]:
        return or_(*self.stretches) if self.stretches else false()

    @property
    def ids(self) -> Select[Any]:
        """The ids, stretch by stretch: databases would read another index for a choice of conditions."""
        found = [select(_models.c.id).where(stretch) for stretch in self.stretches or [false()]]
        return select(union_all(*found).subquery("missing"))

    def tested(self, session: Session, most: int) -> ColumnElement[bool]:
        """The condition; for PostgreSQL by its ids, if they are fewer than ``most``: it cannot guess how few."""
        if on_sqlite(session):
            return self.condition
        ids = list(session.scalars(self.ids.limit(most)))
        return self.condition if len(ids) == most else _models.c.id.in_(ids)


def missing_on(session: Session, team_id: UUID, where: str) -> Missing:
    """What is verified, wanted on this machine (or on any), and not ready there."""
    needed = needed_sets(session, team_id)
    if where == ANY:
        return Missing(_not_everywhere(session, team_id, needed))
    agent = session.scalar(select(AgentRow).where(AgentRow.team_id == team_id, AgentRow.agent_id == where))
    if agent is None:
        return Missing(())
    needed = [one for one in needed if fits(one, agent.label_set)]
    wanted = select(func.count()).where(is_wanted(team_id), _models.c.label_set.in_(needed))
    if agent.models_ready >= (session.scalar(wanted) or 0):
        return Missing(())
    of_model = _states.alias("there")
    is_ready_there = exists().where(
        of_model.c.agent_number == agent.number, of_model.c.model_id == _models.c.id, of_model.c.state == "ready"
    )
    # Where all machines that should have it do, this one does: that is seen in the index.
    return Missing([and_(stretch, ~is_ready_there) for stretch in _not_everywhere(session, team_id, needed)])


def _not_everywhere(session: Session, team_id: UUID, needed: list[str]) -> list[ColumnElement[bool]]:
    """Fewer machines have it than should: there are no states but of machines that should."""
    machines = Machines.of(session, team_id)
    # Not what stands in for another: people would look for it in vain.
    is_living = _models.c.deleted_at.is_(None)
    is_verified = and_(is_wanted(team_id), is_living, _models.c.verification == literal_column("'verified'"))
    return [
        and_(
            is_wanted(team_id), _models.c.label_set == one, is_verified, _models.c.agents_ready < machines.wanting(one)
        )
        for one in needed
        if machines.wanting(one)
    ]
