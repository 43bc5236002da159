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
    other_fields = list_other_fields(NewImport(**row.request), new)
    if row.creator_id == team.creator.id and not other_fields:
        return row.id
    raise _build_problem(team, row, other_fields)


def dump_request(new: NewImport) -> dict[str, Any]:
    """Return a request as it is stored: only with the fields that it has."""
    return new.model_dump(mode="json", exclude_unset=True)


def list_other_fields(one: NewImport, other: NewImport) -> list[str]:
    """Return the names of the fields in which two requests differ; a default is the same as an absent field. Pure.

    Of a model that exists, an empty list clears a field that an absent one keeps, so these differ.
    """
    sent, others = _dump_meaning(one), _dump_meaning(other)
    return sorted(name for name in sent.keys() | others.keys() if sent.get(name) != others.get(name))


def _dump_meaning(new: NewImport) -> dict[str, Any]:
    """Return the fields that a request sets. No field sets null."""
    sent = new.model_dump(mode="json", exclude_none=True, exclude_unset=new.replaces is not None)
    return sent | {"keeps_name": new.keeps_name}


def _build_problem(team: TeamContext, row: ImportRow, other_fields: list[str]) -> problems.ImportRunning:
    """Build the problem for a request that a running import is in the way of."""
    differing = f", with other values of {', '.join(other_fields)}" if other_fields else ""
    may_cancel = team.may_change(row.creator_kind, row.creator_id)
    cancel = "cancel it" if may_cancel else f"ask {row.creator_name} or an admin to cancel it"
    return problems.ImportRunning(
        f"{row.creator_name} is importing this link to '{row.request['model_path']}' already{differing}. "
        f"Wait until that import has ended, {cancel}, or choose another path.",
        field="model_path",
        import_id=str(row.id),
        created_by=row.creator_name,
        other_fields=other_fields,
    )
