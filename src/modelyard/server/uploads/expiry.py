"""Giving up what nobody finished, and removing stored bytes that no row knows."""

from datetime import timedelta
from itertools import chain
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from modelyard.server import changes
from modelyard.server.database.base import now
from modelyard.server.database.session import Database
from modelyard.server.storage.blob_store import BlobStore, OpenUpload
from modelyard.server.uploads.tables import BlobRow, UploadRow

# What a store is asked about when it is swept; a bucket may hold what is not ours.
PREFIXES = ("models/", "probe/")
_WAITING = UploadRow.registered_at.is_(None) & UploadRow.blob_id.is_(None)


def expire_uploads(database: Database, store: BlobStore, life: timedelta) -> int:
    """Forget uploads that were not touched for ``life`` and became no model, with whatever bytes they brought."""
    old = UploadRow.registered_at.is_(None) & (UploadRow.touched_at < now() - life)
    with database.reading() as session:
        candidates = list(session.scalars(select(UploadRow.id).where(old)))
    return sum(_expire(database, store, upload_id, life) for upload_id in candidates)


def _expire(database: Database, store: BlobStore, upload_id: UUID, life: timedelta) -> bool:
    with database.writing() as session:
        upload = session.get(UploadRow, upload_id)
        if upload is None or upload.registered_at is not None or upload.touched_at > now() - life:
            return False
        session.delete(upload)
    if upload.multipart_id is not None:
        store.abort(upload.storage_key, upload.multipart_id)
    store.delete(upload.storage_key)
    return True


def forget_blob(session: Session, blob: BlobRow) -> None:
    """Remove the row of bytes that nobody needs; registered uploads of it go with it."""
    session.execute(delete(UploadRow).where(UploadRow.blob_id == blob.id))
    session.delete(blob)
    changes.move_totals(session, blob.team_id, stored_bytes=-blob.size)


def sweep_objects(database: Database, store: BlobStore, grace: timedelta) -> int:
    """Delete stored objects and open multipart uploads older than ``grace`` that no row needs."""
    before = now() - grace
    removed = 0
    for stored in chain.from_iterable(store.keys(prefix) for prefix in PREFIXES):
        if stored.modified < before and not _is_needed(database, stored.key):
            store.delete(stored.key)
            removed += 1
    for begun in store.open_uploads(before):
        if not _is_awaited(database, begun):
            store.abort(begun.key, begun.upload)
            removed += 1
    return removed


def _is_needed(database: Database, key: str) -> bool:
    """Whether a blob or an unfinished upload names this object."""
    with database.reading() as session:
        blob = session.scalar(select(BlobRow.id).where(BlobRow.store_key == key))
        upload = session.scalar(select(UploadRow.id).where(UploadRow.storage_key == key, _WAITING))
        return blob is not None or upload is not None


def _is_awaited(database: Database, begun: OpenUpload) -> bool:
    """Whether an unfinished upload goes on with exactly these parts.

    A server that was killed between making them and noting them has made others since, under the same key.
    """
    mine = select(UploadRow.id).where(UploadRow.storage_key == begun.key, UploadRow.multipart_id == begun.upload)
    with database.reading() as session:
        return session.scalar(mine.where(_WAITING)) is not None
