"""The retention of versions: which ones are expired, by their team's setting or by their time in the trash."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, literal_column, select, tuple_
from sqlalchemy.orm import Session

from modelyard.server.collections.pins import build_pinned_version_condition, list_pinned_versions
from modelyard.server.database.job_run import PAGE
from modelyard.server.garbage.model_trash import build_deleted_condition, get_trashed_before, negate
from modelyard.server.garbage.run_state import CollectionRun, split_by_weight
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.models.versions.references import list_referenced_versions
from modelyard.server.teams.tables import TeamRow

version_key = tuple_(ModelVersionRow.model_id, ModelVersionRow.number)
VERSION_COLUMNS = (
    *(ModelVersionRow.model_id, ModelVersionRow.number, ModelVersionRow.team_id),
    *(ModelVersionRow.file_count, ModelVersionRow.kept_from, ModelVersionRow.deleted_at),
)


@dataclass(frozen=True)
class TeamRetention:
    """A team's setting: how many of the newest versions of each model are kept, and for how many days all are."""

    team_id: UUID
    kept_versions: int
    kept_days: int


class Version(Protocol):
    """What decides whether a version is past its team's retention."""

    @property
    def model_id(self) -> UUID:
        """The model."""

    @property
    def number(self) -> int:
        """Its number in the model."""

    @property
    def kept_from(self) -> datetime:
        """From when the days of its retention count."""

    @property
    def deleted_at(self) -> datetime | None:
        """When it was moved to the trash."""


AnyVersion = TypeVar("AnyVersion", bound=Version)


def load_retention(session: Session, team_id: UUID) -> TeamRetention:
    """Return the setting of a team."""
    team = session.get_one(TeamRow, team_id)
    return TeamRetention(team.id, team.kept_versions, team.kept_version_days)


def list_retentions(run: CollectionRun) -> list[TeamRetention]:
    """Return the settings of the teams in which versions may be past their retention.

    Those have a model with more versions than the team keeps: one look at an index tells for each team.
    """
    has_more = select(ModelRow.id).where(ModelRow.team_id == TeamRow.id, _has_more_than(TeamRow.kept_versions)).exists()
    columns = (TeamRow.id, TeamRow.kept_versions, TeamRow.kept_version_days)
    pages = run.iterate_pages(select(*columns, has_more.label("has_more")), TeamRow.id)
    return [
        TeamRetention(team.id, team.kept_versions, team.kept_version_days)
        for page in pages
        for team in page
        if team.has_more
    ]


def iterate_expired(run: CollectionRun, team: TeamRetention) -> Iterator[list[Row[Any]]]:
    """Yield the versions of a team that are past its retention, in batches, which may be empty.

    Each comes from at most ``PAGE`` versions, so that other teams get their turn whatever this one has.
    """
    is_candidate = and_(ModelRow.team_id == team.team_id, _has_more_than(team.kept_versions))
    candidates = select(ModelRow.id, ModelRow.version_count).where(is_candidate)
    if run.options.is_dry:
        candidates = candidates.where(_is_left(run))
    for page in run.iterate_pages(candidates, ModelRow.version_count, ModelRow.id):
        for models in split_by_weight(page, lambda model: int(model.version_count), PAGE):
            for versions in _iterate_versions(run, [model.id for model in models]):
                with run.database.reading() as session:
                    expired = select_expired(session, run, team, versions)
                yield expired


def _iterate_versions(run: CollectionRun, model_ids: Sequence[UUID]) -> Iterator[Sequence[Row[Any]]]:
    """Yield pages of the versions of models."""
    # With one model, each page begins in the index at the number after the page before.
    order = (ModelVersionRow.model_id, ModelVersionRow.number)[-1 if len(model_ids) == 1 else 0 :]
    return run.iterate_pages(select(*VERSION_COLUMNS).where(ModelVersionRow.model_id.in_(model_ids)), *order)


def select_expired(
    session: Session, run: CollectionRun, team: TeamRetention, versions: Sequence[AnyVersion]
) -> list[AnyVersion]:
    """Return those of a team's versions that are neither new enough, nor referenced, nor pinned; at most a page.

    What is read does not depend on how many other versions their models have.
    """
    before = run.moment - timedelta(days=team.kept_days)
    old = [version for version in versions if version.deleted_at is None and version.kept_from < before]
    kept = _load_oldest_kept(session, {version.model_id for version in old}, team.kept_versions)
    old = [version for version in old if version.number < kept.get(version.model_id, 0)]
    model_ids = {version.model_id for version in old}
    if not model_ids:
        return []
    needed = list_referenced_versions(session, model_ids) | list_pinned_versions(session, team.team_id, model_ids)
    return [version for version in old if (version.model_id, version.number) not in needed]


def _load_oldest_kept(session: Session, model_ids: Collection[UUID], kept_versions: int) -> dict[UUID, int]:
    """Return the oldest of so many newest versions outside the trash of each model; models with fewer are left out."""
    newest_first = select(ModelVersionRow.number).order_by(ModelVersionRow.number.desc())
    is_of_model = ModelVersionRow.model_id == ModelRow.id
    oldest_kept = newest_first.where(is_of_model, ModelVersionRow.deleted_at.is_(None)).offset(kept_versions - 1)
    query = select(ModelRow.id, oldest_kept.limit(1).scalar_subquery()).where(ModelRow.id.in_(model_ids))
    rows = session.execute(query) if model_ids else ()
    return {model_id: number for model_id, number in rows if number is not None}


def iterate_trash(run: CollectionRun) -> Iterator[Sequence[Row[Any]]]:
    """Yield pages of versions whose time in the trash is over, the oldest first."""
    query = select(*VERSION_COLUMNS).where(build_trash_condition(run))
    if run.options.is_dry:
        query = query.join(ModelRow, ModelRow.id == ModelVersionRow.model_id).where(_is_left(run))
    return run.iterate_pages(query, ModelVersionRow.deleted_at, ModelVersionRow.model_id, ModelVersionRow.number)


def _is_left(run: CollectionRun) -> ColumnElement[bool]:
    """Build the condition that a dry run has not counted a model as deleted, and so its versions with it."""
    return negate(build_deleted_condition(run))


def build_trash_condition(run: CollectionRun) -> ColumnElement[bool]:
    """Build the condition that a version was moved to the trash before the trash days, and is not pinned."""
    is_old = ModelVersionRow.deleted_at < get_trashed_before(run)
    return and_(is_old, ~build_pinned_version_condition())


def _has_more_than(versions: Any) -> ColumnElement[bool]:
    """Build the condition that a model has more versions outside the trash than this number or column says."""
    # The first is written out: SQLite takes an index with a condition only for a statement that repeats it.
    return and_(ModelRow.version_count > literal_column("1"), ModelRow.version_count > versions)
