"""Stored pictures: written once, found by the hash of their large WebP, read in parts.

An object is written before the row that uses it. Meanwhile it is marked as discarded, so that a crash leaves nothing.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.database.base import new_id
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database
from modelyard.server.previews.decoder import Picture
from modelyard.server.previews.tables import PreviewRow
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, NoSuchKey, StoreError
from modelyard.server.uploads.discards import DiscardedObject, cancel_discard, discard
from modelyard.wire import problems


@dataclass(frozen=True)
class PictureStorage:
    """Where pictures are stored, and the settings that limit how much a team stores."""

    database: Database
    store: BlobStore
    settings: Settings


# Keys of pictures begin with this.
PREVIEWS = "previews/"
# An object that no row uses by then is removed. Longer than any write of a picture takes.
_WRITE_TIME = timedelta(hours=1)
log = logging.getLogger("modelyard.previews")


def find_picture(session: Session, team_id: UUID, sha256: str) -> PreviewRow | None:
    """Return a picture of the team by its hash, or None."""
    return session.scalar(select(PreviewRow).where(PreviewRow.sha256 == sha256, PreviewRow.team_id == team_id))


def write_picture(database: Database, store: BlobStore, team_id: UUID, picture: Picture) -> str | None:
    """Write the object of a picture and return its key; None if the team has the picture already.

    Raises:
        StoreFull, StoreUnavailable
    """
    with database.reading() as session:
        if find_picture(session, team_id, picture.sha256) is not None:
            return None
    return _write_object(database, store, team_id, picture.small + picture.large)


def _write_object(database: Database, store: BlobStore, team_id: UUID, content: bytes) -> str:
    """Write an object under a new key, which counts as discarded until a row uses it.

    If the store refuses it, the mark is removed again: a full disk gets no row by each attempt. Should the bucket have
    kept it all the same, the thorough clean-up finds it.

    Raises:
        StoreFull, StoreUnavailable
    """
    key = f"{PREVIEWS}{team_id}/{new_id()}"
    with database.writing(team_id) as session:
        discard(session, [DiscardedObject(team_id, key)], get_database_time(session) + _WRITE_TIME)
    try:
        store.put(key, content)
    except StoreError:
        with database.writing(team_id) as session:
            cancel_discard(session, key)
        raise
    return key


def use_picture(session: Session, team_id: UUID, picture: Picture, key: str | None) -> PreviewRow:
    """Return the team's row of a picture, for a version that will show it; insert it with the object of this key.

    A new row adds to the team's stored bytes. If another request has inserted it meanwhile, the object is left to
    garbage collection.

    Raises:
        Unavailable: the row was removed since ``write_picture``, or the object.
    """
    row = find_picture(session, team_id, picture.sha256)
    if row is not None:
        row.unused_since = None
        return row
    if key is None or not cancel_discard(session, key):
        raise problems.Unavailable("The picture was removed at this moment. Send it again.", retry_after=1)
    row = PreviewRow(
        team_id=team_id,
        sha256=picture.sha256,
        color=picture.color,
        store_key=key,
        small_size=len(picture.small),
        large_size=len(picture.large),
    )
    session.add(row)
    revisions.change_stored_bytes(session, team_id, stored_bytes=row.size)
    return row


def read_webp(store: BlobStore, row: PreviewRow, size: int) -> bytes:
    """Return a picture as WebP: the small one for size 1, the large one for size 2.

    Raises:
        PreviewNotFound, StoreUnavailable: see ``_read_object``.
    """
    start, length = (0, row.small_size) if size == 1 else (row.small_size, row.large_size)
    return _read_object(store, row.store_key, start, length)


def _read_object(store: BlobStore, key: str, start: int, length: int) -> bytes:
    """Return a part of a stored picture.

    Raises:
        PreviewNotFound: the store has lost it. Not ``Unavailable``, as trying again does not help.
        StoreUnavailable
    """
    try:
        return b"".join(store.read(key, start, length))
    except NoSuchKey:
        raise problems.PreviewNotFound("The store has lost this picture. Ask the operator.") from None


def read_png(storage: PictureStorage, row: PreviewRow, rendered: bytes | None) -> bytes:
    """Return the large picture as PNG: the stored one, or else ``rendered``, which is stored for the next time.

    A failure to store it is logged.

    Raises:
        PreviewNotFound, StoreUnavailable: see ``_read_object``.
        Unavailable: neither exists, since the picture was removed and set again at this moment.
    """
    if row.png_key is not None and row.png_size is not None:
        return _read_object(storage.store, row.png_key, 0, row.png_size)
    if rendered is None:
        raise problems.Unavailable("The picture was replaced at this moment. Try again.", retry_after=1)
    try:
        _keep_png(storage, row, rendered)
    except (StoreError, problems.Unavailable) as error:
        log.warning("a picture could not be stored as PNG", extra={"picture": row.sha256, "why": str(error)})
    return rendered


def _keep_png(storage: PictureStorage, row: PreviewRow, png: bytes) -> None:
    """Store a picture's PNG for the next time.

    Raises:
        StoreFull, StoreUnavailable, Unavailable
    """
    key = _write_object(storage.database, storage.store, row.team_id, png)
    with storage.database.writing(row.team_id) as session:
        current = session.get(PreviewRow, row.id)
        if current is not None and current.png_key is None and cancel_discard(session, key):
            current.png_key, current.png_size = key, len(png)
            revisions.change_stored_bytes(session, row.team_id, stored_bytes=len(png))
