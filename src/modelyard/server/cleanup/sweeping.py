"""The slow look through the whole store: for what rows know to be useless and nobody has removed.

An object that no row knows is kept and counted: the database may be an older copy, or a new one beside old files.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.cleanup.bytes import measure, remove
from modelyard.server.cleanup.rounds import PAGE, Round
from modelyard.server.uploads.discarding import Useless
from modelyard.server.uploads.tables import BlobRow, DiscardedRow, UploadRow

# What a store is asked about when it is swept; a bucket may hold what is not ours.
MODELS, VERIFIED, PROBES = "models/", "verified/", "probe/"

Use = Literal["some", "none", "unknown"]
Item = TypeVar("Item")


class _Upload(NamedTuple):
    multipart_id: str | None
    is_awaited: bool


class _Known(NamedTuple):
    """What the rows say of a batch of keys."""

    served: frozenset[str]
    discarded: frozenset[str]
    uploads: dict[str, _Upload]


def sweep_store(this: Round) -> None:
    """Go through every object and every open multipart upload that is older than the grace time."""
    for prefix in (MODELS, VERIFIED, PROBES):
        for objects in _batches(this, this.store.keys(prefix)):
            known = _known(this, {stored.key for stored in objects})
            uses = {stored.key: _use_of(known, stored.key) for stored in objects}
            this.collected.unknown_files += sum(use == "unknown" for use in uses.values())
            _rid(
                this,
                [
                    Useless(_team_of(stored.key), stored.key, size=stored.size)
                    for stored in objects
                    if uses[stored.key] == "none" and stored.modified <= this.before
                ],
            )
    for uploads in _batches(this, this.store.open_uploads(this.before)):
        known = _known(this, {begun.key for begun in uploads})
        useless = [begun for begun in uploads if _use_of_parts(known, begun.key, begun.upload) == "none"]
        _rid(this, [Useless(_team_of(begun.key), begun.key, begun.upload) for begun in useless])


def _rid(this: Round, useless: Sequence[Useless]) -> None:
    if this.plan.is_dry:
        measure(this, useless)
    else:
        for one in useless:
            remove(this, one)


def _batches(this: Round, items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while True:
        this.check()
        # Not in a transaction: a listing asks the store for its next page when it likes.
        batch = list(islice(iterator, PAGE))
        if not batch:
            return
        yield batch


def _known(this: Round, keys: set[str]) -> _Known:
    with this.database.reading() as session:
        served = session.scalars(select(BlobRow.store_key).where(BlobRow.store_key.in_(keys)))
        discarded = session.scalars(select(DiscardedRow.store_key).where(DiscardedRow.store_key.in_(keys)))
        return _Known(frozenset(served), frozenset(discarded), _uploads_of(session, keys))


def _uploads_of(session: Session, keys: set[str]) -> dict[str, _Upload]:
    columns = (UploadRow.storage_key, UploadRow.multipart_id, UploadRow.registered_at, UploadRow.blob_id)
    return {
        row.storage_key: _Upload(row.multipart_id, row.registered_at is None and row.blob_id is None)
        for row in session.execute(select(*columns).where(UploadRow.storage_key.in_(keys)))
    }


def _use_of(known: _Known, key: str) -> Use:
    """What an object is good for. What a row has discarded is removed by that row, in its time."""
    if key.startswith(PROBES):
        return "none"  # of a probe that was cut short
    if key in known.served or key in known.discarded:
        return "some"
    upload = known.uploads.get(key)
    if upload is None:
        return "unknown"
    return "some" if upload.is_awaited else "none"


def _use_of_parts(known: _Known, key: str, multipart_id: str) -> Use:
    """What the parts of an open multipart upload are good for.

    A server that was killed between making an upload and noting it has made others since, under the same key.
    """
    if key.startswith(PROBES) or key in known.served:
        return "none"
    if key in known.discarded:
        return "some"
    if key.startswith(VERIFIED):
        return "none"  # of a copy that was cut short, in whatever database it was noted
    upload = known.uploads.get(key)
    if upload is None:
        return "unknown"
    return "some" if upload.is_awaited and upload.multipart_id == multipart_id else "none"


def _team_of(key: str) -> UUID:
    return UUID(key.split("/")[1])
