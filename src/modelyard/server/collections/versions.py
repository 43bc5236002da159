"""Versions of collections: the next one, lists, and one with its models."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.audit import operations as audit
from modelyard.server.collections.due_machines import update_or_mark, writing_changes
from modelyard.server.collections.entries import Entry, decide_entries, insert_entries, load_known_models
from modelyard.server.collections.lookup import find_collection, find_collection_to_change
from modelyard.server.collections.records import build_version, build_version_summary
from modelyard.server.collections.subscribed_models import list_subscribed_agents
from modelyard.server.collections.tables import CollectionEntryRow, CollectionRow, CollectionVersionRow
from modelyard.server.database.base import now
from modelyard.server.database.decided_writes import write_decided
from modelyard.server.database.session import Database
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.teams.context import TeamContext, reload_team_context
from modelyard.server.teams.permissions import Operation, check_permission
from modelyard.wire import problems
from modelyard.wire.collections import (
    MAX_COLLECTION_VERSIONS,
    CollectionVersion,
    CollectionVersionList,
    NewCollectionVersion,
)


@dataclass(frozen=True)
class AddedVersion:
    """The newest version of a collection, and whether this request made it."""

    number: int
    is_new: bool


def parse_version_number(text: str) -> int:
    """Return the version number of a request path.

    Raises:
        CollectionVersionNotFound: it is not a number that a version may have.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise _build_not_found()
    return int(text)


def _build_not_found() -> problems.CollectionVersionNotFound:
    """Build the problem for a version that the collection does not have."""
    return problems.CollectionVersionNotFound("The collection has no such version.")


@dataclass(frozen=True)
class _Draft:
    """The models of a new version, and whether the newest one has them already."""

    entries: Sequence[Entry]
    is_known: bool


def add_version(database: Database, team: TeamContext, collection_id: UUID, new: NewCollectionVersion) -> AddedVersion:
    """Make the next version of a collection, and record that; for the models of the newest version, return that one.

    Subscribed machines get it, unless the collection is held, or they do not all have the newest version before.

    Raises:
        NotAMember, RoleTooLow, KeyNotAllowed, Unauthenticated: see ``reload_team_context``.
        CollectionNotFound, RoleTooLow, KeyNotAllowed: see ``_find_collection``.
        InvalidRequest: see ``decide_entries``.
        VersionConflict: the newest version is not the one that the caller expects, and has other models.
        CollectionLimitReached: it has ``MAX_COLLECTION_VERSIONS`` of them.
    """
    return write_decided(
        database,
        partial(writing_changes, database, team.team_id),
        partial(_read_basis, team=team, collection_id=collection_id),
        partial(_draft_version, team=team, collection_id=collection_id, new=new),
        partial(_insert_next_version, team=team, collection_id=collection_id, new=new),
    )


def _read_basis(session: Session, team: TeamContext, collection_id: UUID) -> tuple[int, int | None]:
    """Return what changes whenever a draft may do: the team's revision, and the number of the newest version."""
    newest = select(CollectionRow.latest_version).where(CollectionRow.id == collection_id)
    return revisions.get_totals(session, team.team_id).revision, session.scalar(newest)


def _draft_version(session: Session, team: TeamContext, collection_id: UUID, new: NewCollectionVersion) -> _Draft:
    """Load the models of a new version, and compare them with those of the newest one.

    Raises:
        CollectionNotFound, RoleTooLow, KeyNotAllowed, InvalidRequest: see ``add_version``.
    """
    collection = _find_collection(session, team, collection_id)
    entries = decide_entries(new.model_list, load_known_models(session, team.team_id, new.model_list))
    newest = _list_keys(session, collection.id, collection.latest_version)
    return _Draft(entries, [entry.key for entry in entries] == newest)


def _find_collection(session: Session, team: TeamContext, collection_id: UUID) -> CollectionRow:
    """Return a collection that the caller may give a new version.

    Raises:
        CollectionNotFound, RoleTooLow: see ``find_collection_to_change``.
        KeyNotAllowed, RoleTooLow: the collection is pinned, and the caller is no admin.
    """
    collection = find_collection_to_change(session, team, collection_id)
    if collection.is_pinned:
        check_permission(Operation.COLLECTIONS_SUBSCRIBE, team.caller, team.role)
    return collection


