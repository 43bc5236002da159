"""A replaced model stands in for its successor, from the trash, for as long as machines cannot have that one.

While ``ModelRow.stands_in_for`` names a successor, manifests name the replaced model as if it lived; for people it is
in the trash. It is let go in the transaction in which the successor is verified or taken from the machines, or another
model comes to its path: so every revision names each path at most once, and a path that was named is named until its
successor is.
"""

from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from modelyard.server.database.base import now
from modelyard.server.models.replicas import states
from modelyard.server.models.tables import ModelRow

_FOR = select(ModelRow).where(ModelRow.stands_in_for == bindparam("successor"))
_AT = select(ModelRow).where(
    ModelRow.team_id == bindparam("team"),
    ModelRow.path_key == bindparam("path_key"),
    ModelRow.stands_in_for.is_not(None),
)


def stand_in(session: Session, replaced: ModelRow, successor: UUID) -> None:
    """Let machines hold what they held in this place: the replaced model, or what stood in for it unread."""
    if replaced.model_status == "active" and replaced.verified_at is not None:
        replaced.stands_in_for = successor
    hand_over(session, replaced.id, successor)


def hand_over(session: Session, before: UUID, successor: UUID) -> None:
    """Let what stood in for one model stand in for another."""
    for replaced in session.scalars(_FOR, {"successor": before}).all():
        replaced.stands_in_for = successor


def let_go(session: Session, model: ModelRow) -> None:
    """Let go what stands in for a model that was verified or taken away, and what stands where it is named now.

    Called whenever one of these may have happened; whoever calls raises the revision.
    """
    is_in_use = model.deleted_at is None and model.model_status == "active"
    if is_in_use and model.verified_at is not None:
        take_place(session, model.team_id, model.path_key)
    if not is_in_use or model.verified_at is not None:
        take_over(session, model.id)


def take_over(session: Session, successor: UUID) -> None:
    """Let go what stands in for a model that needs nobody for it any more."""
    for replaced in session.scalars(_FOR, {"successor": successor}).all():
        _release(session, replaced)


def take_place(session: Session, team_id: UUID, path_key: str) -> None:
    """Let go what stands in at a path that a living, verified model has in manifests now."""
    for replaced in session.scalars(_AT, {"team": team_id, "path_key": path_key}).all():
        _release(session, replaced)


def _release(session: Session, replaced: ModelRow) -> None:
    replaced.stands_in_for = None
    # It can be restored for as long as if it had been put away now.
    replaced.deleted_at = now()
    replaced.etag_counter += 1
    session.flush()
    states.delete_undesired_states(session, replaced)
