"""The live status of an agent: its connection, models, plan and progress, and why it waits."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from modelyard.agent.reconcile_result import PAUSED, ReconcileResult
from modelyard.agent.registry.connection import RegistryConnection
from modelyard.agent.registry.rejections import Rejections
from modelyard.agent.registry.reports import Reports
from modelyard.agent.settings import AgentSettings
from modelyard.agent.state_folder import ModelStatus, ReasonStatus, StatusSnapshot
from modelyard.agent.transfer_rate import Progress, TransferRate
from modelyard.agent.use.use_log import UseLog
from modelyard.client.api.manifests import ReceivedManifest
from modelyard.comfyui.quoting import counted, in_bytes
from modelyard.sync.apply.replica_states import OnReplicaState, ReplicaState, ignore_replica_state
from modelyard.sync.reason_groups import group_by_reason, is_example
from modelyard.wire.agents.heartbeats import ReportedModel
from modelyard.wire.agents.values import ModelState, SyncPhase

_IN_PROGRESS = frozenset({"queued", "downloading", "verifying"})
# Most models and paths in the status file; the registry has all of them.
MAX_SHOWN = 200
# Most reasons of a state in the status file, and the models that a reason names.
_MAX_REASONS = 20
_MOST_NAMED = 3


@dataclass(frozen=True)
class MachineInfo:
    """Facts about the machine and its installed agent that are read before each heartbeat."""

    agent_build: str | None = None
    comfyui_version: str | None = None
    is_rendering: bool = False
    disk_free: int | None = None


@dataclass(frozen=True)
class TeamFacts:
    """What the registry's last response to a heartbeat said of the team; None before the first one."""

    team_name: str | None = None
    may_request_models: bool | None = None
    team_id: UUID | None = None  # also None with a registry that does not send it


@dataclass(frozen=True)
class StateCounts:
    """How many models are in each state, at one ``version`` of the reports."""

    version: int
    states: dict[str, int]
    models: list[ModelStatus]  # the first ``MAX_SHOWN`` that are not simply ready
    unloaded: int = 0  # ready, but ComfyUI does not load them
    evicted: int = 0
    reasons: list[ReasonStatus] = field(default_factory=list)


