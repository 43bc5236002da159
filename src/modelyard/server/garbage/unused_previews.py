"""Pictures that no version shows: marked first, deleted after the grace time."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, delete, select, update
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.database.session import execute_and_count, split_ids
from modelyard.server.garbage.removal import count_objects
from modelyard.server.garbage.run_state import CollectionRun
from modelyard.server.models.tables import ModelVersionRow
from modelyard.server.previews.tables import PreviewRow
from modelyard.server.uploads.discards import DiscardedObject, discard


def mark_unused_previews(session: Session, team_id: UUID, hashes: Iterable[str | None], run: CollectionRun) -> None:
    """Start the grace time of a team's pictures with these hashes that no version shows now."""
    known = sorted({sha256 for sha256 in hashes if sha256 is not None})
    for part in split_ids(known):
        is_one = (PreviewRow.team_id == team_id) & PreviewRow.sha256.in_(part) & PreviewRow.unused_since.is_(None)
        execute_and_count(session, update(PreviewRow).where(is_one, _is_unused()).values(unused_since=run.moment))


def delete_unused_previews(run: CollectionRun) -> None:
    """Delete pictures that were unused for the grace time, and discard their objects.

    A thorough run also marks those that are unused now. A dry run only counts.
    """
    is_due = PreviewRow.unused_since <= run.discarded_before
    query = select(PreviewRow.id, PreviewRow.team_id, PreviewRow.unused_since).where(_is_unused())
    pages = run.iterate_pages(query.where(is_due), PreviewRow.unused_since, PreviewRow.id)
    if run.options.is_thorough:
        pages = chain(pages, run.iterate_pages(query.where(PreviewRow.unused_since.is_(None)), PreviewRow.id))
    for page in pages:
        run.call_for_teams(page, partial(_delete_of_team, run))


def _is_unused() -> ColumnElement[bool]:
    """Build the condition that no version shows a picture, and that it is not kept to know it as a stock picture."""
    shown = select(ModelVersionRow.number).where(
        ModelVersionRow.team_id == PreviewRow.team_id,
        ModelVersionRow.preview_sha256 == PreviewRow.sha256,
        # Written out: SQLite takes an index with a condition only for a statement that repeats it.
        ModelVersionRow.preview_sha256.is_not(None),
    )
    return PreviewRow.is_stock.is_(False) & ~shown.exists()


def _delete_of_team(run: CollectionRun, team_id: UUID, rows: Sequence[Row[Any]]) -> None:
    """Delete one team's pictures that are due, and start the grace time of the others that no version shows.

    Discards the objects of deleted pictures, and subtracts their sizes from the team's stored bytes. A dry run only
    counts the objects.
    """
    is_listed = PreviewRow.id.in_([row.id for row in rows])
    is_due = is_listed & (PreviewRow.unused_since <= run.discarded_before) & _is_unused()
    with run.database.reading() if run.options.is_dry else run.writing(team_id) as session:
        due = session.scalars(select(PreviewRow).where(is_due)).all()
        discarded = [item for row in due for item in _list_objects(row)]
        if not run.options.is_dry:
            discard(session, discarded, run.discarded_before)
            session.execute(delete(PreviewRow).where(PreviewRow.id.in_([row.id for row in due])))
            revisions.change_stored_bytes(session, team_id, stored_bytes=-sum(row.size for row in due))
            unmarked = is_listed & PreviewRow.unused_since.is_(None) & _is_unused()
            execute_and_count(session, update(PreviewRow).where(unmarked).values(unused_since=run.moment))
    if run.options.is_dry:
        count_objects(run, discarded)


def _list_objects(row: PreviewRow) -> list[DiscardedObject]:
    """Return the stored objects of a picture."""
    objects = [DiscardedObject(row.team_id, row.store_key, size=row.small_size + row.large_size)]
    if row.png_key is not None:
        objects.append(DiscardedObject(row.team_id, row.png_key, size=row.png_size))
    return objects
