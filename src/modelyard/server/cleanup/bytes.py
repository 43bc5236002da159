"""Stored bytes that a row proves useless: measured, and removed unless the round is a dry one."""

from collections.abc import Iterable, Sequence
from functools import partial

from sqlalchemy import delete, select, tuple_, update

from modelyard.server.cleanup.rounds import Round
from modelyard.server.database.session import changed_rows
from modelyard.server.storage.blob_store import BlobStore, NoSuchUpload
from modelyard.server.uploads.discarding import Useless
from modelyard.server.uploads.tables import BlobRow, DiscardedRow

_names = tuple_(DiscardedRow.store_key, DiscardedRow.multipart_id)


def remove_discarded(this: Round) -> None:
    """Remove all that has been useless for the grace time: bytes first, then the row that proves it."""
    columns = (DiscardedRow.store_key, DiscardedRow.multipart_id, DiscardedRow.team_id, DiscardedRow.since)
    found = select(*columns).where(DiscardedRow.since <= this.before)
    for page in this.pages(found, DiscardedRow.since, DiscardedRow.store_key, DiscardedRow.multipart_id):
        useless = [Useless(row.team_id, row.store_key, row.multipart_id) for row in page]
        if this.plan.is_dry:
            measure(this, useless)
            continue
        gone = [one for one in _taken(this, useless) if remove(this, one)]
        with this.database.writing(this.scope) as session:
            session.execute(delete(DiscardedRow).where(_names.in_([(one.store_key, one.multipart_id) for one in gone])))


def _taken(this: Round, useless: Sequence[Useless]) -> list[Useless]:
    """Those that nobody can take into use any more, from now on.

    Whoever was copying verified bytes may have done so, or put off their end, since they were found.
    """
    same = _names.in_([(one.store_key, one.multipart_id) for one in useless])
    is_served = select(BlobRow.id).where(BlobRow.store_key == DiscardedRow.store_key).exists()
    is_whole = DiscardedRow.multipart_id == ""
    takeable = same & (DiscardedRow.since <= this.before) & ~(is_whole & is_served)
    with this.database.writing(this.scope) as session:
        changed_rows(session, update(DiscardedRow).where(takeable).values(taken_at=this.moment))
        taken = session.execute(
            select(DiscardedRow.store_key, DiscardedRow.multipart_id).where(same, DiscardedRow.taken_at.is_not(None))
        )
        names = {tuple(row) for row in taken}
    return [one for one in useless if (one.store_key, one.multipart_id) in names]


def measure(this: Round, useless: Iterable[Useless]) -> None:
    """Count what the store would be rid of."""
    for one in useless:
        this.tried(partial(_measure, this, one), key=one.store_key)


def remove(this: Round, one: Useless) -> bool:
    """Rid the store of it, and count it; False if the store could not."""
    return this.tried(partial(_remove, this, one), key=one.store_key)


def _measure(this: Round, one: Useless) -> None:
    _count(this, _size(this.store, one))


def _remove(this: Round, one: Useless) -> None:
    size = _size(this.store, one)
    if one.multipart_id:
        this.store.abort(one.store_key, one.multipart_id)
    else:
        this.store.delete(one.store_key)
    _count(this, size)


def _size(store: BlobStore, one: Useless) -> int | None:
    """How many bytes there are, or None if there is nothing."""
    if one.size is not None:
        return one.size
    if not one.multipart_id:
        stored = store.stored(one.store_key)
        return None if stored is None else stored.size
    try:
        return sum(part.size for part in store.parts(one.store_key, one.multipart_id))
    except NoSuchUpload:
        return None


def _count(this: Round, size: int | None) -> None:
    if size is not None:
        this.collected.files += 1
        this.collected.bytes += size
