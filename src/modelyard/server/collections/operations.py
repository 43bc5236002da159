"""Operations on collections: create, list, read, change."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from modelyard.server import revisions
from modelyard.server.audit import operations as audit
from modelyard.server.collections.due_machines import update_or_mark
from modelyard.server.collections.entries import Entry, decide_entries, load_known_models
from modelyard.server.collections.lookup import find_collection, find_collection_to_change
from modelyard.server.collections.records import build_collection, build_summary
from modelyard.server.collections.subscribed_models import list_subscribed_agents
from modelyard.server.collections.tables import CollectionRow, CollectionVersionRow
from modelyard.server.collections.versions import insert_version
from modelyard.server.database.base import new_id, now
from modelyard.server.database.decided_writes import write_decided
from modelyard.server.database.session import Database
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.teams.context import TeamContext, reload_team_context
from modelyard.server.teams.permissions import Operation, check_permission
from modelyard.wire import problems
from modelyard.wire.collections import (
    MAX_COLLECTIONS,
    Collection,
    CollectionList,
    CollectionUpdate,
    NewCollection,
    build_name_key,
)

_BY_NAME = Order((CollectionRow.name_key, CollectionRow.id))


def create_collection(database: Database, team: TeamContext, new: NewCollection) -> UUID:
    """Create a collection with its version 1, record that, and return its id.

    Raises:
        NotAMember, RoleTooLow, KeyNotAllowed, Unauthenticated: see ``reload_team_context``.
        CollectionNameTaken: another collection of the team has this name.
        CollectionLimitReached: the team has ``MAX_COLLECTIONS`` of them.
        InvalidRequest: see ``decide_entries``.
    """

    def decide(session: Session) -> Sequence[Entry]:
        return decide_entries(new.model_list, load_known_models(session, team.team_id, new.model_list))

    return write_decided(
        database,
        lambda: database.writing(team.team_id),
        lambda session: revisions.get_totals(session, team.team_id).revision,
        decide,
        lambda session, entries: _insert_collection(session, team, new, entries),
    )


def _insert_collection(session: Session, team: TeamContext, new: NewCollection, entries: Sequence[Entry]) -> UUID:
    """Insert a collection with its version 1, and return its id; see ``create_collection``."""
    team = reload_team_context(session, team, Operation.COLLECTIONS_EDIT)
    _check_name(session, team, new.name)
    _check_collection_count(session, team.team_id)
    creator = team.creator
    collection = CollectionRow(
        id=new_id(),
        team_id=team.team_id,
        name=new.name,
        name_key=build_name_key(new.name),
        note=new.note,
        latest_version=1,
        is_pinned=False,
        creator_kind=creator.kind,
        creator_id=creator.id,
        creator_name=creator.name,
    )
    session.add(collection)
    session.flush()
    insert_version(session, team, collection, entries, None)
    facts = {"name": collection.name, "model_count": len(entries)}
    audit.record(session, team.actor, team.team_id, "collection.created", collection.id, **facts)
    return collection.id


def _check_name(session: Session, team: TeamContext, name: str, own_id: UUID | None = None) -> None:
    """Check that no other collection of the team has this name.

    Raises:
        CollectionNameTaken: one has.
    """
    is_taken = CollectionRow.team_id == team.team_id, CollectionRow.name_key == build_name_key(name)
    holder = session.scalar(select(CollectionRow.id).where(*is_taken))
    if holder is not None and holder != own_id:
        raise problems.CollectionNameTaken(
            f"The team has a collection '{name}' already. Use another name.",
            collection_id=str(holder),
            errors=[{"field": "name", "message": "Another collection has this name"}],
        )


def _check_collection_count(session: Session, team_id: UUID) -> None:
    """Check that the team may have one more collection.

    Raises:
        CollectionLimitReached: it may not.
    """
    count = session.scalar(select(func.count()).where(CollectionRow.team_id == team_id)) or 0
    if count >= MAX_COLLECTIONS:
        raise problems.CollectionLimitReached(
            f"The team has {count:,} collections, and cannot have more. Delete unused collections.",
            limit=MAX_COLLECTIONS,
        )


def list_collections(session: Session, team: TeamContext, page: Page) -> CollectionList:
    """Return one page of the team's collections, by name."""
    query = (
        select(CollectionRow, CollectionVersionRow.model_count)
        .join(CollectionVersionRow, _is_newest_version())
        .where(CollectionRow.team_id == team.team_id)
    )
    rows, meta = list_page(session, query, page, _BY_NAME)
    return CollectionList(collection_list=[build_summary(row[0], row[1]) for row in rows], page_meta=meta)


def _is_newest_version() -> ColumnElement[bool]:
    """Build the SQL condition that joins a collection with its newest version."""
    return and_(
        CollectionVersionRow.collection_id == CollectionRow.id,
        CollectionVersionRow.number == CollectionRow.latest_version,
    )


def get_collection(session: Session, team: TeamContext, collection_id: UUID) -> Collection:
    """Return a collection with the models of its newest version.

    Raises:
        CollectionNotFound: see ``find_collection``.
    """
    return build_collection(session, find_collection(session, team, collection_id))


def update_collection(session: Session, team: TeamContext, collection_id: UUID, change: CollectionUpdate) -> UUID:
    """Set the fields of a collection that the request has, record a change, and return its id; null clears the note.

    What subscribed machines should hold follows a change of ``is_pinned``.

    Raises:
        CollectionNotFound, RoleTooLow: see ``find_collection_to_change``.
        CollectionNameTaken: another collection of the team has the new name.
        KeyNotAllowed, RoleTooLow: the request pins or holds it, or ends that, and the caller is no admin.
    """
    collection = find_collection_to_change(session, team, collection_id)
    sent = {name: getattr(change, name) for name in change.model_fields_set}
    changed = {name: value for name, value in sent.items() if getattr(collection, name) != value}
    if not changed:
        return collection.id
    if {"is_pinned", "is_held"} & changed.keys():
        check_permission(Operation.COLLECTIONS_SUBSCRIBE, team.caller, team.role)
    before = collection.name
    if "name" in changed:
        _check_name(session, team, changed["name"], collection.id)
        collection.name, collection.name_key = changed["name"], build_name_key(changed["name"])
    collection.note = changed.get("note", collection.note)
    collection.is_pinned = changed.get("is_pinned", collection.is_pinned)
    collection.is_held = changed.get("is_held", collection.is_held)
    collection.updated_at = now()
    # Conflicts of pins name the collection.
    if "is_pinned" in changed or ("name" in changed and collection.is_pinned):
        update_or_mark(session, list_subscribed_agents(session, collection))
    name_fact = {"renamed_from": before} if "name" in changed else {"name": before}
    audit.record(session, team.actor, team.team_id, "collection.changed", collection.id, **(name_fact | changed))
    return collection.id
