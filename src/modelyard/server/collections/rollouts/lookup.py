"""Find the roll-out of a request: for reading, or for a change."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.collections.lookup import find_collection
from modelyard.server.collections.tables import CollectionRow, RolloutRow
from modelyard.server.http.params import parse_uuid
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems


def parse_rollout_id(text: str) -> UUID:
    """Return the roll-out id of a request path.

    Raises:
        RolloutNotFound: it is not a UUID, so no roll-out has it.
    """
    return parse_uuid(text, _build_not_found())


def _build_not_found() -> problems.RolloutNotFound:
    """Build the problem for a roll-out that the collection does not have."""
    return problems.RolloutNotFound("The collection has no such roll-out.")


def find_rollout_to_change(
    session: Session, team: TeamContext, collection_id: UUID, rollout_id: UUID
) -> tuple[CollectionRow, RolloutRow]:
    """Return a collection and its last roll-out, which has this id.

    Raises:
        CollectionNotFound: see ``find_collection``.
        RolloutNotFound: the collection has no such roll-out.
        RolloutConflict: the collection has a newer roll-out.
    """
    collection = find_collection(session, team, collection_id)
    rollout = find_rollout(session, collection, rollout_id)
    last = find_last_rollout(session, collection)
    if last is not None and last.id != rollout.id:
        raise build_conflict(last, "The collection has a newer roll-out.")
    return collection, rollout


def find_rollout(session: Session, collection: CollectionRow, rollout_id: UUID) -> RolloutRow:
    """Return a roll-out of a collection; raises ``RolloutNotFound``."""
    rollout = session.get(RolloutRow, rollout_id)
    if rollout is None or rollout.collection_id != collection.id:
        raise _build_not_found()
    return rollout


def find_last_rollout(session: Session, collection: CollectionRow) -> RolloutRow | None:
    """Return the newest roll-out of a collection."""
    of_collection = select(RolloutRow).where(RolloutRow.collection_id == collection.id)
    return session.scalar(of_collection.order_by(RolloutRow.id.desc()).limit(1))


def build_conflict(rollout: RolloutRow, message: str) -> problems.RolloutConflict:
    """Build the problem that the state of a roll-out does not allow what was asked."""
    return problems.RolloutConflict(message, rollout_id=str(rollout.id), state=rollout.state)