def _insert_next_version(
    session: Session, draft: _Draft, team: TeamContext, collection_id: UUID, new: NewCollectionVersion
) -> AddedVersion:
    """Insert a new version, unless the newest one is the same; see ``add_version``."""
    team = reload_team_context(session, team, Operation.COLLECTIONS_EDIT)
    collection = _find_collection(session, team, collection_id)
    newest = find_version(session, collection, collection.latest_version)
    if draft.is_known and new.note in (None, newest.note):
        return AddedVersion(newest.number, is_new=False)
    _check_expected_version(collection, newest, new.expected_version)
    _check_version_count(collection)
    is_followed = collection.is_fully_rolled_out and not collection.is_held
    collection.latest_version += 1
    collection.updated_at = now()
    insert_version(session, team, collection, draft.entries, new.note)
    if is_followed:
        collection.rolled_out_version = collection.latest_version
        update_or_mark(session, list_subscribed_agents(session, collection))
    facts = {"name": collection.name, "version": collection.latest_version, "model_count": len(draft.entries)}
    audit.record(session, team.actor, team.team_id, "collection.version_created", collection.id, **facts)
    return AddedVersion(collection.latest_version, is_new=True)


def _check_expected_version(collection: CollectionRow, newest: CollectionVersionRow, expected: int | None) -> None:
    """Check that the newest version is the one that the caller expects, if any.

    Raises:
        VersionConflict: it is another one.
    """
    if expected in (None, newest.number):
        return
    happened = f"'{collection.name}' has version {newest.number} now, made by {newest.creator_name}."
    if expected > newest.number:
        happened = (
            f"'{collection.name}' has no version {expected}: its newest is {newest.number}, by {newest.creator_name}."
        )
    raise problems.VersionConflict(
        f"{happened} Read it first.",
        version=newest.number,
        created_by=newest.creator_name,
        collection_id=str(collection.id),
    )


def _list_keys(session: Session, collection_id: UUID, number: int) -> list[tuple[UUID, int]]:
    """Return the model and the model's version of each entry of a version, in their order."""
    entry = CollectionEntryRow
    of_version = entry.collection_id == collection_id, entry.number == number
    rows = session.execute(select(entry.model_id, entry.model_version).where(*of_version).order_by(entry.position))
    return [(model_id, model_version) for model_id, model_version in rows]


def list_versions(session: Session, team: TeamContext, collection_id: UUID, page: Page) -> CollectionVersionList:
    """Return one page of a collection's versions, newest first.

    Raises:
        CollectionNotFound: see ``find_collection``.
    """
    collection = find_collection(session, team, collection_id)
    query = select(CollectionVersionRow).where(CollectionVersionRow.collection_id == collection.id)
    rows, meta = list_page(session, query, page, Order((CollectionVersionRow.number,), is_descending=True))
    return CollectionVersionList(version_list=[build_version_summary(row[0]) for row in rows], page_meta=meta)


def get_version(session: Session, team: TeamContext, collection_id: UUID, number: int) -> CollectionVersion:
    """Return a version of a collection with its models.

    Raises:
        CollectionNotFound: see ``find_collection``.
        CollectionVersionNotFound: it has no such version.
    """
    return build_version(session, find_version(session, find_collection(session, team, collection_id), number))


def find_version(session: Session, collection: CollectionRow, number: int) -> CollectionVersionRow:
    """Return a version of a collection; raises ``CollectionVersionNotFound``."""
    version = session.get(CollectionVersionRow, (collection.id, number))
    if version is None:
        raise _build_not_found()
    return version


def _check_version_count(collection: CollectionRow) -> None:
    """Check that a collection may have one more version.

    Raises:
        CollectionLimitReached: it may not.
    """
    if collection.latest_version >= MAX_COLLECTION_VERSIONS:
        raise problems.CollectionLimitReached(
            f"'{collection.name}' has {collection.latest_version:,} versions, and cannot have more. Create another "
            "collection with its models, and delete this one when its versions are not used any more.",
            limit=MAX_COLLECTION_VERSIONS,
        )


def insert_version(
    session: Session, team: TeamContext, collection: CollectionRow, entries: Sequence[Entry], note: str | None
) -> None:
    """Insert the version ``latest_version`` of a collection with its models.

    Raises:
        ChangedMeanwhile: see ``insert_entries``.
    """
    creator = team.creator
    session.add(
        CollectionVersionRow(
            collection_id=collection.id,
            number=collection.latest_version,
            note=note,
            model_count=len(entries),
            creator_kind=creator.kind,
            creator_id=creator.id,
            creator_name=creator.name,
        )
    )
    session.flush()
    insert_entries(session, collection.id, collection.latest_version, entries)
