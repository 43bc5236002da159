"""Rows that prove bytes useless: written with whatever made them so, and asked before bytes go."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from modelyard.server.database.session import changed_rows
from modelyard.server.uploads.tables import DiscardedRow


class Useless(NamedTuple):
    """What a key holds, or with ``multipart_id`` the parts of one upload of it; ``size`` where a row knows it."""

    team_id: UUID
    store_key: str
    multipart_id: str = ""
    size: int | None = None


def discard(session: Session, useless: Sequence[Useless], since: datetime) -> None:
    """Say, with this transaction, that no row needs these bytes, since when, or unless they are used by then."""
    keys = {one.store_key for one in useless}
    held = session.execute(
        select(DiscardedRow.store_key, DiscardedRow.multipart_id).where(DiscardedRow.store_key.in_(keys))
    )
    known = {tuple(row) for row in held}
    wanted = {(one.store_key, one.multipart_id): one.team_id for one in useless}
    new = [
        {"store_key": names[0], "multipart_id": names[1], "team_id": team_id, "since": since}
        for names, team_id in wanted.items()
        if names not in known
    ]
    if new:
        session.execute(insert(DiscardedRow), new)


def keep_for_now(session: Session, store_key: str, until: datetime) -> bool:
    """Put off the end of an object that may come into use; False if it is too late."""
    put_off = update(DiscardedRow).where(DiscardedRow.store_key == store_key, DiscardedRow.taken_at.is_(None))
    return changed_rows(session, put_off.values(since=until)) == 1


def take_into_use(session: Session, store_key: str) -> bool:
    """Say, with this transaction, that a row needs the object after all; False if it is too late."""
    taken_back = delete(DiscardedRow).where(DiscardedRow.store_key == store_key, DiscardedRow.taken_at.is_(None))
    return changed_rows(session, taken_back) == 1
