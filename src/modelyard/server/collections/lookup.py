"""Find the collection of a request: for reading, or for a change by its caller."""

from uuid import UUID

from sqlalchemy.orm import Session

from modelyard.server.collections.tables import CollectionRow
from modelyard.server.http.params import parse_uuid
from modelyard.server.teams.context import TeamContext
from modelyard.server.teams.permissions import EDIT_EVERY_ROLE
from modelyard.wire import problems


def parse_collection_id(text: str) -> UUID:
    """Return the collection id of a request path.

    Raises:
        CollectionNotFound: it is not a UUID, so no collection has it.
    """
    return parse_uuid(text, _build_not_found())


def _build_not_found() -> problems.CollectionNotFound:
    """Build the problem for a collection that does not exist or belongs to another team; both look the same."""
    return problems.CollectionNotFound("There is no such collection.")


def find_collection(session: Session, team: TeamContext, collection_id: UUID) -> CollectionRow:
    """Return a collection of the team.

    Raises:
        CollectionNotFound: there is none, or it belongs to another team.
    """
    collection = session.get(CollectionRow, collection_id)
    if collection is None or collection.team_id != team.team_id:
        raise _build_not_found()
    return collection


def find_collection_to_change(session: Session, team: TeamContext, collection_id: UUID) -> CollectionRow:
    """Return a collection that the caller may change: members their own, admins and integration keys every one.

    Raises:
        CollectionNotFound: see ``find_collection``.
        RoleTooLow: a member's call for a collection that someone else created.
    """
    collection = find_collection(session, team, collection_id)
    if not team.may_change(collection.creator_kind, collection.creator_id):
        message = "Members may change only the collections that they created. Ask an admin."
        raise problems.RoleTooLow(message, needed_role=EDIT_EVERY_ROLE)
    return collection
