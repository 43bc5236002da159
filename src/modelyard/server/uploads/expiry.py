"""Giving up what nobody finished, and removing stored bytes that a row proves to be of no use."""

import logging
from datetime import timedelta
from itertools import chain
from typing import Literal
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from modelyard.server import changes
from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.storage.blob_store import BlobStore
from modelyard.server.uploads.tables import BlobRow, UploadRow

# What a store is asked about when it is swept; a bucket may hold what is not ours.
MODELS = "models/"
PREFIXES = (MODELS, "probe/")
# Used up, and of no blob: what it brought may go. The row is the proof, so it goes last.
_GIVEN_UP = UploadRow.registered_at.is_not(None) & UploadRow.blob_id.is_(None)

log = logging.getLogger("modelyard.expiry")


def expire_uploads(database: Database, life: timedelta) -> int:
    """Give up uploads that were not touched for ``life`` and became no model; ``remove_given_up`` takes their bytes."""
    old = UploadRow.registered_at.is_(None) & (UploadRow.touched_at < now() - life)
    with database.reading() as session:
        candidates = list(session.scalars(select(UploadRow.id).where(old)))
    return sum(_expire(database, upload_id, life) for upload_id in candidates)


def _expire(database: Database, upload_id: UUID, life: timedelta) -> bool:
    with database.writing() as session:
        upload = session.get(UploadRow, upload_id)
        if upload is None or upload.registered_at is not None or upload.touched_at > now() - life:
            return False
        upload.registered_at, upload.blob_id = now(), None
        return True


def forget_blob(session: Session, blob: BlobRow) -> None:
    """Remove the row of bytes that nobody needs. The rows of its uploads stay, given up, until the bytes are gone."""
    session.execute(update(UploadRow).where(UploadRow.blob_id == blob.id).values(blob_id=None))
    session.delete(blob)
    changes.move_totals(session, blob.team_id, stored_bytes=-blob.size)


def remove_given_up(database: Database, store: BlobStore) -> int:
    """Delete the bytes of given-up uploads, then their rows: a crash in between is made good by the next round."""
    with database.reading() as session:
        given_up = list(session.scalars(select(UploadRow).where(_GIVEN_UP)))
    for upload in given_up:
        if upload.multipart_id is not None:
            store.abort(upload.storage_key, upload.multipart_id)
        store.delete(upload.storage_key)
        with database.writing() as session:
            session.execute(delete(UploadRow).where(UploadRow.id == upload.id, _GIVEN_UP))
    return len(given_up)


def sweep_objects(database: Database, store: BlobStore, grace: timedelta) -> int:
    """Delete stored objects and open multipart uploads older than ``grace`` that a row proves to be of no use.

    An object that no row knows is kept and logged: the database may be an older copy, or a new one beside old files.
    """
    before = now() - grace
    removed, unknown = 0, 0
    for stored in chain.from_iterable(store.keys(prefix) for prefix in PREFIXES):
        use = _use_of(database, stored.key)
        unknown += use == "unknown"
        if use == "none" and stored.modified < before:
            store.delete(stored.key)
            removed += 1
    for begun in store.open_uploads(before):
        if _use_of(database, begun.key, begun.upload) == "none":
            store.abort(begun.key, begun.upload)
            removed += 1
    if unknown:
        log.warning("stored files that the database does not know were kept", extra={"files": unknown})
    return removed


def _use_of(database: Database, key: str, multipart_id: str | None = None) -> Literal["some", "none", "unknown"]:
    """What a stored object, or the parts of ``multipart_id``, are good for.

    A server that was killed between making parts and noting them has made others since, under the same key.
    """
    if not key.startswith(MODELS):
        return "none"  # of a probe that was cut short
    with database.reading() as session:
        if session.scalar(select(BlobRow.id).where(BlobRow.store_key == key)) is not None:
            return "some" if multipart_id is None else "none"
        upload = session.scalar(select(UploadRow).where(UploadRow.storage_key == key))
    if upload is None:
        return "unknown"
    is_awaited = upload.registered_at is None and upload.blob_id is None
    return "some" if is_awaited and multipart_id in (None, upload.multipart_id) else "none"
