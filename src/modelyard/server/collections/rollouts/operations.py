"""Operations on roll-outs: start, list, read, stop, roll back."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from modelyard.server.audit import operations as audit
from modelyard.server.collections.due_machines import update_or_mark
from modelyard.server.collections.lookup import find_collection
from modelyard.server.collections.rollouts.lookup import (
    build_conflict,
    find_last_rollout,
    find_rollout,
    find_rollout_to_change,
)
from modelyard.server.collections.rollouts.progress import build_progress, is_canary, load_machines
from modelyard.server.collections.rollouts.purged import describe_purged
from modelyard.server.collections.rollouts.records import build_summary
from modelyard.server.collections.subscribed_models import list_subscribed_agents
from modelyard.server.collections.tables import CollectionRow, CollectionVersionRow, RolloutRow
from modelyard.server.database.base import new_id, now
from modelyard.server.database.clock import get_database_time
from modelyard.server.http.paging import Order, Page, list_page
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.collections.rollouts import (
    ENDED_EARLY_STATES,
    MAX_ROLLOUTS,
    RUNNING_ROLLOUT_STATES,
    NewRollout,
    Rollout,
    RolloutList,
    RolloutState,
)


@dataclass(frozen=True)
class StartedRollout:
    """The id of a roll-out, and whether this request started it."""

    id: UUID
    is_new: bool


def start_rollout(session: Session, team: TeamContext, collection_id: UUID, new: NewRollout) -> StartedRollout:
    """Start a roll-out of a version, and record that; the same request while it runs returns the same roll-out.

    Subscribed machines get the version that they should have now. A roll-out that failed or was stopped is replaced:
    machines that only it gave its version get the one before. Records of the oldest roll-outs are deleted.

    Raises:
        CollectionNotFound: see ``find_collection``.
        InvalidRequest: the collection has no such version, all machines have it, no subscribed machine has the label,
            or the collection is pinned and models of the version are purged.
        RolloutConflict: another roll-out of the collection is running.
    """
    collection = find_collection(session, team, collection_id)
    last = find_last_rollout(session, collection)
    if last is not None and last.state in RUNNING_ROLLOUT_STATES:
        if _is_same(last, new):
            return StartedRollout(last.id, is_new=False)
        raise build_conflict(last, f"A roll-out of version {last.version} is running. Stop it or roll it back first.")
    previous = _get_previous_version(collection, last, new.version)
    rollout = _build_rollout(_build_id_after(last), team, collection, new, previous)
    # Heartbeats have the time of the same clock.
    rollout.created_at = get_database_time(session)
    _check_new(session, collection, rollout)
    if last is not None and last.state in ENDED_EARLY_STATES:
        last.state, last.updated_at = "replaced", now()
    session.add(rollout)
    _delete_oldest(session, collection)
    collection.rollout_version, collection.rollout_label = rollout.version, rollout.canary_label
    update_machines(session, collection)
    record_action(session, team, "started", (collection, rollout))
    return StartedRollout(rollout.id, is_new=True)


def _is_same(rollout: RolloutRow, new: NewRollout) -> bool:
    """Return whether a request is the one that started a roll-out."""
    return all(getattr(rollout, name) == value for name, value in new)


def _get_previous_version(collection: CollectionRow, last: RolloutRow | None, version: int) -> int:
    """Return the version that a roll-back restores.

    A new attempt at the version of the last roll-out, which was stopped when all machines got it, restores the same.
    """
    if last is not None and last.state in ENDED_EARLY_STATES and version == last.version:
        return last.previous_version
    return collection.rolled_out_version


def _build_id_after(last: RolloutRow | None) -> UUID:
    """Return an id that sorts after the last roll-out's, also if this server's clock is behind the one that made it."""
    created = new_id()
    return created if last is None or created > last.id else UUID(int=last.id.int + 1)


def _build_rollout(
    rollout_id: UUID, team: TeamContext, collection: CollectionRow, new: NewRollout, previous: int
) -> RolloutRow:
    """Build the row of a new roll-out; without a label, all machines get the version."""
    creator = team.creator
    return RolloutRow(
        id=rollout_id,
        team_id=team.team_id,
        collection_id=collection.id,
        previous_version=previous,
        state="rolling_out" if new.canary_label is None else "canary",
        reason=None,
        obstacle=None,
        canaries_ready_at=None,
        creator_kind=creator.kind,
        creator_id=creator.id,
        creator_name=creator.name,
        **dict(new),
    )


def _check_new(session: Session, collection: CollectionRow, rollout: RolloutRow) -> None:
    """Check that a roll-out would change something.

    Raises:
        InvalidRequest: see ``start_rollout``.
    """
    if session.get(CollectionVersionRow, (collection.id, rollout.version)) is None:
        raise problems.InvalidRequest.for_field("version", "The collection has no such version")
    if rollout.version == collection.rolled_out_version and rollout.version != collection.rollout_version:
        if collection.rollout_version is None:
            raise problems.InvalidRequest.for_field("version", "Subscribed machines get this version already")
        message = "All machines but the canaries get this version already. Roll back the last roll-out instead"
        raise problems.InvalidRequest.for_field("version", message)
    purged = describe_purged(session, collection, rollout.version)
    if purged is not None:
        raise problems.InvalidRequest.for_field("version", purged)
    agents = list_subscribed_agents(session, collection)
    if rollout.canary_label is not None and not any(is_canary(rollout, agent) for agent in agents):
        raise problems.InvalidRequest.for_field("canary_label", "No subscribed machine has this label")


def _delete_oldest(session: Session, collection: CollectionRow) -> None:
    """Delete the records of the oldest roll-outs of a collection, so that it keeps ``MAX_ROLLOUTS``."""
    session.flush()
    newest = select(RolloutRow.id).where(RolloutRow.collection_id == collection.id).order_by(RolloutRow.id.desc())
    oldest = session.scalars(newest.offset(MAX_ROLLOUTS)).all()
    if oldest:
        session.execute(delete(RolloutRow).where(RolloutRow.id.in_(oldest)))


def stop_rollout(session: Session, team: TeamContext, collection_id: UUID, rollout_id: UUID) -> UUID:
    """Stop a roll-out, and record that: machines keep the version that they got. Returns its id.

    One that was stopped stays so. If all machines got its version, the next roll-out starts from it.

    Raises:
        CollectionNotFound, RolloutNotFound: see ``find_rollout_to_change``.
        RolloutConflict: it has ended otherwise.
    """
    collection, rollout = find_rollout_to_change(session, team, collection_id, rollout_id)
    if rollout.state == "stopped":
        return rollout.id
    if rollout.state not in RUNNING_ROLLOUT_STATES:
        raise build_conflict(rollout, "It has ended already.")
    if rollout.state == "rolling_out":
        collection.rolled_out_version = rollout.version
    set_state(rollout, "stopped")
    record_action(session, team, "stopped", (collection, rollout))
    return rollout.id


def roll_back(session: Session, team: TeamContext, collection_id: UUID, rollout_id: UUID) -> UUID:
    """Give all subscribed machines the version before a roll-out, and record that. Returns its id.

    A roll-out that was rolled back stays so.

    Raises:
        CollectionNotFound, RolloutNotFound: see ``find_rollout_to_change``.
        RolloutConflict: it is not the last one, subscribed machines have got another version since, or the collection
            is pinned and models of the version before are purged.
    """
    collection, rollout = find_rollout_to_change(session, team, collection_id, rollout_id)
    if rollout.state == "rolled_back":
        return rollout.id
    is_in_effect = rollout.state != "finished" or collection.rolled_out_version == rollout.version
    if rollout.state == "replaced" or not is_in_effect:
        raise build_conflict(
            rollout, "Machines have got another version since. Roll out the one that they should have."
        )
    purged = describe_purged(session, collection, rollout.previous_version)
    if purged is not None:
        raise build_conflict(rollout, f"{purged}. Make a new version, and roll that out.")
    set_state(rollout, "rolled_back")
    collection.rolled_out_version = rollout.previous_version
    collection.rollout_version = collection.rollout_label = None
    update_machines(session, collection)
    record_action(session, team, "rolled_back", (collection, rollout))
    return rollout.id


def set_state(rollout: RolloutRow, state: RolloutState) -> None:
    """Set the state of a roll-out, and clear since when its canaries are ready and what keeps it from going on."""
    rollout.state, rollout.updated_at = state, now()
    rollout.canaries_ready_at = rollout.obstacle = None


def update_machines(session: Session, collection: CollectionRow) -> None:
    """Give the subscribed machines of a collection the version that each should get now."""
    update_or_mark(session, list_subscribed_agents(session, collection))


def build_facts(collection: CollectionRow, rollout: RolloutRow) -> dict[str, Any]:
    """Return the facts of an audit event about a roll-out."""
    facts = {"name": collection.name, "version": rollout.version, "previous_version": rollout.previous_version}
    return facts | {"canary_label": rollout.canary_label, "rollout_id": str(rollout.id)}


def record_action(
    session: Session, team: TeamContext, what: str, of: tuple[CollectionRow, RolloutRow], **more: Any
) -> None:
    """Record in the audit log what a person did with a roll-out of a collection."""
    collection, rollout = of
    action, facts = f"collection.rollout_{what}", build_facts(collection, rollout) | more
    audit.record(session, team.actor, team.team_id, action, collection.id, **facts)


def list_rollouts(session: Session, team: TeamContext, collection_id: UUID, page: Page) -> RolloutList:
    """Return one page of a collection's roll-outs, newest first.

    Raises:
        CollectionNotFound: see ``find_collection``.
    """
    collection = find_collection(session, team, collection_id)
    query = select(RolloutRow).where(RolloutRow.collection_id == collection.id)
    rows, meta = list_page(session, query, page, Order((RolloutRow.id,), is_descending=True))
    return RolloutList(rollout_list=[build_summary(row[0]) for row in rows], page_meta=meta)


def get_rollout(session: Session, team: TeamContext, collection_id: UUID, rollout_id: UUID) -> Rollout:
    """Return a roll-out with the state of its machines.

    Raises:
        CollectionNotFound: see ``find_collection``.
        RolloutNotFound: the collection has no such roll-out.
    """
    collection = find_collection(session, team, collection_id)
    rollout = find_rollout(session, collection, rollout_id)
    is_in_effect = rollout.state in (*RUNNING_ROLLOUT_STATES, *ENDED_EARLY_STATES)
    progress = build_progress(load_machines(session, collection, rollout)) if is_in_effect else None
    return Rollout(progress=progress, **dict(build_summary(rollout)))
