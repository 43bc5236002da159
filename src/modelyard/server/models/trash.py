"""What nobody can reach any more: old trash, uploads that nobody finished, bytes without a name.

Rows go before bytes, and bytes only after a second look under the write lock: a crash in between leaves a file that
the next round finds, never a row without its file.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, or_, select

from modelyard.server.database.base import now
from modelyard.server.database.session import Database, changed_rows
from modelyard.server.models.tables import ModelRow
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore
from modelyard.server.teams.operations import teams_deleted_before
from modelyard.server.uploads import expiry
from modelyard.server.uploads.tables import BlobRow, UploadRow

# Longer than any signed URL lives, so that whoever began to download or to register can finish.
GRACE = timedelta(hours=2)
log = logging.getLogger("modelyard.trash")


@dataclass(frozen=True)
class Collected:
    """What one round removed."""

    models: int
    uploads: int
    blobs: int
    objects: int


def collect_garbage(database: Database, store: BlobStore, settings: Settings, grace: timedelta = GRACE) -> Collected:
    """Remove what is past its time. May run while the service works, and may be interrupted anywhere."""
    models = _empty_trash(database, timedelta(days=settings.trash_days))
    uploads = expiry.expire_uploads(database, timedelta(days=settings.upload_days))
    _mark_unused(database)
    blobs = _forget_unused(database, grace)
    expiry.remove_given_up(database, store)
    objects = expiry.sweep_objects(database, store, grace)
    collected = Collected(models, uploads, blobs, objects)
    log.info("garbage collected", extra=vars(collected))
    return collected


def _empty_trash(database: Database, kept: timedelta) -> int:
    """Forget models whose time in the trash is over, and those of teams that can no longer be restored."""
    with database.writing() as session:
        gone = teams_deleted_before(session, kept.days)
        over = or_(ModelRow.deleted_at < now() - kept, ModelRow.team_id.in_(gone))
        return changed_rows(session, delete(ModelRow).where(over))


def _unused() -> ColumnElement[bool]:
    """Blobs that no model names, in the trash or out of it, and that no upload waits to register."""
    named = select(ModelRow.id).where(ModelRow.blob_id == BlobRow.id).exists()
    awaited = select(UploadRow.id).where(UploadRow.blob_id == BlobRow.id, UploadRow.registered_at.is_(None)).exists()
    return ~named & ~awaited


def _mark_unused(database: Database) -> None:
    with database.writing() as session:
        for blob in session.scalars(select(BlobRow).where(BlobRow.unused_since.is_(None), _unused())):
            blob.unused_since = now()


def _forget_unused(database: Database, grace: timedelta) -> int:
    with database.reading() as session:
        candidates = list(session.scalars(select(BlobRow.id).where(BlobRow.unused_since < now() - grace)))
    return sum(_forget(database, blob_id) for blob_id in candidates)


def _forget(database: Database, blob_id: UUID) -> bool:
    """Remove the blob's row, unless somebody has taken it up again."""
    with database.writing() as session:
        blob = session.scalar(
            select(BlobRow).where(BlobRow.id == blob_id, BlobRow.unused_since.is_not(None), _unused())
        )
        if blob is None:
            return False
        expiry.forget_blob(session, blob)
        return True
