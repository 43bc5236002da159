"""Deletion of collections; of one with many entries, old versions are deleted before, in transactions of some rows."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.collections.due_machines import ROWS_PER_TRANSACTION, update_or_mark, writing_changes
from modelyard.server.collections.lookup import find_collection_to_change
from modelyard.server.collections.rollouts.lookup import find_last_rollout
from modelyard.server.collections.subscribed_models import list_subscribed_agents, list_subscription_targets
from modelyard.server.collections.tables import CollectionEntryRow, CollectionRow, CollectionVersionRow
from modelyard.server.database.session import Database, execute_and_count
from modelyard.server.teams.context import TeamContext, reload_team_context
from modelyard.server.teams.permissions import Operation, check_permission
from modelyard.wire import problems


def delete_collection(
    database: Database, team: TeamContext, collection_id: UUID, most_rows: int = ROWS_PER_TRANSACTION
) -> None:
    """Delete a collection with all of its versions, and record that; its models stay.

    Machines lose the models that only it gave them. A transaction deletes about ``most_rows`` entries, and checks the
    caller again. If the last one does not come, the collection stays without some of its oldest versions, which the
    audit log names.

    Raises:
        NotAMember, RoleTooLow, KeyNotAllowed, Unauthenticated: see ``reload_team_context``.
        CollectionNotFound, RoleTooLow: see ``find_collection_to_change``.
        KeyNotAllowed: the caller is an integration key.
        KeyNotAllowed, RoleTooLow: the collection is pinned or has subscriptions, and the caller is no admin.
    """
    is_deleted = False
    while not is_deleted:
        with writing_changes(database, team.team_id) as session:
            team = reload_team_context(session, team, Operation.COLLECTIONS_EDIT)
            collection = find_collection_to_change(session, team, collection_id)
            facts = _check_deletion(session, team, collection)
            old = _list_old_versions(session, collection, most_rows)
            if old:
                _delete_versions(session, team, collection, old)
            else:
                _delete_rest(session, team, collection, facts)
                is_deleted = True


def _check_deletion(session: Session, team: TeamContext, collection: CollectionRow) -> dict[str, Any]:
    """Check that the caller may delete a collection; return the facts of the audit event.

    Raises:
        KeyNotAllowed, RoleTooLow: see ``delete_collection``.
    """
    if team.caller.kind == "integration":
        raise problems.KeyNotAllowed("Integration keys can change collections, but not delete them. Sign in as a user.")
    targets = list_subscription_targets(session, collection.id)
    if collection.is_pinned or targets.labels or targets.agent_ids:
        check_permission(Operation.COLLECTIONS_SUBSCRIBE, team.caller, team.role)
    of_collection = {"name": collection.name, "version": collection.latest_version, "is_pinned": collection.is_pinned}
    return of_collection | vars(targets)


def _list_old_versions(session: Session, collection: CollectionRow, most_rows: int) -> list[int]:
    """Return the oldest versions to delete before the rest; none if that has few enough entries.

    Those that machines get now, or would get by a roll-back, are not among them.
    """
    table = CollectionVersionRow
    columns = table.number, table.model_count
    rows = session.execute(select(*columns).where(table.collection_id == collection.id).order_by(table.number)).all()
    if sum(count for _, count in rows) <= most_rows:
        return []
    kept = {collection.latest_version, collection.rolled_out_version, collection.rollout_version}
    last = find_last_rollout(session, collection)
    kept |= set() if last is None else {last.version, last.previous_version}
    return _choose_versions(((number, count) for number, count in rows if number not in kept), most_rows)


def _choose_versions(counts: Iterable[tuple[int, int]], most_rows: int) -> list[int]:
    """Return the first versions that have few enough entries together, at least one, given how many each has. Pure."""
    chosen, total = list[int](), 0
    for number, count in counts:
        total += count
        if chosen and total > most_rows:
            break
        chosen.append(number)
    return chosen


def _delete_versions(session: Session, team: TeamContext, collection: CollectionRow, numbers: list[int]) -> None:
    """Delete versions of a collection with their entries, and record which."""
    for table in (CollectionEntryRow, CollectionVersionRow):
        of_versions = table.collection_id == collection.id, table.number.in_(numbers)
        execute_and_count(session, delete(table).where(*of_versions))
    facts = {"name": collection.name, "versions": numbers}
    audit.record(session, team.actor, team.team_id, "collection.versions_deleted", collection.id, **facts)


def _delete_rest(session: Session, team: TeamContext, collection: CollectionRow, facts: dict[str, Any]) -> None:
    """Delete a collection with what it still has, record that, and end the assignments that only it gave machines."""
    agents = list_subscribed_agents(session, collection)
    session.delete(collection)
    update_or_mark(session, agents)
    audit.record(session, team.actor, team.team_id, "collection.deleted", collection.id, **facts)
