"""Removal of stored objects that a row marks as discarded; a dry run only counts them."""

from collections.abc import Iterable, Sequence
from functools import partial

from sqlalchemy import delete, select, tuple_, update

from modelyard.server.database.session import execute_and_count
from modelyard.server.garbage.run_state import CollectionRun
from modelyard.server.storage.blob_store import BlobStore, NoSuchUpload
from modelyard.server.uploads.discards import DiscardedObject
from modelyard.server.uploads.tables import BlobRow, DiscardedRow

_names = tuple_(DiscardedRow.store_key, DiscardedRow.multipart_id)


def remove_discarded_objects(run: CollectionRun) -> None:
    """Remove every object that has been discarded for the grace time, then its row; a dry run only counts them.

    An object that the store failed to remove keeps its row for the next run.

    Each object is claimed before it is removed: from then on it cannot be taken into use.
    """
    columns = (DiscardedRow.store_key, DiscardedRow.multipart_id, DiscardedRow.team_id, DiscardedRow.since)
    query = select(*columns).where(DiscardedRow.since <= run.discarded_before)
    for page in run.iterate_pages(query, DiscardedRow.since, DiscardedRow.store_key, DiscardedRow.multipart_id):
        discarded = [DiscardedObject(row.team_id, row.store_key, row.multipart_id) for row in page]
        if run.options.is_dry:
            count_objects(run, discarded)
            continue
        removed = [item for item in _claim_discarded(run, discarded) if remove_object(run, item)]
        with run.writing(run.scope) as session:
            session.execute(
                delete(DiscardedRow).where(_names.in_([(item.store_key, item.multipart_id) for item in removed]))
            )


def _claim_discarded(run: CollectionRun, discarded: Sequence[DiscardedObject]) -> list[DiscardedObject]:
    """Mark discarded objects as claimed for removal, and return them; they cannot be taken into use any more.

    Objects that verification has taken into use or postponed since they were listed are left out; those that an
    interrupted run has claimed are included.
    """
    same = _names.in_([(item.store_key, item.multipart_id) for item in discarded])
    is_served = select(BlobRow.id).where(BlobRow.store_key == DiscardedRow.store_key).exists()
    is_object = DiscardedRow.multipart_id == ""
    is_claimable = same & (DiscardedRow.since <= run.discarded_before) & ~(is_object & is_served)
    with run.writing(run.scope) as session:
        execute_and_count(session, update(DiscardedRow).where(is_claimable).values(taken_at=run.moment))
        claimed = session.execute(
            select(DiscardedRow.store_key, DiscardedRow.multipart_id).where(same, DiscardedRow.taken_at.is_not(None))
        )
        names = {tuple(row) for row in claimed}
    return [item for item in discarded if (item.store_key, item.multipart_id) in names]


def count_objects(run: CollectionRun, discarded: Iterable[DiscardedObject]) -> None:
    """Count objects that would be removed, with their sizes, which the store may be asked for."""
    for item in discarded:
        run.call_store(partial(_count_object, run, item), key=item.store_key)


def remove_object(run: CollectionRun, item: DiscardedObject) -> bool:
    """Remove an object from the store and count it; return False if the store failed."""
    return run.call_store(partial(_remove, run, item), key=item.store_key)


def _count_object(run: CollectionRun, item: DiscardedObject) -> None:
    """Add an object to the run's result without removing it."""
    _count_removed(run, _get_size(run.store, item))


def _remove(run: CollectionRun, item: DiscardedObject) -> None:
    """Delete an object, or abort a multipart upload, and add it to the run's result."""
    size = _get_size(run.store, item)
    if item.multipart_id:
        run.store.abort_multipart(item.store_key, item.multipart_id)
    else:
        run.store.delete(item.store_key)
    _count_removed(run, size)


def _get_size(store: BlobStore, item: DiscardedObject) -> int | None:
    """Return the size in bytes of the object, or of the parts of the multipart upload; None if there is none."""
    if item.size is not None:
        return item.size
    if not item.multipart_id:
        stored = store.stat(item.store_key)
        return None if stored is None else stored.size
    try:
        return sum(part.size for part in store.list_parts(item.store_key, item.multipart_id))
    except NoSuchUpload:
        return None


def _count_removed(run: CollectionRun, size: int | None) -> None:
    """Add a removed object to the run's result; with size None there was no object, so nothing is added."""
    if size is not None:
        run.collected.files += 1
        run.collected.bytes += size
