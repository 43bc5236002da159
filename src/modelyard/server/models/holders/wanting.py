"""Who should hold what: models by the labels that they need, machines by those that they have."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select
from sqlalchemy import Row as Found
from sqlalchemy.orm import Session

from modelyard.server.database.session import table_of
from modelyard.server.models.holders.labels import fits
from modelyard.server.models.holders.tables import AgentRow
from modelyard.server.models.tables import ModelRow

_models, _agents = table_of(ModelRow), table_of(AgentRow)


def is_wanted(team_id: UUID) -> ColumnElement[bool]:
    """The team's active models that were verified once and live or stand in for another, by ``ix_models_wanted``.

    If their bytes have rotted since, machines keep what they have, and nobody fetches.
    """
    return and_(
        _models.c.team_id == team_id,
        or_(_models.c.deleted_at.is_(None), _models.c.stands_in_for.is_not(None)),
        # Written out: SQLite takes an index with a condition only for a statement that repeats it.
        _models.c.model_status == literal_column("'active'"),
        _models.c.verified_at.is_not(None),
    )


def may_be_held(model: ModelRow | Found[*tuple[Any, ...]]) -> bool:
    """Whether machines should hold this model if it was verified once: what ``is_wanted`` asks, of one row."""
    return (model.deleted_at is None or model.stands_in_for is not None) and model.model_status == "active"


def wanted_among(session: Session, team_id: UUID, ids: Collection[UUID]) -> dict[UUID, str]:
    """Those of these models that ``is_wanted`` finds, each with the label set that it needs."""
    if not ids:
        return {}
    # Asked for more than their ids, SQLite would rather read all models of the team.
    columns = (_models.c.id, _models.c.team_id, _models.c.deleted_at, _models.c.stands_in_for, _models.c.model_status)
    rows = session.execute(select(*columns, _models.c.verified_at, _models.c.label_set).where(_models.c.id.in_(ids)))
    return {
        row.id: row.label_set
        for row in rows
        if row.team_id == team_id and may_be_held(row) and row.verified_at is not None
    }


def needed_sets(session: Session, team_id: UUID) -> list[str]:
    """The label sets that wanted models need: one step in the index for each, however many models there are."""
    least = select(func.min(_models.c.label_set).label("needed")).where(is_wanted(team_id))
    found = least.cte("found", recursive=True)
    next_one = (
        select(func.min(_models.c.label_set))
        .where(is_wanted(team_id), _models.c.label_set > found.c.needed)
        .scalar_subquery()
    )
    found = found.union_all(select(next_one).where(found.c.needed.is_not(None)))
    return list(session.scalars(select(found.c.needed).where(found.c.needed.is_not(None))))


@dataclass(frozen=True)
class Machines:
    """How many machines of a team have each label set."""

    counts: Mapping[str, int]

    @classmethod
    def of(cls, session: Session, team_id: UUID) -> Self:
        counted = select(_agents.c.label_set, func.count()).where(_agents.c.team_id == team_id)
        rows = session.execute(counted.group_by(_agents.c.label_set))
        return cls({row[0]: row[1] for row in rows})

    def fitting(self, needed: str) -> list[str]:
        """The sets that have what a model needs."""
        return [has for has in self.counts if fits(needed, has)]

    def wanting(self, needed: str) -> int:
        """How many machines should hold a model that needs these labels."""
        return sum(self.counts[has] for has in self.fitting(needed))

    def wanted_for(self, model: ModelRow) -> int:
        """How many should hold this model, as it is now."""
        is_held = may_be_held(model) and model.verification == "verified"
        return self.wanting(model.label_set) if is_held else 0
