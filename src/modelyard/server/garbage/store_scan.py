"""Scan of the whole store for objects that should have been removed.

An object without any row is kept and counted: the database may be an older copy, or a new one beside old files.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.database.job_run import PAGE
from modelyard.server.garbage.removal import count_objects, remove_object
from modelyard.server.garbage.run_state import CollectionRun
from modelyard.server.previews.pictures import PREVIEWS
from modelyard.server.previews.tables import PreviewRow
from modelyard.server.uploads.discards import DiscardedObject
from modelyard.server.uploads.tables import BlobRow, DiscardedRow, UploadRow

# The prefixes that are scanned; a bucket may hold other objects as well.
MODELS, VERIFIED, PROBES = "models/", "verified/", "probe/"

Use = Literal["used", "unused", "unknown"]
Item = TypeVar("Item")


class _Upload(NamedTuple):
    """An upload's multipart id, and whether its content may still be uploaded or registered."""

    multipart_id: str | None
    is_open: bool


class _Known(NamedTuple):
    """What the database has about a batch of keys."""

    served: frozenset[str]
    discarded: frozenset[str]
    uploads: dict[str, _Upload]


def scan_store(run: CollectionRun) -> None:
    """Remove objects and multipart uploads that the database knows to be unused and that are older than the grace time.

    Objects without any row are kept, since the database may be an older copy: they are counted as ``unknown_files``.
    A dry run only counts.
    """
    for prefix in (MODELS, VERIFIED, PREVIEWS, PROBES):
        for objects in _batches(run, run.store.list_keys(prefix)):
            known = _load_known(run, {stored.key for stored in objects})
            uses = {stored.key: _get_use(known, stored.key) for stored in objects}
            run.collected.unknown_files += sum(use == "unknown" for use in uses.values())
            _discard_all(
                run,
                [
                    DiscardedObject(_get_team_id(stored.key), stored.key, size=stored.size)
                    for stored in objects
                    if uses[stored.key] == "unused" and stored.modified <= run.discarded_before
                ],
            )
    for uploads in _batches(run, run.store.list_open_uploads(run.discarded_before)):
        known = _load_known(run, {upload.key for upload in uploads})
        discarded = [upload for upload in uploads if _get_use_of_parts(known, upload.key, upload.upload) == "unused"]
        _discard_all(
            run, [DiscardedObject(_get_team_id(upload.key), upload.key, upload.upload) for upload in discarded]
        )


def _discard_all(run: CollectionRun, discarded: Sequence[DiscardedObject]) -> None:
    """Remove these objects one by one, or only count them in a dry run."""
    if run.options.is_dry:
        count_objects(run, discarded)
    else:
        for item in discarded:
            remove_object(run, item)


def _batches(run: CollectionRun, items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield lists of at most ``PAGE`` items; stop with ``RunStopped`` between them if the run has to end."""
    iterator = iter(items)
    while True:
        run.check_may_continue()
        # Not in a transaction: reading the listing may call the store.
        batch = list(islice(iterator, PAGE))
        if not batch:
            return
        yield batch


def _load_known(run: CollectionRun, keys: set[str]) -> _Known:
    """Load what the database has about these keys, in one transaction."""
    with run.database.reading() as session:
        columns = (BlobRow.store_key, PreviewRow.store_key, PreviewRow.png_key)
        served = [key for column in columns for key in session.scalars(select(column).where(column.in_(keys)))]
        discarded = session.scalars(select(DiscardedRow.store_key).where(DiscardedRow.store_key.in_(keys)))
        return _Known(frozenset(key for key in served if key), frozenset(discarded), _load_uploads(session, keys))


def _load_uploads(session: Session, keys: set[str]) -> dict[str, _Upload]:
    """Return the uploads with these storage keys, by key."""
    columns = (UploadRow.storage_key, UploadRow.multipart_id, UploadRow.registered_at, UploadRow.blob_id)
    return {
        row.storage_key: _Upload(row.multipart_id, row.registered_at is None and row.blob_id is None)
        for row in session.execute(select(*columns).where(UploadRow.storage_key.in_(keys)))
    }


def _get_use(known: _Known, key: str) -> Use:
    """Return whether an object is in use; one with a row in ``discarded`` counts as used, since that row removes it."""
    if key.startswith(PROBES):
        return "unused"  # left by a probe that was interrupted
    if key in known.served or key in known.discarded:
        return "used"
    upload = known.uploads.get(key)
    if upload is None:
        return "unknown"
    return "used" if upload.is_open else "unused"


def _get_use_of_parts(known: _Known, key: str, multipart_id: str) -> Use:
    """Return whether an open multipart upload is in use; one of a discarded key is removed by way of that row.

    A server that was killed between starting an upload and recording it has started another one with the same key.
    """
    if key.startswith(PROBES) or key in known.served:
        return "unused"
    if key in known.discarded:
        return "used"
    if key.startswith(VERIFIED):
        return "unused"  # left by a copy that was interrupted
    upload = known.uploads.get(key)
    if upload is None:
        return "unknown"
    return "used" if upload.is_open and upload.multipart_id == multipart_id else "unused"


def _get_team_id(key: str) -> UUID:
    """Return the team id that is the second part of a key of this registry."""
    return UUID(key.split("/")[1])
