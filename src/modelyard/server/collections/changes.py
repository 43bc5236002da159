"""What changed in a collection from one of its versions to another: load, compare (pure)."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.collections.entries import Entry
from modelyard.server.collections.lookup import find_collection
from modelyard.server.collections.tables import CollectionEntryRow, CollectionRow, CollectionVersionRow
from modelyard.server.collections.versions import find_version
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.collections.changes import ChangedModel, CollectionChanges, ListedModel


def get_changes(
    session: Session, team: TeamContext, collection_id: UUID, number: int, since: int | None
) -> CollectionChanges:
    """Return what a version has that another one had not; by default, that is the version before it.

    Raises:
        CollectionNotFound: see ``find_collection``.
        CollectionVersionNotFound: the collection has no version ``number``.
        InvalidRequest: it has no version ``since``.
    """
    collection = find_collection(session, team, collection_id)
    version = find_version(session, collection, number)
    if since is not None and session.get(CollectionVersionRow, (collection.id, since)) is None:
        raise problems.InvalidRequest.for_field("since", "The collection has no such version")
    before = version.number - 1 if since is None else since
    old, new = (_load_entries(session, collection, each) for each in (before, version.number))
    return _compare_entries(old, new, since=before or None, version=version.number)


def _load_entries(session: Session, collection: CollectionRow, number: int) -> list[Entry]:
    """Return the models of a version as they were added, in their order; none of a version that does not exist."""
    row = CollectionEntryRow
    columns = row.model_id, row.model_version, row.model_path, row.file_size, row.file_hash
    of_version = row.collection_id == collection.id, row.number == number
    rows = session.execute(select(*columns).where(*of_version).order_by(row.position))
    return [Entry(*each) for each in rows]


def _compare_entries(
    before: Sequence[Entry], after: Sequence[Entry], *, since: int | None, version: int
) -> CollectionChanges:
    """Return which models were added, removed, and changed from ``since`` to ``version`` of a collection. Pure."""
    had, has = ({entry.model_id: entry for entry in entries} for entries in (before, after))
    changed = [(had[entry.model_id], entry) for entry in after if entry.model_id in had]
    return CollectionChanges(
        version=version,
        since=since,
        added_list=[_build_listed(entry) for entry in after if entry.model_id not in had],
        removed_list=[_build_listed(entry) for entry in before if entry.model_id not in has],
        changed_list=[_build_changed(old, new) for old, new in changed if old.key != new.key],
    )


def _build_listed(entry: Entry) -> ListedModel:
    """Return the API's representation of a model that only one of the versions has."""
    return ListedModel(
        model_id=entry.model_id,
        model_path=entry.model_path,
        version=entry.model_version,
        file_size=entry.file_size,
        file_hash=entry.file_hash,
    )


def _build_changed(old: Entry, new: Entry) -> ChangedModel:
    """Return the API's representation of a model that both versions have, at different versions."""
    return ChangedModel(
        **dict(_build_listed(new)),
        previous_version=old.model_version,
        previous_size=old.file_size,
        previous_hash=old.file_hash,
    )
