"""Blobs that a dry run expects to be unused: only versions past their team's retention reference them."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from modelyard.server.database.session import split_ids
from modelyard.server.garbage.run_state import CollectionRun
from modelyard.server.garbage.unused_blobs import (
    BLOB_COLUMNS,
    build_remaining_condition,
    build_uploading_condition,
    count_due_blobs,
    is_version_of_file,
    list_blobs_of_versions,
)
from modelyard.server.garbage.version_retention import (
    VERSION_COLUMNS,
    TeamRetention,
    iterate_expired,
    select_expired,
    version_key,
)
from modelyard.server.models.tables import FolderFileRow, ModelRow, ModelVersionRow
from modelyard.server.uploads.tables import BlobRow


def count_expected_blobs(run: CollectionRun, team: TeamRetention) -> None:
    """Count the objects of a team's blobs that become unused with its versions past the retention; each blob once."""
    seen = set[UUID]()
    for versions in iterate_expired(run, team):
        keys = [(version.model_id, version.number) for version in versions]
        with run.database.reading() as session:
            blob_ids = set(list_blobs_of_versions(session, version_key.in_(keys))) - seen
        seen |= blob_ids
        for part in split_ids(list(blob_ids)):
            is_expected = BlobRow.id.in_(_list_expected(run, team, part)) & ~build_uploading_condition(run)
            for blobs in run.iterate_pages(select(*BLOB_COLUMNS).where(is_expected), BlobRow.id):
                count_due_blobs(run, blobs)


def _list_expected(run: CollectionRun, team: TeamRetention, blob_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the blobs that versions reference, all of them past their retention."""
    referenced, used = set[UUID](), set[UUID]()
    for page in _iterate_references(run, blob_ids):
        with run.database.reading() as session:
            expired = {(row.model_id, row.number) for row in select_expired(session, run, team, page)}
        referenced |= {row.blob_id for row in page}
        used |= {row.blob_id for row in page if (row.model_id, row.number) not in expired}
    return referenced - used


def _iterate_references(run: CollectionRun, blob_ids: Sequence[UUID]) -> Iterator[Sequence[Row[Any]]]:
    """Yield pages of the versions that reference blobs, by themselves or by a file.

    Without those of which the trash is emptied: blobs that no others reference are counted with the unused ones.
    """
    key = (ModelVersionRow.model_id, ModelVersionRow.number)
    is_of_model = ModelRow.id == ModelVersionRow.model_id
    remains = build_remaining_condition(run)
    versions = select(ModelVersionRow.blob_id, *VERSION_COLUMNS).join(ModelRow, is_of_model)
    yield from run.iterate_pages(versions.where(ModelVersionRow.blob_id.in_(blob_ids), remains), *key)
    files = select(FolderFileRow.blob_id, FolderFileRow.position, *VERSION_COLUMNS)
    files = files.join(ModelVersionRow, is_version_of_file).join(ModelRow, is_of_model)
    is_asked_for = FolderFileRow.blob_id.in_(blob_ids)
    yield from run.iterate_pages(files.where(is_asked_for, remains), *key, FolderFileRow.position)
