"""Desired state: which models the machines of a team should hold, and on how many machines each model belongs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select
from sqlalchemy import Row as ResultRow
from sqlalchemy.orm import Session

from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.tables import ModelRow

_models, _agents = get_table(ModelRow), get_table(AgentRow)


def is_desired(team_id: UUID) -> ColumnElement[bool]:
    """Build the SQL condition for the models that a team's machines should hold, served by ``ix_models_desired``.

    A desired model is active, was verified at least once, and is not in the trash, or it was replaced by a model that
    is not verified yet. If its stored content was damaged later, it stays desired: machines keep their copies, but none
    can download it.
    """
    return and_(
        _models.c.team_id == team_id,
        or_(_models.c.deleted_at.is_(None), _models.c.stands_in_for.is_not(None)),
        # Written out: SQLite takes an index with a condition only for a statement that repeats it.
        _models.c.model_status == literal_column("'active'"),
        _models.c.verified_at.is_not(None),
    )


def is_desired_once_verified(model: ModelRow | ResultRow[*tuple[Any, ...]]) -> bool:
    """Return whether a model, once verified, should be on machines: ``is_desired`` for one row, without that check."""
    return (model.deleted_at is None or model.stands_in_for is not None) and model.model_status == "active"


def find_desired_label_sets(session: Session, team_id: UUID, ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the desired models among ``ids``, each with the label set that it needs; others are left out."""
    if not ids:
        return {}
    # The conditions of ``is_desired`` are checked here: with them, SQLite would read all models of the team.
    columns = (_models.c.id, _models.c.team_id, _models.c.deleted_at, _models.c.stands_in_for, _models.c.model_status)
    rows = session.execute(select(*columns, _models.c.verified_at, _models.c.label_set).where(_models.c.id.in_(ids)))
    return {
        row.id: row.label_set
        for row in rows
        if row.team_id == team_id and is_desired_once_verified(row) and row.verified_at is not None
    }


def list_desired_label_sets(session: Session, team_id: UUID) -> list[str]:
    """Return the distinct label sets that desired models need.

    A recursive query jumps in the index from one label set to the next, so its cost does not depend on the number of
    models.
    """
    first_set = select(func.min(_models.c.label_set).label("needed")).where(is_desired(team_id))
    sets = first_set.cte("found", recursive=True)
    next_set = (
        select(func.min(_models.c.label_set))
        .where(is_desired(team_id), _models.c.label_set > sets.c.needed)
        .scalar_subquery()
    )
    sets = sets.union_all(select(next_set).where(sets.c.needed.is_not(None)))
    return list(session.scalars(select(sets.c.needed).where(sets.c.needed.is_not(None))))


@dataclass(frozen=True)
class MachineCounts:
    """The number of machines of one team for each label set."""

    counts: Mapping[str, int]

    @classmethod
    def load(cls, session: Session, team_id: UUID) -> Self:
        """Count the team's machines by label set, unhealthy and paused ones too."""
        counted = select(_agents.c.label_set, func.count()).where(_agents.c.team_id == team_id)
        rows = session.execute(counted.group_by(_agents.c.label_set))
        return cls({row[0]: row[1] for row in rows})

    def list_sets_with(self, needed: str) -> list[str]:
        """Return the label sets of machines that include all the labels in ``needed``."""
        return [has for has in self.counts if has_all_labels(needed, has)]

    def count_with(self, needed: str) -> int:
        """Return the number of machines that have all the labels in ``needed``."""
        return sum(self.counts[has] for has in self.list_sets_with(needed))

    def count_for_model(self, model: ModelRow) -> int:
        """Return how many machines should hold this model; 0 unless it is active and its content is verified now."""
        is_desired_now = is_desired_once_verified(model) and model.verification == "verified"
        return self.count_with(model.label_set) if is_desired_now else 0
