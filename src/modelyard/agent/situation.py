"""What an agent is, has and is doing, gathered in one place for heartbeats, for the status file and for the log."""

import os
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from modelyard import __version__
from modelyard.agent.beside import RENDERING
from modelyard.agent.connection import Link
from modelyard.agent.report import Report, Reports, sentence
from modelyard.agent.rounds import PAUSED, Outcome
from modelyard.agent.settings import AgentSettings
from modelyard.agent.status import HeldStatus, ModelStatus, Status
from modelyard.client.sync.acting.standing import Standing
from modelyard.client.sync.planning.actions import HeldRemoval, Plan
from modelyard.client.sync.wording import in_bytes, printable
from modelyard.wire.agents import Heartbeat, Manifest, ReportedModel, SyncPhase

# In the status file; who wants all of them asks the registry.
_MOST_SHOWN = 200


@dataclass(frozen=True)
class Surroundings:
    """What is beside the agent; asked for before each heartbeat."""

    comfyui_version: str | None = None
    is_rendering: bool = False
    disk_free: int | None = None


def _nobody() -> None:
    """Before anybody listens."""


@dataclass
class Situation:
    """Belongs to one event loop, but for ``looks_at``. ``tell`` is called when models begin to come or go."""

    settings: AgentSettings
    url: str
    link: Link = field(default_factory=Link)
    reports: Reports = field(default_factory=Reports)
    surroundings: Surroundings = field(default_factory=Surroundings)
    manifest: Manifest | None = None
    approved: dict[str, str | None] = field(default_factory=dict)  # by whom, and the token of the removal
    paused: bool = False
    is_acting: bool = False  # models come or go
    phase: SyncPhase = "idle"
    detail: str | None = None
    last_heartbeat: datetime | None = None
    outcome: Outcome = field(default_factory=Outcome)
    trouble: str | None = None  # why no round can be made
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    tell: Callable[[], None] = _nobody
    _moving: dict[UUID, Standing] = field(default_factory=dict)
    _sizes: dict[UUID, int] = field(default_factory=dict)
    _held_bytes: int = 0
    _counted: tuple[int, dict[str, int], list[ReportedModel]] | None = None
    _names: dict[UUID, str] = field(default_factory=dict)

    def enters(self, phase: SyncPhase) -> None:
        self.phase, self.detail = phase, None

    def looks_at(self, detail: str) -> None:
        self.detail = detail

    def expects(self, plan: Plan, standings: Sequence[Standing]) -> None:
        self.is_acting = bool(plan.fetch or plan.adopt or plan.replace or plan.remove) and not self.paused
        brought = [action.wanted for actions in (plan.fetch, plan.adopt, plan.replace) for action in actions]
        self._moving.clear()
        self._sizes = {wanted.id: wanted.size for wanted in brought}
        self._names = {standing.model_id: standing.model_path for standing in standings}
        self._count(standings)
        self.reports.settle(standings)
        if self.is_acting:
            self.tell()

    def hears(self, standing: Standing) -> None:
        if standing.model_id in self._sizes:
            self._moving[standing.model_id] = standing
            self.detail = standing.model_path.rpartition("/")[2]
            if standing.state == "verifying" and self.phase == "downloading":
                self.phase = "verifying"
            elif standing.state == "downloading":
                self.phase = "downloading"
        self.reports.hear(standing)

    def ends(self, outcome: Outcome) -> None:
        """A round has ended."""
        self.outcome, self.trouble, self.is_acting = outcome, None, False
        self._moving.clear()
        self._sizes.clear()
        self._names = {standing.model_id: standing.model_path for standing in outcome.standings}
        self._count(outcome.standings)
        self.reports.settle(outcome.standings)
        self.enters("waiting" if self.waiting_for() else "idle")

    def breaks_off(self, trouble: str | None) -> None:
        """A round did not come to its end; ``trouble``: why, unless it was ended on purpose."""
        self.trouble, self.is_acting = trouble, False
        self._moving.clear()
        self.enters("waiting" if trouble else "idle")

    def waiting_for(self) -> str | None:
        """Why something that is wanted is not done, as one sentence; the gravest reason."""
        if self.paused:
            return PAUSED
        if self.trouble is not None:
            return self.trouble
        if self.outcome.held is not None:
            return self.outcome.held.reason
        if self.is_acting:
            limit = self.settings.rate_limit
            is_slow = limit is not None and self.phase == "downloading"
            return f"Downloads take at most {in_bytes(limit)} a second here." if is_slow and limit else None
        return self._first_reason()

    def percent(self) -> int | None:
        """How much of what is brought now is here."""
        whole = sum(self._sizes.values())
        if not self.is_acting or not whole:
            return None
        done = sum(
            self._sizes[model_id] if standing.state == "ready" else standing.bytes_done
            for model_id, standing in self._moving.items()
        )
        return min(100, 100 * done // whole)

    def heartbeat(self, report: Report) -> Heartbeat:
        """What the registry is told."""
        held, around = self.outcome.held, self.surroundings
        detail, waiting = self.detail, self.waiting_for()
        return Heartbeat(
            agent_id=self.settings.agent_id,
            agent_status="syncing" if self.is_acting else "busy" if around.is_rendering else "idle",
            agent_labels=list(self.settings.labels),
            agent_version=__version__,
            comfyui_version=None if around.comfyui_version is None else printable(around.comfyui_version)[:100],
            platform_arch=f"{platform.system().lower()}-{platform.machine()}"[:100],
            sync_phase=self.phase,
            sync_detail=None if detail is None else sentence(detail),
            sync_percent=self.percent(),
            disk_free=around.disk_free,
            disk_budget=self.settings.disk_budget,
            bytes_held=self._held_bytes,
            waiting_for=None if waiting is None else sentence(waiting),
            removal_waiting=0 if held is None else len(held.removals),
            removal_token=None if held is None else held.token,
            report_series=report.series,
            report_number=report.number,
            model_list=list(report.models),
            is_whole=report.is_whole,
            whole_after=report.whole_after,
            is_last=report.is_last,
        )

    def status(self) -> Status:
        """What is left in the state folder."""
        held, around = self.outcome.held, self.surroundings
        counts, unready = self._states()
        return Status(
            agent_id=self.settings.agent_id,
            version=__version__,
            pid=os.getpid(),
            started_at=self.started_at,
            written_at=datetime.now(UTC),
            url=self.url,
            link=self.link.state,
            link_reason=self.link.reason,
            last_heartbeat=self.last_heartbeat,
            phase=self.phase,
            detail=self.detail,
            percent=self.percent(),
            paused=self.paused,
            waiting_for=self.link.reason if self.link.state == "refused" else self.waiting_for(),
            folders=[str(folder) for folder in (*self.settings.comfyui, *self.settings.models_dir)],
            comfyui=around.comfyui_version,
            counts=counts,
            bytes_held=self._held_bytes,
            disk_free=around.disk_free,
            models=[self._shown(told) for told in unready],
            held=None if held is None else _held_status(held),
            notes=list(self.outcome.notes),
        )

    def _states(self) -> tuple[dict[str, int], list[ReportedModel]]:
        """How many models are in each state, and those that are not simply here; looked up when one has changed."""
        if self._counted is None or self._counted[0] != self.reports.version:
            states = self.reports.states.values()
            unready = [told for told in states if told.state != "ready" or told.reason][:_MOST_SHOWN]
            self._counted = self.reports.version, dict(Counter(told.state for told in states)), unready
        return self._counted[1:]

    def _shown(self, told: ReportedModel) -> ModelStatus:
        return ModelStatus(
            model_path=self._names.get(told.model_id, str(told.model_id)),
            state=told.state,
            reason=told.reason,
            size=self._sizes.get(told.model_id, 0),
            bytes_done=told.bytes_done,
        )

    def _count(self, standings: Sequence[Standing]) -> None:
        """Bytes of the models that are here: two names of one model on one machine count twice only if both are it."""
        here = {standing.path: standing.size for standing in standings if standing.state == "ready" and standing.path}
        self._held_bytes = sum(here.values())

    def _first_reason(self) -> str | None:
        """Why the first model that waits does so; what ComfyUI does or a window says comes before a full disk."""
        reasons = [
            standing.reason
            for state in ("wanted", "blocked")
            for standing in self.outcome.standings
            if standing.state == state and standing.reason
        ]
        if RENDERING in reasons:
            return RENDERING
        return reasons[0] if reasons else next(iter(self.outcome.notes), None)


def _held_status(held: HeldRemoval) -> HeldStatus:
    paths = [str(removal.target.path) for removal in held.removals[:_MOST_SHOWN]]
    return HeldStatus(token=held.token, count=len(held.removals), reason=held.reason, paths=paths)
