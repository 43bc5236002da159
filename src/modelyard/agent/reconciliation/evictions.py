"""Evicts models for the machine's disk budget before each plan, and brings back what a queued prompt needs."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from modelyard.agent.reconcile_result import ReconcileResult
from modelyard.agent.reconciliation.log_deduplication import LoggedFailures
from modelyard.agent.status import AgentStatus
from modelyard.agent.use.eviction_log import EvictionLog, read_eviction_log, write_eviction_log
from modelyard.agent.use.eviction_plan import EvictionFacts, EvictionPlan, plan_evictions
from modelyard.agent.use.model_names import build_model_names
from modelyard.client.api.manifests import ReceivedManifest
from modelyard.comfyui.quoting import counted
from modelyard.sync.desired import DesiredModel, DesiredState
from modelyard.sync.inventory.deadlines import StallDeadline
from modelyard.wire.uses.eviction import MIN_COUNTED

log = logging.getLogger("modelyard.agent")

QUEUE_SECONDS = 10.0


class Evictions:
    """The evictions of one agent; ``file`` has its log. Belongs to one event loop."""

    def __init__(self, status: AgentStatus, file: Path, deadline: StallDeadline | None = None) -> None:
        self._status = status
        self._file = file
        self._log: EvictionLog | None = None
        self._desired: tuple[DesiredModel, ...] = ()
        self._not_held: frozenset[UUID] = frozenset()
        self._has_planned_unscanned = False
        self._deadline = deadline or StallDeadline()
        self._queue_failures = LoggedFailures("ComfyUI's queue cannot be read")
        self._save_failures = LoggedFailures("Evictions cannot be saved, and wait")
        self.queue_seconds = QUEUE_SECONDS

    async def plan(self, desired: DesiredState, manifest: ReceivedManifest) -> EvictionPlan:
        """Return which of the desired models are not to be held now; new evictions are saved first.

        Before the first scan of the folders nothing new is evicted: which files are users' own is unknown. While the
        machine is paused, nothing is saved. If the log cannot be saved, as on a full disk, only what was evicted before
        is not held.
        """
        if self._log is None:
            self._log = await asyncio.to_thread(read_eviction_log, self._file)
        self._desired = desired.models
        facts = await self._read_facts(desired.models, manifest)
        plan = await asyncio.to_thread(plan_evictions, desired.models, self._log, facts)
        if plan.log != self._log and not self._status.paused and not await self._save(plan.log):
            saved = replace(facts, needed=None)
            plan = await asyncio.to_thread(plan_evictions, desired.models, self._log, saved)
        self._not_held = plan.ids
        return plan

    async def _read_facts(self, models: Collection[DesiredModel], manifest: ReceivedManifest) -> EvictionFacts:
        """Return what a decision on evictions needs.

        If the team has a budget, the ComfyUIs are asked for their queues.
        """
        status, result, now = self._status, self._status.result, datetime.now(UTC).replace(microsecond=0)
        of_team = manifest.disk_budget_bytes
        # Without a budget of the team, the machine's own one never evicts.
        budget = None if of_team is None else status.settings.find_disk_budget(of_team)
        is_scanned = status.counted_at_this_start is not None
        self._has_planned_unscanned = budget is not None and not is_scanned
        needed = queued = None
        if budget is not None and manifest.assigned_ids is not None and is_scanned:
            queued = await self._find_queued_ids(models)
            needed = frozenset(manifest.assigned_ids).union(queued or ())
        since = None if status.use_log is None else status.use_log.counted_since
        ready = [state for state in result.replica_states if state.state == "ready"]
        return EvictionFacts(
            now,
            budget,
            needed,
            None if status.use_log is None or since is None else dict(status.use_log.last_uses),
            here={state.model_id for state in ready if state.origin != "found"} | find_not_removed(result),
            users_own={state.model_id for state in ready if state.origin == "found"},
            may_evict_here=queued is not None
            and since is not None
            and now - since >= MIN_COUNTED
            and not status.paused,
        )

    async def _save(self, new: EvictionLog) -> bool:
        """Write the log and use it from now on; return False if it cannot be written, which is logged."""
        try:
            await asyncio.to_thread(write_eviction_log, self._file, new)
        except OSError as failure:
            self._save_failures.update([failure])
            return False
        self._save_failures.update([])
        _log_changes(self._log or EvictionLog(), new)
        self._log = new
        return True

    @property
    def needs_plan(self) -> bool:
        """Whether there is a budget, and the last plan was made before the folders were scanned."""
        return self._has_planned_unscanned

    async def run(self, request_reconcile: Callable[[], None]) -> None:
        """At intervals, request a plan if a queued prompt names a model that is not held; runs until cancelled."""
        while True:
            await asyncio.sleep(self.queue_seconds)
            if not self._not_held:
                continue
            queued = await self._find_queued_ids(model for model in self._desired if model.id in self._not_held)
            if queued and not queued.isdisjoint(self._not_held):
                request_reconcile()

    async def _find_queued_ids(self, models: Iterable[DesiredModel]) -> frozenset[UUID] | None:
        """Return the models that queued prompts need.

        None if that is unknown, also after a failure, which is logged.
        """
        try:
            found = await asyncio.to_thread(find_queued_ids, self._status.result, list(models), self._deadline)
        except Exception as failure:  # noqa: BLE001 - evictions wait then; reconciliations and the agent go on
            self._queue_failures.update([failure])
            return None
        self._queue_failures.update([])
        return found


def remove_not_held(desired: DesiredState, plan: EvictionPlan) -> DesiredState:
    """Return the desired state without the models that are not to be held."""
    not_held = plan.ids
    return replace(desired, models=tuple(model for model in desired.models if model.id not in not_held))


def find_not_removed(result: ReconcileResult) -> frozenset[UUID]:
    """Return the models whose files should be removed and are still here: held removals, and blocked or failed ones."""
    held = () if result.held is None else result.held.removals
    waiting = [each.model_id for each in result.replica_states if each.state is None and each.origin != "removed"]
    return frozenset([*waiting, *(removal.placement.model_id for removal in held)])


def find_queued_ids(
    result: ReconcileResult, models: Collection[DesiredModel], deadline: StallDeadline
) -> frozenset[UUID] | None:
    """Return the models that running and queued prompts name, here or not; None if a ComfyUI is too busy to list them.

    Blocking. Of what is not here, only ``models`` are found.

    Raises:
        FilesystemNotResponding: a folder of a ComfyUI stalls.
    """
    found: set[UUID] = set()
    for comfyui, install in result.roots.running:
        prompts = comfyui.list_queued_prompts()
        if prompts is None:
            return None
        if prompts:
            here = build_model_names(deadline, install, result.replica_states)
            names = here.with_model_paths((model.id, model.model_path) for model in models)
            references = [reference for prompt in prompts for reference in prompt.references]
            found.update(*(names.find_ids(reference) for reference in references))
    return frozenset(found)


def _log_changes(before: EvictionLog, after: EvictionLog) -> None:
    """Log how many models were evicted, and how many are not evicted any more."""
    evicted: Collection[UUID] = after.evicted_at.keys() - before.evicted_at.keys()
    returned: Collection[UUID] = before.evicted_at.keys() - after.evicted_at.keys()
    if evicted:
        log.info("The disk budget evicts %s.", counted(len(evicted), "model"))
    if returned:
        log.info("No longer evicted: %s.", counted(len(returned), "model"))
