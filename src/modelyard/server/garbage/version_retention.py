"""The retention of versions: which ones are expired; conditions are for ``ModelVersionRow`` with its ``ModelRow``."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, literal_column, or_, select

from modelyard.server.collections.pins import build_pinned_version_condition
from modelyard.server.database.search import join_left_to_right
from modelyard.server.database.session import get_table
from modelyard.server.garbage.run_state import CollectionRun
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.models.versions.references import build_referenced_condition
from modelyard.server.teams.tables import TeamRow


def build_expired_condition(run: CollectionRun) -> ColumnElement[bool]:
    """Build the condition that a version is expired."""
    return or_(_is_trash_time_over(run), *_list_retention_conditions(run))


def iterate_expired(run: CollectionRun) -> Iterator[Sequence[Row[Any]]]:
    """Yield pages of expired versions: first those in the trash, then those past each team's retention.

    Each query reads an index of few rows; the join's order is given, since SQLite would choose another one.
    """
    key = (ModelVersionRow.model_id, ModelVersionRow.number)
    columns = (*key, ModelVersionRow.team_id, ModelVersionRow.deleted_at)
    trashed = select(*columns).where(_is_trash_time_over(run))
    yield from run.iterate_pages(trashed, ModelVersionRow.deleted_at, *key)
    models, versions = get_table(ModelRow), get_table(ModelVersionRow)
    joined = join_left_to_right(models, versions, versions.c.model_id == models.c.id)
    for condition in _list_retention_conditions(run):
        yield from run.iterate_pages(select(*columns).select_from(joined).where(condition), *key)


def _list_retention_conditions(run: CollectionRun) -> list[ColumnElement[bool]]:
    """Build the condition that a version is past its team's retention, one for each setting that teams have."""
    return [_is_past_retention(run, *retention) for retention in _load_retentions(run)]


def _load_retentions(run: CollectionRun) -> list[tuple[int, int]]:
    """Return the different settings of all teams: the number of versions kept, and the days for which all are."""
    with run.database.reading() as session:
        settings = select(TeamRow.kept_versions, TeamRow.kept_version_days).distinct()
        return [(row.kept_versions, row.kept_version_days) for row in session.execute(settings)]


def _is_trash_time_over(run: CollectionRun) -> ColumnElement[bool]:
    """Build the condition that a version was moved to the trash before the trash days, and is not pinned."""
    is_old = ModelVersionRow.deleted_at < run.moment - timedelta(days=run.settings.trash_days)
    return and_(is_old, ~build_pinned_version_condition())


def _is_past_retention(run: CollectionRun, kept_versions: int, kept_days: int) -> ColumnElement[bool]:
    """Build the condition that a version of a team with this setting is neither new enough nor referenced."""
    newer = ModelVersionRow.__table__.alias("newer")
    newer_count = (
        select(func.count())
        .where(
            newer.c.model_id == ModelVersionRow.model_id,
            newer.c.number > ModelVersionRow.number,
            newer.c.deleted_at.is_(None),
        )
        .correlate(ModelVersionRow)
        .scalar_subquery()
    )
    has_setting = and_(TeamRow.kept_versions == kept_versions, TeamRow.kept_version_days == kept_days)
    return and_(
        # Written out: SQLite takes an index with a condition only for a statement that repeats it.
        ModelRow.latest_version > literal_column("1"),
        ModelVersionRow.team_id.in_(select(TeamRow.id).where(has_setting)),
        ModelVersionRow.deleted_at.is_(None),
        ModelVersionRow.kept_from < run.moment - timedelta(days=kept_days),
        newer_count >= kept_versions,
        ~build_referenced_condition(),
        ~build_pinned_version_condition(),
    )
