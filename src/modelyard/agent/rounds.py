"""One round: look at the folders, plan, carry the plan out, and ask ComfyUI whether it loads what was placed.

The steps are the client's own, the same that ``modelyard sync`` runs once.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID

from modelyard.agent.beside import RENDERING, let_go, proven, why_busy
from modelyard.agent.connection import RegistryCalls
from modelyard.agent.library import Finder, Library
from modelyard.agent.settings import AgentSettings
from modelyard.client.address import checked_download
from modelyard.client.sync.acting.apply import apply_plan
from modelyard.client.sync.acting.downloads import Terms
from modelyard.client.sync.acting.folders import open_work
from modelyard.client.sync.acting.standing import Standing, ready, standing_of
from modelyard.client.sync.acting.trash import empty
from modelyard.client.sync.acting.troubles import NotPlaced
from modelyard.client.sync.holding.holdings import Holdings, Machine, Watch, scan
from modelyard.client.sync.holding.patience import Patience
from modelyard.client.sync.holding.rereading import Rereader
from modelyard.client.sync.planning.actions import HeldRemoval, Plan
from modelyard.client.sync.planning.plan import Policy, plan_sync
from modelyard.client.sync.wanted import WantedList
from modelyard.client.sync.wording import in_bytes
from modelyard.transfer.crew import Crew
from modelyard.transfer.network import Network, Pace
from modelyard.wire.agents import SyncPhase

PAUSED = "This machine is paused in the registry."
# A machine of ten terabytes is read in three days.
_REREAD_BYTES_A_SECOND = 50_000_000.0


@dataclass(frozen=True)
class Leave:
    """What may be done now. ``may_remove`` is asked again just before anything is removed."""

    paused: bool = False
    approved: Sequence[str | None] = ()  # tokens of removals that somebody approved
    may_remove: Callable[[], bool] = lambda: True


class Ear(Protocol):
    """Who hears how a round goes on; called on the event loop, ``looks_at`` from any thread."""

    def enters(self, phase: SyncPhase) -> None: ...

    def looks_at(self, detail: str) -> None: ...

    def expects(self, plan: Plan, standings: Sequence[Standing]) -> None:
        """The plan is made, and nothing of it is done yet."""

    def hears(self, standing: Standing) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """How a round ended."""

    # Not shown: whoever shows a task shows its result, as Python does when it gives back the handler of a signal.
    standings: tuple[Standing, ...] = field(default=(), repr=False)
    held: HeldRemoval | None = None
    notes: tuple[str, ...] = ()
    library: Library = field(default_factory=Library)
    has_failed: bool = False  # something may go well later
    is_busy: bool = False  # a replacement waits for ComfyUI
    is_approval_spent: bool = False  # the removal that somebody approved was made


class Rounds:
    """Belongs to one event loop; one round at a time."""

    def __init__(self, settings: AgentSettings, finder: Finder, machine: Machine, registry: RegistryCalls) -> None:
        self._settings = settings
        self._finder = finder
        self._machine = machine
        self._registry = registry
        self._patience = Patience()
        every = timedelta(days=settings.reread_days)
        self._rereader = Rereader(machine, every, _REREAD_BYTES_A_SECOND, self._patience)
        # One for all rounds: a limit that is new with each round would be none.
        self._pace = None if settings.rate_limit is None else Pace(settings.rate_limit)

    async def run(self, wanted: WantedList, leave: Leave, ear: Ear) -> Outcome:
        """One round. Cancelling ends it at once; what has come stays for the next.

        Raises:
            NoFolders: see ``Finder``.
            StateFailed: see ``StateFile``.
        """
        async with Crew(2) as crew:
            ear.enters("scanning")
            library = await crew.run(self._finder.find)
            held = await self._looked(crew, library, wanted, ear)
            ear.enters("planning")
            plan = await crew.run(lambda: self._planned(wanted, held, leave), patience=None)
            ear.expects(plan, expected(plan))
            if leave.paused:
                standings = tuple(expected(plan, PAUSED))
            else:
                standings = await self._carried_out(plan, library, leave, ear)
                await crew.run(lambda: let_go(library, standings, plan), patience=None)
            standings = await crew.run(lambda: proven(library, wanted, standings), patience=None)
        return _outcome(plan, library, standings)

    async def purge(self, ear: Ear) -> tuple[Standing, ...]:
        """Remove everything that this agent placed and that still has its bytes, and empty the trash."""
        async with Crew(2) as crew:
            library = await crew.run(self._finder.find)
            held = await self._looked(crew, library, WantedList(), ear)
            policy = Policy(datetime.now().astimezone(), has_brake=False)
            plan = await crew.run(lambda: plan_sync(WantedList(), held, policy), patience=None)
            gone = await apply_plan(plan.removals_only(), self._machine, self._url_of, self._terms(library))
            works = {root.work for roots in held.installs for root in roots if root.is_listed}
            await crew.run(lambda: _empty_trash(works), patience=None)
        return gone

    async def read_one_again(self) -> bool | None:
        """Whether the file that was not read for longest is still what it was; None if none is due.

        Raises:
            StateFailed: see ``StateFile``.
        """
        stopped = threading.Event()
        async with Crew(1) as crew:
            return await crew.run(
                lambda: self._rereader.read_next(datetime.now(UTC), stopped), stopped.set, patience=None
            )

    async def _looked(self, crew: Crew, library: Library, wanted: WantedList, ear: Ear) -> Holdings:
        stopped = threading.Event()

        def hashed(path: Path, done: int, size: int) -> None:
            ear.looks_at(f"{path.name}: {in_bytes(done)} of {in_bytes(size)} read")

        watch = Watch(hashed, stopped, self._patience)
        return await crew.run(
            lambda: scan(library.installs, wanted.models, self._machine, watch), stopped.set, patience=None
        )

    def _planned(self, wanted: WantedList, held: Holdings, leave: Leave) -> Plan:
        policy = Policy(
            datetime.now().astimezone(), keep_free=self._settings.keep_free, disk_budget=self._settings.disk_budget
        )
        plan = plan_sync(wanted, held, policy)
        if plan.held is not None and plan.held.token in leave.approved:
            return plan_sync(wanted, held, replace(policy, approved_removal=plan.held.token))
        return plan

    async def _carried_out(self, plan: Plan, library: Library, leave: Leave, ear: Ear) -> tuple[Standing, ...]:
        terms = self._terms(library)
        ear.enters("downloading" if plan.fetch else "placing")
        brought = await apply_plan(replace(plan, remove=()), self._machine, self._url_of, terms, ear.hears)
        # Downloads may take hours: whether to remove anything is asked anew.
        if not plan.remove or not leave.may_remove():
            return brought
        ear.enters("placing")
        removed = await apply_plan(plan.removals_only(), self._machine, self._url_of, terms)
        return (*brought, *removed)

    def _terms(self, library: Library) -> Terms:
        return Terms(
            parallel=self._settings.parallel,
            network=Network(pace=self._pace),
            floor=self._settings.keep_free,
            window=self._settings.window,
            why_busy=why_busy(library),
        )

    async def _url_of(self, model_id: UUID) -> str:
        ticket = await self._registry.download_ticket(model_id)
        return checked_download(ticket.download_url, self._registry.url)


def expected(plan: Plan, reason: str | None = None) -> list[Standing]:
    """Where each model stands before anything of the plan is done, and why it stays so."""
    standings = [ready(keep.wanted, keep.path, "kept", keep.remark) for keep in plan.keep]
    standings += [
        Standing(refusal.model_id, refusal.model_path, refusal.state, reason=refusal.reason) for refusal in plan.refuse
    ]
    brought = [each.wanted for actions in (plan.fetch, plan.adopt, plan.replace) for each in actions]
    return standings + [standing_of(model, "wanted", reason=reason) for model in brought]


def _empty_trash(works: set[Path]) -> None:
    for work in works:
        try:
            with open_work(work) as folder:
                empty(folder, rest_seconds=0)
        except (NotPlaced, OSError):
            continue  # not there, or not ours to write: then nothing of ours is in it


def _outcome(plan: Plan, library: Library, standings: tuple[Standing, ...]) -> Outcome:
    return Outcome(
        standings,
        plan.held,
        (*library.troubles, *plan.notes),
        library,
        has_failed=any(standing.state in {"failed", "blocked"} for standing in standings),
        is_busy=any(standing.reason == RENDERING for standing in standings),
        is_approval_spent=any(standing.done == "removed" for standing in standings),
    )
