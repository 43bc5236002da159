"""Blobs that no model names and no upload waits to register: marked first, forgotten a grace time later."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, delete, or_, select, true, update
from sqlalchemy.orm import Session

from modelyard.server import changes
from modelyard.server.cleanup.rounds import PAGE, Round, by_team
from modelyard.server.database.session import changed_rows
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.tables import TeamRow
from modelyard.server.uploads.discarding import Useless, discard
from modelyard.server.uploads.tables import BlobRow, UploadRow

# So many blobs are held against models and uploads in one statement.
_STRETCH = 20 * PAGE
_COLUMNS = (BlobRow.id, BlobRow.team_id, BlobRow.store_key, BlobRow.size, BlobRow.unused_since)


def mark_unused(session: Session, blob_ids: Iterable[UUID], this: Round) -> None:
    """Begin the grace time of those of these blobs that nothing names any more."""
    unmarked = BlobRow.id.in_(set(blob_ids)) & BlobRow.unused_since.is_(None) & _is_unnamed()
    changed_rows(session, update(BlobRow).where(unmarked).values(unused_since=this.moment))


def forget_unused(this: Round) -> Iterator[list[Useless]]:
    """Forget what has been unused for the grace time; gives what is useless for it."""
    for page in _unused(this):
        due = [blob for blob in page if (blob.unused_since or this.moment) <= this.before]
        if this.plan.is_dry:
            yield [Useless(blob.team_id, blob.store_key, size=blob.size) for blob in due]
            continue
        for team_id, blobs in by_team(page).items():
            with this.database.writing(team_id) as session:
                mark_unused(session, [blob.id for blob in blobs], this)
                _forget(session, [blob.id for blob in blobs if blob in due], this)


def _unused(this: Round) -> Iterator[Sequence[Row[Any]]]:
    """Blobs to look at: those that were marked, and in a thorough round all of them."""
    unnamed = _is_unnamed(this if this.plan.is_dry else None)
    if not this.plan.is_thorough:
        yield from this.pages(select(*_COLUMNS).where(BlobRow.unused_since <= this.before, unnamed), BlobRow.id)
        return
    for stretch in _stretches(this):
        yield from this.pages(select(*_COLUMNS).where(stretch, unnamed), BlobRow.id)


def _stretches(this: Round) -> Iterator[ColumnElement[bool]]:
    """Conditions that divide all blobs, so that no statement takes long."""
    after: UUID | None = None
    while True:
        ids = select(BlobRow.id).order_by(BlobRow.id)
        begun = ids if after is None else ids.where(BlobRow.id > after)
        with this.database.reading() as session:
            upto = session.scalar(begun.offset(_STRETCH - 1).limit(1))
        bounds = [] if after is None else [BlobRow.id > after]
        yield and_(true(), *bounds, *([] if upto is None else [BlobRow.id <= upto]))
        if upto is None:
            return
        after = upto


def is_kept(before: datetime) -> ColumnElement[bool]:
    """A model is not past its time: it lives, stands in for another, or was put away no earlier than ``before``."""
    return or_(ModelRow.deleted_at.is_(None), ModelRow.deleted_at >= before, ModelRow.stands_in_for.is_not(None))


def _is_unnamed(pretending: Round | None = None) -> ColumnElement[bool]:
    """No model names it, in the trash or out of it, and no upload waits to register it.

    With ``pretending`` as things would be after that round has removed what is past its time.
    """
    models = select(ModelRow.id).where(ModelRow.blob_id == BlobRow.id)
    uploads = select(UploadRow.id).where(UploadRow.blob_id == BlobRow.id, UploadRow.registered_at.is_(None))
    if pretending is not None:
        trashed = pretending.moment - timedelta(days=pretending.settings.trash_days)
        gone = select(TeamRow.id).where(TeamRow.deleted_at < trashed)
        models = models.where(is_kept(trashed))
        models = models.where(ModelRow.team_id.not_in(gone))
        touched = pretending.moment - timedelta(days=pretending.settings.upload_days)
        uploads = uploads.where(UploadRow.touched_at >= touched)
    return ~models.exists() & ~uploads.exists()


def _forget(session: Session, blob_ids: Sequence[UUID], this: Round) -> None:
    """Remove the rows of these blobs and of the uploads that brought them, unless somebody has taken them up again."""
    due = BlobRow.id.in_(blob_ids) & (BlobRow.unused_since <= this.before) & _is_unnamed()
    blobs = session.scalars(select(BlobRow).where(due).with_for_update()).all()
    if not blobs:
        return
    ids = [blob.id for blob in blobs]
    uploads = session.scalars(select(UploadRow).where(UploadRow.blob_id.in_(ids))).all()
    useless = [Useless(blob.team_id, blob.store_key) for blob in blobs]
    discard(session, useless + [one for upload in uploads for one in brought_by(upload)], this.before)
    session.execute(delete(UploadRow).where(UploadRow.id.in_([upload.id for upload in uploads])))
    session.execute(delete(BlobRow).where(BlobRow.id.in_(ids)))
    changes.move_totals(session, blobs[0].team_id, stored_bytes=-sum(blob.size for blob in blobs))


def brought_by(upload: UploadRow) -> list[Useless]:
    """What an upload may have left in the store."""
    whole = Useless(upload.team_id, upload.storage_key)
    return [whole] if upload.multipart_id is None else [whole, whole._replace(multipart_id=upload.multipart_id)]
