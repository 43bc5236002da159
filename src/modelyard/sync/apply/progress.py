"""Track the state of each model of the newest plan and report changes."""

from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.queue import Job
from modelyard.sync.apply.replica_states import (
    OnReplicaState,
    ReplicaState,
    build_not_placed_state,
    build_not_removed_state,
    build_ready_state,
    build_replica_state,
)
from modelyard.sync.planning.actions import Plan, Remove


class Progress:
    """Calls ``on_progress`` with each change; for a removal only if its model is not desired elsewhere."""

    def __init__(self, on_progress: OnReplicaState) -> None:
        self.on_progress = on_progress
        self._final_states: list[ReplicaState] = []  # of models for which there is nothing to do
        self._jobs: list[Job] = []
        self._desired_ids: set[UUID] = set()  # models that are in place or queued

    def start_plan(self, plan: Plan, jobs: Iterable[Job]) -> None:
        """Track the jobs of a new plan instead of the last one's, and report the models that it keeps or blocks."""
        self._final_states, self._jobs = build_final_states(plan), list(jobs)
        self._desired_ids = {each.model_id for each in self._final_states if each.state is not None}
        self._desired_ids |= {action.desired.id for action in plan.place_actions}
        for replica_state in self._final_states:
            self.on_progress(replica_state)

    def report(self, job: Job, replica_state: ReplicaState) -> None:
        """Store a new state of a job's model in the job, and report it if the newest plan contains the job.

        Not reported is the removal of a file whose model is in place or queued elsewhere.
        """
        job.replica_state = replica_state
        is_reported = replica_state.state is not None or replica_state.model_id not in self._desired_ids
        if job.is_desired and is_reported:
            self.on_progress(replica_state)

    def report_failure(self, job: Job, failure: NotPlaced) -> None:
        """Report that a job failed, or may not begin, with the reason."""
        action = job.action
        if isinstance(action, Remove):
            is_stuck = failure.state in {"blocked", "conflict"}
            state = build_not_removed_state(
                action.placement, action.target.model_path, failure.reason, is_stuck=is_stuck
            )
            self.report(job, state)
        else:
            self.report(job, build_not_placed_state(action.desired, failure))

    def report_waiting(self, job: Job, reason: str) -> None:
        """Report that a job is queued; not for a removal, since its model was desired until now."""
        if not isinstance(job.action, Remove):
            self.report(job, build_replica_state(job.action.desired, "queued", reason=reason))

    def list_replica_states(self) -> tuple[ReplicaState, ...]:
        """Return the state of each model, including removed ones; a job that has reported nothing yet is queued."""
        return (
            *self._final_states,
            *(replica_state for job in self._jobs if (replica_state := _get_replica_state(job)) is not None),
        )

    def list_approved_files(self) -> frozenset[tuple[Path, str]]:
        """Return path and hash of the files in the newest plan whose removal is approved and has not succeeded."""
        remaining = [job.action for job in self._jobs if job.replica_state is None or job.replica_state.origin is None]
        removals = [action for action in remaining if isinstance(action, Remove) and action.is_approved]
        return frozenset((removal.placement.path, removal.placement.sha256) for removal in removals)


def _get_replica_state(job: Job) -> ReplicaState | None:
    """Return the last reported state of a job; queued if there is none, but None for a removal."""
    if job.replica_state is not None or isinstance(job.action, Remove):
        return job.replica_state
    return build_replica_state(job.action.desired, "queued")


def build_final_states(plan: Plan) -> list[ReplicaState]:
    """Return the states of the models that a plan keeps in place or blocks, and of the files that it cannot remove."""
    kept = [
        build_ready_state(keep.desired, keep.path, "found" if keep.origin == "found" else "kept", keep.remark)
        for keep in plan.keep
    ]
    blocked = [
        ReplicaState(each.model_id, each.model_path, each.state, reason=each.reason, version=each.version)
        for each in plan.blocked
    ]
    stuck = [
        build_not_removed_state(each.placement, each.model_path, each.reason, is_stuck=True)
        for each in plan.blocked_removals
    ]
    return kept + blocked + stuck
