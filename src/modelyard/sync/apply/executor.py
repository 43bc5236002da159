"""Apply the newest plan as a queue of independent actions, and accept the next plan meanwhile.

    submit(plan)       actions that have not begun are replaced by those of the new plan
                       running actions that are in the new plan continue
                       other running actions are cancelled; partial downloads are kept
    progress           the state of each model of the newest plan
    wait_until_idle()  nothing runs, and nothing can begin

The failure of one model does not affect others. A kill at any point is as safe as in ``placement``: each file that has
a name has a row in the journal.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from modelyard.sync.apply.downloads import ApplyOptions, Downloads, GetDownloadUrl
from modelyard.sync.apply.errors import NotPlaced, build_not_placed
from modelyard.sync.apply.housekeeping import clean_up_after, update_journal
from modelyard.sync.apply.progress import Progress
from modelyard.sync.apply.queue import ActionQueue, Job, get_action_key, get_touched
from modelyard.sync.apply.replica_states import OnReplicaState, ReplicaState, ignore_replica_state
from modelyard.sync.apply.steps import ActionBlocked, ActionRunner
from modelyard.sync.inventory.safe_open import ReadStopped
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.inventory.state_db import StateFileError
from modelyard.sync.planning.actions import Action, CopyLocal, Plan, Remove, Replace
from modelyard.transfer.errors import TransferFailed
from modelyard.transfer.thread_pool import ThreadPool
from modelyard.wire.problems import Problem

# How often blocked actions are checked again.
RECHECK_SECONDS = 2.0
# In addition to local copies: a removal, the journal, blocked checks, and opening folders for downloads.
_EXTRA_THREADS = 8

_Result = ReplicaState | NotPlaced | None  # None: it was stopped


class FinishedAction(NamedTuple):
    """An action that succeeded."""

    action: Action
    replica_state: ReplicaState


def _do_nothing() -> None:
    """Do nothing: the default of ``on_change``."""


class Executor:
    """Applies plans; bound to one event loop. ``progress.on_progress`` is called with each change of a model's state.

    ``on_change`` is called, on the event loop, when an action ended or was found blocked, when its blocker was checked
    again, when nothing is left to do, and after a bug.
    """

    def __init__(
        self,
        machine: MachineState,
        get_download_url: GetDownloadUrl,
        options: ApplyOptions,
        on_progress: OnReplicaState = ignore_replica_state,
        on_change: Callable[[], None] = _do_nothing,
    ) -> None:
        self.progress = Progress(on_progress)
        self._on_change = on_change
        self._machine = machine
        self._downloads = Downloads(get_download_url, machine.agent_id, options)
        self._threads = ThreadPool(options.parallel + _EXTRA_THREADS)
        self._queue = ActionQueue(options.parallel)
        self._workers: dict[Job, asyncio.Task[_Result]] = {}
        self._finished: list[FinishedAction] = []
        self._changed: set[Path | str] = set()  # paths and hashes changed since ``start_tracking_changes``
        self._results: dict[tuple[object, ...], ReplicaState] = {}  # of actions that ended since then, by action key
        self.is_cancelled = False  # until the next ``submit``
        self._is_submitting = self._is_stale = False
        self._plan_to_clean_up: Plan | None = None  # the plan whose final cleaning is still due
        self.notes: tuple[str, ...] = ()  # on what the last cleaning kept
        self._bug: Exception | None = None
        self._cleanup_task: asyncio.Task[None] | None = None
        self._recheck_task: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        await self._threads.__aexit__(kind, failure, trace)

    def start_tracking_changes(self) -> None:
        """Drop what is recorded of changed files and results, because a scan that begins now sees them."""
        self._changed.clear()
        self._results.clear()

    async def submit(self, plan: Plan, options: ApplyOptions) -> None:
        """Write the plan's journal rows and queue its actions instead of those of earlier plans; not waited for.

        If the journal cannot be written, all actions that do not run yet fail. Actions on files that changed since
        ``start_tracking_changes`` are left out, and ``take_stale`` reports that.
        """
        desired = {get_action_key(action): action for action in (*plan.place_actions, *plan.remove)}
        for job in self._workers:
            if get_action_key(job.action) not in desired:
                self._cancel(job)
        self._is_submitting = True
        self._idle.clear()
        try:
            failure = await self._update_journal(plan)
        finally:
            self._is_submitting = False
        blockers = {get_action_key(job.action): job.blocked_reason for job in self._drop_waiting()}
        running = {get_action_key(job.action): job for job in self._workers if job.is_desired}
        jobs = {key: running.get(key) or Job(action, blockers.get(key)) for key, action in desired.items()}
        self._downloads.set_options(options, _list_trash_sources(plan))
        self._plan_to_clean_up, self.is_cancelled = plan, False
        self.progress.start_plan(plan, jobs.values())
        self._enqueue([job for job in jobs.values() if job not in self._workers], failure)

    def cancel(self) -> None:
        """Cancel everything; nothing is applied before the next ``submit``. Reported states stay as they are.

        Does not wait: running actions end later.
        """
        self._drop_waiting()
        for job in self._workers:
            self._cancel(job)
        self._plan_to_clean_up, self.is_cancelled = None, True

    async def stop(self) -> None:
        """Cancel everything and wait until all tasks have ended. Idempotent."""
        self.cancel()
        self._downloads.close()
        if self._recheck_task is not None:
            self._recheck_task.cancel()
        if ending := {*self._workers.values(), *filter(None, (self._cleanup_task, self._recheck_task))}:
            await asyncio.wait(ending)

    async def wait_until_idle(self) -> None:
        """Wait until nothing runs and nothing can begin; blocked actions may still be waiting."""
        await self._idle.wait()

    def raise_bug(self) -> None:
        """Raise the last unexpected exception of an action or a recheck since the last call, if there was one."""
        bug, self._bug = self._bug, None
        if bug is not None:
            raise bug

    @property
    def is_active(self) -> bool:
        """Return whether an action runs; queued and blocked ones do not count."""
        return bool(self._workers)

    def list_blocked_reasons(self) -> tuple[str, ...]:
        """Return the distinct reasons for which ``get_blocked_reason`` holds back waiting actions."""
        return tuple(
            dict.fromkeys(job.blocked_reason for job in self._queue.list_waiting() if job.blocked_reason is not None)
        )

    def take_finished(self) -> list[FinishedAction]:
        """Return the actions that succeeded since the last call, and forget them; failures are in ``progress`` only."""
        ended, self._finished = self._finished, []
        return ended

    def take_stale(self) -> bool:
        """Return whether actions were left out since the last call because their files had changed, and forget that."""
        is_stale, self._is_stale = self._is_stale, False
        return is_stale

    async def _update_journal(self, plan: Plan) -> StateFileError | None:
        """Apply the rows of a plan, except of files in use or changed since the scan; return the error on failure."""
        excluded = self._changed.union(*(get_touched(job.action) for job in self._workers))
        try:
            await self._threads.run(partial(update_journal, plan, self._machine, excluded), timeout_seconds=None)
        except StateFileError as failure:
            return failure
        return None

    def _enqueue(self, jobs: list[Job], failure: StateFileError | None) -> None:
        """Queue new jobs and start those that may begin; stale ones are left out. With ``failure``, all fail."""
        for job in jobs:
            if failure is not None:
                self._fail(job, failure)
            elif self._changed & get_touched(job.action):
                self._is_stale = True
                self._report_stale(job)
            else:
                self._queue.add(job)
        self._start_ready_jobs()
        for job in self._queue.list_waiting():
            self._report_waiting(job)
        self._recheck_later()

    def _report_stale(self, job: Job) -> None:
        """Report a job whose action ended, or whose files changed, after the plan was made.

        Reported is the result of an action that ended, else that the model is queued until the next plan.
        """
        if (result := self._results.get(get_action_key(job.action))) is not None:
            self.progress.report(job, result)
        else:
            self.progress.report_waiting(job, "Queued.")

    def _start_ready_jobs(self) -> None:
        """Start all jobs that may begin; if then none runs, clean up once after the plan, and then become idle.

        Nothing happens while a plan is submitted.
        """
        if self._is_submitting:
            return
        while (job := self._queue.start_next(may_remove=self._downloads.options.may_remove())) is not None:
            self._idle.clear()
            self._workers[job] = worker = asyncio.create_task(self._run_job(job))
            worker.add_done_callback(partial(self._handle_end, job))
        if self._workers or self._cleanup_task is not None:
            return
        if self._plan_to_clean_up is None:
            self._idle.set()
            self._on_change()
        else:
            self._cleanup_task = asyncio.create_task(self._clean_up(self._plan_to_clean_up))
            self._plan_to_clean_up = None

    async def _clean_up(self, plan: Plan) -> None:
        """Clean the work folders in a thread after the actions of a plan, and keep notes on folders that stay.

        See ``clean_up_after``. Then jobs that wait are started, or the executor becomes idle.
        """
        try:
            clean_up = partial(clean_up_after, plan, self._machine, self._list_used)
            kept = await self._threads.run(clean_up, timeout_seconds=None)
            self.notes = tuple(folder.describe() for folder in kept)
        finally:
            self._cleanup_task = None
            self._start_ready_jobs()

    def _list_used(self) -> frozenset[Path | str]:
        """Return the paths and hashes that running actions use; may be called in another thread."""
        return frozenset[Path | str]().union(*(get_touched(job.action) for job in list(self._workers)))

    async def _run_job(self, job: Job) -> _Result:
        """Run a job and return its result, a failure as ``NotPlaced``, or None if it was stopped; a bug is recorded."""
        runner = ActionRunner(
            self._machine, self._downloads, self._threads, job.stopped, partial(self._report_progress, job)
        )
        try:
            return await runner.run(job.action)
        except (NotPlaced, TransferFailed, Problem, OSError) as failure:
            return build_not_placed(job.action.target.path, failure)
        except ReadStopped:
            return None
        except Exception as bug:  # noqa: BLE001 - re-raised by ``raise_bug``; other actions continue
            self._bug = bug
            return NotPlaced("failed", "An internal error occurred; the agent's log has details.")

    def _report_progress(self, job: Job, replica_state: ReplicaState) -> None:
        """Report a state of a running job; if its download receives nothing now, others may begin in its slot.

        If too many fail at once, those that received least end as failed: they are tried again with a later plan.
        """
        before = job.hindrance
        self.progress.report(job, replica_state)
        if job.hindrance not in (None, before):
            for excess in self._queue.list_excess_failing():
                excess.given_up = NotPlaced("failed", (excess.replica_state and excess.replica_state.reason) or "")
                self._workers[excess].cancel()
            self._start_ready_jobs()

    def _handle_end(self, job: Job, worker: "asyncio.Task[_Result]") -> None:
        """Record and report the result of a worker that ended, queue a blocked job again, and start others.

        This is a done callback, because a worker that is cancelled before it began runs no line of its coroutine.
        """
        result = (job.given_up if job.is_desired else None) if worker.cancelled() else worker.result()
        del self._workers[job]
        if isinstance(result, ActionBlocked) and job.is_desired:
            job.blocked_reason = result.reason
            self._queue.requeue(job)
            self._report_waiting(job)
            self._recheck_later()
        elif isinstance(result, NotPlaced):
            self._queue.finish(job)
            self._fail(job, result)
        else:
            self._queue.finish(job)
            self._record_change(job)
            if result is not None:
                self._finished.append(FinishedAction(job.action, result))
                self._results[get_action_key(job.action)] = result
                self.progress.report(job, result)
        self._on_change()
        self._start_ready_jobs()

    def _record_change(self, job: Job) -> None:
        """Record the files that an action may have changed.

        If the newest plan does not contain the action, queued jobs that use these files are dropped.
        """
        touched = get_touched(job.action)
        self._changed |= touched
        if job.is_desired:
            return
        for waiting in [each for each in self._queue.list_waiting() if touched & get_touched(each.action)]:
            self._queue.drop(waiting)
            self._is_stale = True

    def _fail(self, job: Job, failure: NotPlaced | StateFileError) -> None:
        """Report the failure of a job, and the same for all jobs that depend on its file."""
        reason = build_not_placed(job.action.target.path, failure)
        self.progress.report_failure(job, reason)
        for follower in self._queue.list_dependents(job) if job.is_desired else ():
            self._queue.drop(follower)
            self._fail(follower, reason)

    def _report_waiting(self, job: Job) -> None:
        """Report a waiting job as blocked with its reason, or else as queued."""
        if job.blocked_reason is not None:
            self.progress.report_failure(job, ActionBlocked(job.blocked_reason))
        else:
            self.progress.report_waiting(job, self._queue.get_waiting_reason(job))

    def _recheck_later(self) -> None:
        """Start checking blocked jobs again and again, unless that runs already or none is blocked."""
        if self._recheck_task is None and any(job.blocked_reason is not None for job in self._queue.list_waiting()):
            self._recheck_task = asyncio.create_task(self._recheck_blocked())

    async def _recheck_blocked(self) -> None:
        """Check every two seconds whether blocked actions may begin, and start those, until none is blocked."""
        has_failed = False
        try:
            while blocked := [job for job in self._queue.list_waiting() if job.blocked_reason is not None]:
                await asyncio.sleep(RECHECK_SECONDS)
                try:
                    for job in blocked:
                        await self._recheck_job(job)
                    self._start_ready_jobs()
                except Exception as bug:  # noqa: BLE001 - re-raised once by ``raise_bug``
                    if not has_failed:
                        has_failed, self._bug = True, bug
                        self._on_change()
        finally:
            self._recheck_task = None

    async def _recheck_job(self, job: Job) -> None:
        """Ask, in a thread, for the reason that blocks a job now, and report the job with it or as queued."""
        action = job.action
        if not isinstance(action, Replace | Remove):
            return
        job.blocked_reason = await self._threads.run(
            lambda: self._downloads.options.get_blocked_reason(action), timeout_seconds=None
        )
        self._report_waiting(job)
        self._on_change()

    def _drop_waiting(self) -> list[Job]:
        """Drop all waiting jobs from the queue, mark them as not desired, and return them."""
        dropped = list(self._queue.list_waiting())
        for job in dropped:
            self._queue.drop(job)
            job.is_desired = False
        return dropped

    def _cancel(self, job: Job) -> None:
        """Cancel a running job, which ends later."""
        job.is_desired = False
        job.stopped.set()
        self._workers[job].cancel()


def _list_trash_sources(plan: Plan) -> set[str]:
    """Return the hashes that are about to be restored from the trash."""
    actions: tuple[CopyLocal | Replace, ...] = (*plan.copy_local, *plan.replace)
    return {action.desired.sha256 for action in actions if action.source is not None and action.source.kind == "trash"}
