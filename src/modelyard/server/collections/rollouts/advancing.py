"""How running roll-outs move on, by the job or by an approval: load the machines, decide the next step, write it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.server.audit.operations import record_system_event
from modelyard.server.collections.due_machines import (
    has_due_machines,
    try_to_update_due_machines,
    writing_changes,
)
from modelyard.server.collections.rollouts.decisions import Conditions, Step, decide_step, describe_obstacle
from modelyard.server.collections.rollouts.lookup import build_conflict, find_rollout_to_change
from modelyard.server.collections.rollouts.operations import (
    build_facts,
    record_action,
    set_state,
    update_machines,
)
from modelyard.server.collections.rollouts.progress import load_deciding_machines
from modelyard.server.collections.tables import CollectionRow, RolloutRow
from modelyard.server.database.clock import get_database_time
from modelyard.server.database.session import Database
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.collections.rollouts import RUNNING_ROLLOUT_STATES, RolloutObstacle

_EVENTS = {
    "failed": "failed",
    "finished": "finished",
    "rolling_out": "continued",
    "waiting_for_approval": "waiting_for_approval",
}


def list_running_rollouts(database: Database) -> Sequence[tuple[UUID, UUID]]:
    """Return the team and the id of each running roll-out."""
    running = select(RolloutRow.team_id, RolloutRow.id).where(RolloutRow.state.in_(RUNNING_ROLLOUT_STATES))
    with database.reading() as session:
        return [(team_id, rollout_id) for team_id, rollout_id in session.execute(running)]


def advance_rollout(database: Database, team_id: UUID, rollout_id: UUID) -> bool:
    """Write the next step of a running roll-out, if it has changed; return whether it has.

    The step is decided without the team's write lock first, and again with it if there is something to write. Machines
    that its transaction leaves due are left to their job.

    A step may update machines, and ends or a failure are recorded in the audit log.
    """
    with database.reading() as session:
        if not _decide(session, rollout_id):
            return False
    with database.writing(team_id) as session:
        step = _decide(session, rollout_id)
        if step is not None:
            _apply(session, session.get_one(RolloutRow, rollout_id), step)
    return step is not None


def approve_rollout(
    database: Database, team: TeamContext, collection_id: UUID, rollout_id: UUID, *, without_canaries: bool = False
) -> UUID:
    """Let a roll-out go on to all subscribed machines; one that does so already stays as it is. Returns its id.

    What the canaries have reported since the job looked at them counts: if one has failed, the roll-out fails. With
    ``without_canaries`` it goes on if all of them are offline or gone, and the event says which. Machines that are due
    are updated first.

    The approval, and a step that was due, are recorded in the audit log and give machines their versions.

    Raises:
        CollectionNotFound, RolloutNotFound: see ``find_rollout_to_change``.
        RolloutConflict: its canaries are not ready, one has failed, it has ended, or machines are due: they
            cannot be updated, or another change has been made meanwhile.
    """
    try_to_update_due_machines(database, team.team_id)
    with writing_changes(database, team.team_id) as session:
        collection, rollout = find_rollout_to_change(session, team, collection_id, rollout_id)
        if rollout.state in ("rolling_out", "finished"):
            return rollout.id
        if has_due_machines(session, team.team_id):
            raise build_conflict(rollout, "Machines are still getting what was changed before. Try again in a moment.")
        step = _decide(session, rollout.id)
        if step is not None:
            _apply(session, rollout, step)
        skipped = rollout.obstacle if without_canaries else None
        conflict = None if skipped else _find_conflict(rollout)
        if conflict is None and rollout.state in ("canary", "waiting_for_approval"):
            set_state(rollout, "rolling_out")
            collection.rollout_label = None
            update_machines(session, collection)
            facts = {"without_canaries": True, "obstacle": skipped} if skipped else {}
            record_action(session, team, "approved", (collection, rollout), **facts)
    # The step stays, also if the approval is refused.
    if conflict is not None:
        raise conflict
    return rollout_id


def _find_conflict(rollout: RolloutRow) -> problems.RolloutConflict | None:
    """Return the problem that a roll-out cannot be approved; None if it can."""
    if rollout.state == "canary":
        obstacle = _get_obstacle(rollout)
        message = "Its canaries are not ready yet." if obstacle is None else describe_obstacle(obstacle)
        return build_conflict(rollout, message)
    if rollout.state == "failed":
        return build_conflict(rollout, f"A canary has failed. {rollout.reason}")
    is_ended = rollout.state not in RUNNING_ROLLOUT_STATES
    return build_conflict(rollout, "It has ended. Start a new one.") if is_ended else None


def _get_obstacle(rollout: RolloutRow) -> RolloutObstacle | None:
    """Return why no canary of a roll-out can get ready; None if one can."""
    return cast(RolloutObstacle | None, rollout.obstacle)


def _decide(session: Session, rollout_id: UUID) -> Step | None:
    """Return the next step of a roll-out; None if it has ended, or does not change.

    It does not while machines of the team are due: what these have reported may be about another version.
    """
    rollout = session.get(RolloutRow, rollout_id)
    if rollout is None or rollout.state not in RUNNING_ROLLOUT_STATES or has_due_machines(session, rollout.team_id):
        return None
    machines = load_deciding_machines(session, session.get_one(CollectionRow, rollout.collection_id), rollout)
    step = Step(rollout.state, rollout.reason, rollout.canaries_ready_at, _get_obstacle(rollout))
    conditions = Conditions(rollout.is_automatic, timedelta(seconds=rollout.min_ready_seconds))
    decided = decide_step(step, conditions, machines, get_database_time(session))
    return None if decided == step else decided


def _apply(session: Session, rollout: RolloutRow, step: Step) -> None:
    """Write a step of a roll-out, update the machines that it concerns, and record the events among the steps."""
    collection = session.get_one(CollectionRow, rollout.collection_id)
    if step.state != rollout.state:
        set_state(rollout, step.state)
    rollout.reason, rollout.obstacle, rollout.canaries_ready_at = step.reason, step.obstacle, step.canaries_ready_at
    if step.state == "rolling_out":
        collection.rollout_label = None
        update_machines(session, collection)
    elif step.state == "finished":
        collection.rolled_out_version = rollout.version
        collection.rollout_version = collection.rollout_label = None
    if step.state in _EVENTS:
        action, facts = f"collection.rollout_{_EVENTS[step.state]}", build_facts(collection, rollout)
        facts |= {"reason": step.reason} if step.reason else {}
        record_system_event(session, rollout.team_id, action, collection.id, get_database_time(session), **facts)