@dataclass
class AgentStatus:
    """The live status. Belongs to one event loop, except ``set_detail``, which any thread may call.

    ``on_change`` is called when actions begin to run, ``on_replica_state`` with each change of a model's state.
    """

    settings: AgentSettings
    url: str
    on_change: Callable[[], None]
    previous: StatusSnapshot | None = None  # of an earlier start; valid until the folders were scanned
    on_replica_state: OnReplicaState = ignore_replica_state
    connection: RegistryConnection = field(default_factory=RegistryConnection)
    reports: Reports = field(default_factory=Reports)
    rejections: Rejections = field(default_factory=Rejections)
    machine_info: MachineInfo = field(default_factory=MachineInfo)
    team_facts: TeamFacts = field(default_factory=TeamFacts)
    manifest: ReceivedManifest | None = None
    approved: dict[str, str | None] = field(default_factory=dict)  # source of the approval -> token of the removal
    paused: bool = False
    has_running_actions: bool = False
    use_log: UseLog | None = None  # None: use is not counted
    previews_lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while pictures beside models may change
    is_stopping: bool = False
    process: str = field(default_factory=lambda: secrets.token_hex(8))
    is_reported_by_two: bool = False  # another agent reports as this machine, as the registry says
    phase: SyncPhase = "idle"
    detail: str | None = None
    seconds_left: int | None = None  # of the running plan, as of the last heartbeat
    last_heartbeat: datetime | None = None
    result: ReconcileResult = field(default_factory=ReconcileResult)
    error: str | None = None  # why the folders cannot be reconciled
    retry_at: datetime | None = None  # of what failed; None if nothing did
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _counted_at: datetime | None = None
    _in_progress: dict[UUID, ReplicaState] = field(default_factory=dict)
    _sizes: dict[UUID, int] = field(default_factory=dict)
    _held_bytes: int = 0
    _state_counts: StateCounts | None = None
    _rate: TransferRate = field(default_factory=TransferRate)
    _model_paths: dict[UUID, str] = field(default_factory=dict)

    @property
    def is_idle(self) -> bool:
        """Whether no plan is being made and no action runs."""
        return self.phase in {"idle", "waiting"} and not self.has_running_actions

    def set_phase(self, phase: SyncPhase) -> None:
        """Set the phase and clear the detail; ignored while actions run, because their phase says more."""
        if not self.has_running_actions:
            self.phase, self.detail = phase, None

    def set_detail(self, detail: str) -> None:
        """Set what the phase works on; ignored while actions run. Any thread may call it."""
        if not self.has_running_actions:
            self.detail = detail

    def set_result(self, result: ReconcileResult) -> None:
        """Set the states of all models and what follows from them: error, phase, sizes, counts and reports.

        Called after a plan was made, and when nothing more of it can be done.

        Phase and detail change with it; if actions begin to run, ``on_change`` is called.
        """
        had_running_actions = self.has_running_actions
        self.result, self.error, self.has_running_actions = result, None, result.is_active
        in_plan = {
            each.model_id: each for each in result.replica_states if each.state in _IN_PROGRESS or _was_placed(each)
        }
        self._in_progress = in_plan if result.is_active else {}
        self._sizes = {model_id: replica_state.size for model_id, replica_state in self._in_progress.items()}
        self._model_paths = {
            replica_state.model_id: replica_state.model_path for replica_state in result.replica_states
        }
        self._count_held_bytes(result.replica_states)
        self.reports.set_all_states(result.replica_states)
        if not self.has_running_actions:
            self.set_phase("waiting" if self.find_waiting_reason() else "idle")
        elif not had_running_actions:
            self.phase, self.detail = "placing", None
            self.on_change()

    def update_replica(self, replica_state: ReplicaState) -> None:
        """Update one model's state, pass it on to the callback, and set phase and detail if it is downloading.

        The state of a removed model is only passed on.
        """
        self.on_replica_state(replica_state)
        if replica_state.state is None:
            return
        if replica_state.model_id in self._sizes:
            self._in_progress[replica_state.model_id] = replica_state
        if replica_state.state == "downloading" or (replica_state.state == "verifying" and self.phase == "downloading"):
            self.phase = replica_state.state
            self.detail = replica_state.model_path.rpartition("/")[2]
        self.reports.set_state(replica_state)

    def set_blockers(self, blockers: tuple[str, ...]) -> None:
        """Set why due actions cannot start; empty if nothing blocks them."""
        self.result = replace(self.result, blockers=blockers)

    def drop_approval(self, token: str) -> None:
        """Remove the approvals of a removal that was carried out from the status; the approval's file stays."""
        self.approved = {source: each for source, each in self.approved.items() if each != token}

    def end_reconcile(self, error: str | None) -> None:
        """Record that a reconciliation did not complete: because of an error, or None if it was ended on purpose."""
        self.error, self.has_running_actions = error, False
        self._in_progress.clear()
        self.set_phase("waiting" if error else "idle")

    def set_retry(self, wait: float | None) -> None:
        """Set after how many seconds what failed is tried again; None: nothing failed."""
        self.retry_at = None if wait is None else datetime.now(UTC) + timedelta(seconds=wait)

    def find_waiting_reason(self) -> str | None:
        """Return the most serious reason why the desired state is not reached, as a sentence; None if nothing waits.

        While downloads run at a limited rate, the limit is the reason, unless none of them receives anything.
        """
        if self.paused:
            return PAUSED
        if self.error is not None:
            return self.error
        if self.result.held is not None:
            return self.result.held.reason
        if self.result.blockers:
            return self.result.blockers[0]
        if self.has_running_actions:
            limit, stall = self.settings.rate_limit, self._find_stall()
            if limit and stall is None and self.phase == "downloading":
                return f"Downloads take at most {in_bytes(limit)} a second here."
            return self._find_first_reason("blocked") or stall
        waiting = self.result.stuck_reason or self._find_first_reason("queued", "blocked")
        return waiting or next(iter(self.result.notes), None)

    def find_problem(self) -> str | None:
        """Return why the desired state is not reached until a person acts, apart from single models; None for nothing.

        Held removals are not among them: the registry is told of them in fields of their own.
        """
        return self.error or self.result.stuck_reason or next(iter(self.result.notes), None)

    def get_progress(self) -> Progress | None:
        """Return how many bytes of the running plan are here; None if no actions run or it has no bytes."""
        total = sum(self._sizes.values())
        if not self.has_running_actions or not total:
            return None
        done = sum(
            self._sizes[model_id] if replica_state.state == "ready" else replica_state.bytes_done
            for model_id, replica_state in self._in_progress.items()
        )
        return Progress(min(done, total), total)

    def get_percent(self) -> int | None:
        """Return how many percent of the running plan's bytes are here; None if no actions run or it has no bytes."""
        progress = self.get_progress()
        return None if progress is None else 100 * progress.done // progress.total

    def measure_rate(self, moment: float) -> None:
        """Update ``seconds_left`` from the progress since the last calls; ``moment`` is of a monotonic clock."""
        progress = self.get_progress()
        if progress is None:
            self._rate.reset()
            self.seconds_left = None
        else:
            self.seconds_left = self._rate.estimate_seconds_left(moment, progress)

    def count_states(self) -> StateCounts:
        """Return how many models are in each state, and the first that are not simply ready; cached until a change.

        Before the first scan, these are the counts of the previous start, without unloaded models.
        """
        if self._counted_at is None and self.previous is not None:
            previous = self.previous
            evicted = previous.counts.get("evicted", 0)
            return StateCounts(-1, previous.counts, previous.models, evicted=evicted, reasons=previous.reasons)
        if self._state_counts is None or self._state_counts.version != self.reports.version:
            states = self.reports.states.values()
            unready = [reported for reported in states if reported.state != "ready" or reported.reason]
            self._state_counts = StateCounts(
                self.reports.version,
                dict(Counter(reported.state for reported in states)),
                [self._to_model_status(reported) for reported in unready[:MAX_SHOWN]],
                sum(reported.state == "ready" for reported in unready),
                sum(reported.state == "evicted" for reported in unready),
                list_reasons(map(self._to_model_status, unready)),
            )
        return self._state_counts

    @property
    def counted_at(self) -> datetime | None:
        """When the models were counted last, perhaps before this start; None if never."""
        if self._counted_at is None and self.previous is not None:
            return self.previous.counted_at
        return self._counted_at

    @property
    def counted_at_this_start(self) -> datetime | None:
        """When the models were counted last since this start; None before the first scan of the folders."""
        return self._counted_at

    @property
    def held_bytes(self) -> int:
        """The bytes of all models that are here; before the first scan, those of the previous start."""
        if self._counted_at is None and self.previous is not None:
            return self.previous.bytes_held
        return self._held_bytes

    def _to_model_status(self, reported: ReportedModel) -> ModelStatus:
        """Return a reported state with the model's path, else its id, and its size, 0 if not in the running plan."""
        return ModelStatus(
            model_path=self._model_paths.get(reported.model_id, str(reported.model_id)),
            state=reported.state,
            reason=reported.reason,
            size=self._sizes.get(reported.model_id, 0),
            bytes_done=reported.bytes_done,
        )

    def _count_held_bytes(self, replica_states: Sequence[ReplicaState]) -> None:
        """Store the sum of the sizes of ready models, each path once, and the time of this count."""
        ready = {
            replica_state.path: replica_state.size
            for replica_state in replica_states
            if replica_state.state == "ready" and replica_state.path
        }
        self._held_bytes = sum(ready.values())
        self._counted_at = datetime.now(UTC)

    def _find_stall(self) -> str | None:
        """Return why the first download receives nothing, if none of them does; None if one does, or none runs."""
        reasons = [each.reason for each in self._in_progress.values() if each.state == "downloading"]
        return reasons[0] if reasons and all(reasons) else None

    def _find_first_reason(self, *states: ModelState) -> str | None:
        """Return the reason of the first model that is in one of these states, looked for state by state; else None.

        If that model is blocked and others are not, the text says how many wait for this reason, as the machine goes on
        with the rest.
        """
        replica_states = self.result.replica_states
        groups = group_by_reason(each for state in states for each in replica_states if each.state == state)
        if not groups:
            return None
        first, count = groups[0], len(groups[0].model_paths)
        if first.state != "blocked" or count == len(replica_states):
            return first.reason
        example = ", for example" if is_example(first.reason, first.model_paths) else ""
        wait = f"{'waits' if count == 1 else 'wait'}{example}"
        return f"{count} of {counted(len(replica_states), 'model')} {wait}: {first.reason}"


def list_reasons(models: Iterable[ModelStatus]) -> list[ReasonStatus]:
    """Return the reasons that most models have, at most ``_MAX_REASONS`` of a state, with the first paths of each."""
    groups = sorted(group_by_reason(models), key=lambda group: len(group.model_paths), reverse=True)
    shown: dict[ModelState, list[ReasonStatus]] = {}
    for group in groups:
        of_state = shown.setdefault(group.state, [])
        if len(of_state) < _MAX_REASONS:
            paths = list(group.model_paths[:_MOST_NAMED])
            count = len(group.model_paths)
            of_state.append(ReasonStatus(state=group.state, count=count, reason=group.reason, model_paths=paths))
    return [each for of_state in shown.values() for each in of_state]


def _was_placed(replica_state: ReplicaState) -> bool:
    """Return whether a model is ready because its file was placed, rather than kept or found in place."""
    return replica_state.state == "ready" and replica_state.origin not in {"kept", "found"}
