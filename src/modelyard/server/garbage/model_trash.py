"""Which models a run deletes: those whose time in the trash is over, and those of teams that cannot be restored."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, false, func, or_, select

from modelyard.server.collections.pins import build_pinned_model_condition
from modelyard.server.garbage.run_state import CollectionRun
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.tables import TeamRow


def get_trashed_before(run: CollectionRun) -> datetime:
    """Return the time before which a model, version or team must have been deleted to be removed for good."""
    return run.moment - timedelta(days=run.settings.trash_days)


def build_old_condition(run: CollectionRun) -> ColumnElement[bool]:
    """Build the condition that a model's time in the trash is over, and that no pinned collection keeps it there."""
    return and_(ModelRow.deleted_at < get_trashed_before(run), ~build_pinned_model_condition())


def build_deleted_condition(run: CollectionRun) -> ColumnElement[bool]:
    """Build the condition that a run deletes a model."""
    deleted_teams = select(TeamRow.id).where(TeamRow.deleted_at < get_trashed_before(run))
    return or_(build_old_condition(run), ModelRow.team_id.in_(deleted_teams))


def negate(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Build the opposite of a condition that compares a time: with a missing time it is null, which is no "no"."""
    return ~func.coalesce(condition, false())
