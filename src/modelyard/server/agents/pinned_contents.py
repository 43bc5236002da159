"""What the manifest of machines with the same pins says of pinned models."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from modelyard.server.database.session import get_table
from modelyard.server.models.replicas.tables import AgentRow, AssignmentRow
from modelyard.server.models.tables import ModelVersionRow

_assignments, _agents = get_table(AssignmentRow), get_table(AgentRow)
_versions = get_table(ModelVersionRow)


@dataclass(frozen=True)
class PinnedContent:
    """The fields of a manifest entry that differ from those of the model's current version."""

    changes: dict[str, Any]


def load_pinned_contents(session: Session, team_id: UUID, pin_set: str) -> dict[UUID, PinnedContent] | None:
    """Return what is pinned on the team's machines with this ``pin_set``, by model; None if there is no such machine.

    A version in the trash is kept where it is, and not downloaded. One that was purged is not pinned any more.
    """
    of_set = _agents.c.team_id == team_id, _agents.c.pin_set == pin_set
    number = session.connection().scalar(select(func.min(_agents.c.number)).where(*of_set))
    if number is None:
        return None
    is_version = and_(
        _versions.c.model_id == _assignments.c.model_id, _versions.c.number == _assignments.c.pinned_version
    )
    rows = session.connection().execute(
        select(
            *(_assignments.c.model_id, _assignments.c.pin_conflict, _versions.c.number, _versions.c.file_size),
            *(_versions.c.file_hash, _versions.c.blake3_hash, _versions.c.verification, _versions.c.deleted_at),
        )
        .select_from(_assignments.outerjoin(_versions, is_version))
        .where(
            _assignments.c.agent_number == number,
            or_(_versions.c.number.is_not(None), _assignments.c.pin_conflict.is_not(None)),
        )
    )
    return {row.model_id: PinnedContent(_build_changes(row)) for row in rows}


def _build_changes(row: Any) -> dict[str, Any]:
    """Return the fields of an entry for a pinned version, or for a conflict between two."""
    if row.pin_conflict is not None:
        return {"keep": True, "pin_conflict": row.pin_conflict}
    return {
        "version": row.number,
        "file_size": row.file_size,
        "file_hash": row.file_hash,
        "blake3_hash": row.blake3_hash,
        "keep": row.verification != "verified" or row.deleted_at is not None,
    }
