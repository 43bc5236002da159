"""The retention of versions: which ones are expired, as SQL conditions on ``ModelVersionRow`` with its ``ModelRow``."""

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select

from modelyard.server.garbage.run_state import CollectionRun
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.models.versions.references import build_referenced_condition
from modelyard.server.teams.tables import TeamRow


def build_expired_condition(run: CollectionRun) -> ColumnElement[bool]:
    """Build the condition that a version is expired."""
    return or_(*list_expired_conditions(run))


def list_expired_conditions(run: CollectionRun) -> list[ColumnElement[bool]]:
    """Build a condition for each way in which a version expires: in the trash, and by each setting of a team.

    Each is served by an index of few rows.
    """
    return [_is_trash_time_over(run), *(_is_past_retention(run, *retention) for retention in _load_retentions(run))]


def _load_retentions(run: CollectionRun) -> list[tuple[int, int]]:
    """Return the different settings of all teams: the number of versions kept, and the days for which all are."""
    with run.database.reading() as session:
        settings = select(TeamRow.kept_versions, TeamRow.kept_version_days).distinct()
        return [(row.kept_versions, row.kept_version_days) for row in session.execute(settings)]


def _is_trash_time_over(run: CollectionRun) -> ColumnElement[bool]:
    """Build the condition that a version was moved to the trash before the trash days."""
    return ModelVersionRow.deleted_at < run.moment - timedelta(days=run.settings.trash_days)


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
        ModelVersionRow.created_at < run.moment - timedelta(days=kept_days),
        newer_count >= kept_versions,
        ~build_referenced_condition(),
    )
