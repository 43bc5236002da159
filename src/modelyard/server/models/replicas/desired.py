"""Desired state: which models the machines of a team should hold, and on how many machines each model belongs.

A machine should hold a desired model if it has all labels that the model requires, or if the model is assigned to it,
directly or by a subscription to a collection.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, and_, bindparam, func, literal_column, or_, select
from sqlalchemy import Row as ResultRow
from sqlalchemy.orm import Session

from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.assignments import has_assignments, is_of_agent, select_models_of
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.tables import ModelRow
from modelyard.wire.agents.heartbeats import ReportedModel
from modelyard.wire.agents.values import DesiredBy

_models, _agents = get_table(ModelRow), get_table(AgentRow)
_COUNT_MACHINES = (
    select(_agents.c.label_set, func.count())
    .where(_agents.c.team_id == bindparam("team", type_=Uuid()))
    .group_by(_agents.c.label_set)
)


def is_desired(team_id: UUID) -> ColumnElement[bool]:
    """Build the SQL condition for the models that a team's machines should hold, served by ``ix_models_desired``.

    A desired model is active, has a current version, and is not in the trash. If its stored content was damaged later,
    it stays desired: machines keep their copies, but none can download it.
    """
    return and_(
        _models.c.team_id == team_id,
        _models.c.deleted_at.is_(None),
        # Written out: SQLite takes an index with a condition only for a statement that repeats it.
        _models.c.model_status == literal_column("'active'"),
        _models.c.verified_at.is_not(None),
    )


def is_desired_once_verified(model: ModelRow | ResultRow[*tuple[Any, ...]]) -> bool:
    """Return whether a model, once verified, should be on machines: ``is_desired`` for one row, without that check."""
    return model.deleted_at is None and model.model_status == "active"


class DesiredVersion(NamedTuple):
    """A desired model's current version, its path, the label set that machines need, and how many lack a label.

    ``is_damaged`` says that the registry's copy is damaged.
    """

    label_set: str
    model_path: str
    number: int
    is_only_one: bool
    agents_assigned: int
    is_damaged: bool

    def is_meant_by(self, reported: ReportedModel) -> bool:
        """Return whether a machine's report is about this version at this path.

        Agents before 0.4 report neither: what they say counts as long as the model has had only one version.
        """
        # A model may be stored with a leading "models/", which machines leave out.
        is_at_path = reported.model_path in (None, self.model_path.removeprefix("models/"))
        return is_at_path and (self.is_only_one if reported.version is None else reported.version == self.number)


def find_desired_versions(session: Session, team_id: UUID, ids: Collection[UUID]) -> dict[UUID, DesiredVersion]:
    """Return the current version of each desired model among ``ids``; other models are left out."""
    if not ids:
        return {}
    # The conditions of ``is_desired`` are checked here: with them, SQLite would read all models of the team.
    is_of_team = (_models.c.team_id == team_id).label("is_of_team")
    columns = (_models.c.id, is_of_team, _models.c.deleted_at, _models.c.model_status, _models.c.label_set)
    numbers = (_models.c.current_version, _models.c.latest_version, _models.c.agents_assigned)
    shown = (_models.c.model_path, _models.c.verification)
    rows = session.execute(select(*columns, *numbers, *shown).where(_models.c.id.in_(ids)))
    return {
        row.id: DesiredVersion(
            *(row.label_set, row.model_path, row.current_version, row.latest_version == 1, row.agents_assigned),
            is_damaged=row.verification == "failed",
        )
        for row in rows
        if row.is_of_team and is_desired_once_verified(row) and row.current_version is not None
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


def list_label_sets_for(session: Session, agent: AgentRow) -> list[str]:
    """Return the label sets that desired models need and that the machine has."""
    label_sets = list_desired_label_sets(session, agent.team_id)
    return [needed for needed in label_sets if has_all_labels(needed, agent.label_set)]


def is_desired_on(session: Session, agent: AgentRow) -> ColumnElement[bool]:
    """Build the SQL condition for the models that a machine should hold: by its labels, or assigned to it."""
    is_labelled = _models.c.label_set.in_(list_label_sets_for(session, agent))
    if not has_assignments(session, is_of_agent(agent.number)):
        return and_(is_desired(agent.team_id), is_labelled)
    return and_(is_desired(agent.team_id), or_(is_labelled, _models.c.id.in_(select_models_of(agent.number))))


def get_desired_by(needed: str, has: str, *, is_subscribed: bool) -> DesiredBy:
    """Return why a machine with the label set ``has`` should hold a model that needs another, given that it should.

    ``is_subscribed``: the model is assigned to the machine by a subscription only.
    """
    if has_all_labels(needed, has):
        return "labels"
    return "subscription" if is_subscribed else "assignment"


@dataclass(frozen=True)
class MachineCounts:
    """The number of machines of one team for each label set."""

    counts: Mapping[str, int]
    # Of label sets that were asked for: most models of a list have the same one.
    _found: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def load(cls, session: Session, team_id: UUID) -> Self:
        """Count the team's machines by label set, unhealthy and paused ones too."""
        rows = session.connection().execute(_COUNT_MACHINES, {"team": team_id})
        return cls({row[0]: row[1] for row in rows})

    def list_sets_with(self, needed: str) -> list[str]:
        """Return the label sets of machines that include all the labels in ``needed``."""
        return [has for has in self.counts if has_all_labels(needed, has)]

    def count_with(self, needed: str) -> int:
        """Return the number of machines that have all the labels in ``needed``."""
        if needed not in self._found:
            self._found[needed] = sum(self.counts[has] for has in self.list_sets_with(needed))
        return self._found[needed]

    def count_for_model(self, model: ModelRow) -> int:
        """Return how many machines should hold this model; 0 unless it is active and its content is verified now."""
        is_desired_now = is_desired_once_verified(model) and model.verification == "verified"
        return self.count_with(model.label_set) + model.agents_assigned if is_desired_now else 0
