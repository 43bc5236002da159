"""Rows that mark stored objects as discarded: written when the last reference goes, checked before removal."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from modelyard.server.database.session import execute_and_count, split_ids
from modelyard.server.uploads.tables import DiscardedRow


class DiscardedObject(NamedTuple):
    """An object to remove, or with ``multipart_id`` the parts of one multipart upload; ``size`` in bytes, if known."""

    team_id: UUID
    store_key: str
    multipart_id: str = ""
    size: int | None = None


def discard(session: Session, objects: Sequence[DiscardedObject], since: datetime) -> None:
    """Mark objects as discarded in this transaction; they may be removed a grace time after ``since``.

    An object that is marked already keeps its earlier time. With ``since`` in the future, the object is removed only if
    neither ``cancel_discard`` nor ``postpone_discard`` is called by then.
    """
    keys = list({discarded.store_key for discarded in objects})
    columns = select(DiscardedRow.store_key, DiscardedRow.multipart_id)
    known = {
        tuple(row)
        for part in split_ids(keys)
        for row in session.execute(columns.where(DiscardedRow.store_key.in_(part)))
    }
    teams = {(discarded.store_key, discarded.multipart_id): discarded.team_id for discarded in objects}
    new = [
        {"store_key": key, "multipart_id": multipart_id, "team_id": team_id, "since": since}
        for (key, multipart_id), team_id in teams.items()
        if (key, multipart_id) not in known
    ]
    if new:
        session.execute(insert(DiscardedRow), new)


def postpone_discard(session: Session, store_key: str, until: datetime) -> bool:
    """Postpone the removal of an object that may come into use; return False if it has begun.

    Also False if the object is not marked as discarded.
    """
    postponed = update(DiscardedRow).where(DiscardedRow.store_key == store_key, DiscardedRow.taken_at.is_(None))
    return execute_and_count(session, postponed.values(since=until)) == 1


def cancel_discard(session: Session, store_key: str) -> bool:
    """Unmark an object in this transaction, since a row uses it; return False if its removal has begun.

    Also False if the object is not marked as discarded.
    """
    cancelled = delete(DiscardedRow).where(DiscardedRow.store_key == store_key, DiscardedRow.taken_at.is_(None))
    return execute_and_count(session, cancelled) == 1
