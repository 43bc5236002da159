"""Imports of the same link to the same path: one of them is queued or running at a time."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.imports.tables import WAITING, ImportRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.imports.jobs import NewImport


def find_running_import(session: Session, team_id: UUID, new: NewImport) -> ImportRow | None:
    """Return a queued or running import of the same link to the same path, or None."""
    same_link = select(ImportRow).where(WAITING, ImportRow.team_id == team_id, ImportRow.url == new.url)
    return next((row for row in session.scalars(same_link) if row.request["model_path"] == new.model_path), None)


def find_same_import(session: Session, team: TeamContext, new: NewImport) -> UUID | None:
    """Return the id of a queued or running import that the same person or key has started with an equal request.

    Raises:
        ImportRunning: one of the same link to the same path is another one.
    """
    row = find_running_import(session, team.team_id, new)
    if row is None:
        return None
    is_own, other_fields = row.creator_id == team.creator.id, list_other_fields(row.request, dump_request(new))
    if is_own and not other_fields:
        return row.id
    raise _build_problem(row, other_fields if is_own else [])


def dump_request(new: NewImport) -> dict[str, Any]:
    """Return a request as it is stored: only with the fields that it has."""
    return new.model_dump(mode="json", exclude_unset=True)


def list_other_fields(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return the names of the fields in which two stored requests differ; null is the same as an absent field. Pure."""
    one, other = _drop_nulls(one), _drop_nulls(other)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _drop_nulls(value: Any) -> Any:
    """Return JSON without the members of objects that are null."""
    if not isinstance(value, dict):
        return value
    return {name: _drop_nulls(member) for name, member in value.items() if member is not None}


def _build_problem(row: ImportRow, other_fields: list[str]) -> problems.ImportRunning:
    """Build the problem for a request that a running import is in the way of; of an own one, name the other fields."""
    differing = f", with other values of {', '.join(other_fields)}" if other_fields else ""
    return problems.ImportRunning(
        f"{row.creator_name} is importing this link to '{row.request['model_path']}' already{differing}. "
        "Wait until that import has ended, cancel it, or choose another path.",
        field="model_path",
        import_id=str(row.id),
        created_by=row.creator_name,
    )
