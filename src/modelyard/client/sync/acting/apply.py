"""Carrying a plan out: all at once that may be, the most wanted first, and one model's trouble stays its own."""

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.client.sync.acting.carrying import Carrier
from modelyard.client.sync.acting.downloads import Downloads, Terms, UrlOf
from modelyard.client.sync.acting.litter import tidy
from modelyard.client.sync.acting.place import Placer
from modelyard.client.sync.acting.standing import Standing, Tell, not_placed, ready, standing_of, unheard
from modelyard.client.sync.acting.troubles import NotPlaced, trouble
from modelyard.client.sync.holding.holdings import Machine
from modelyard.client.sync.holding.state import StateFailed
from modelyard.client.sync.planning.actions import Adopt, Fetch, Plan, Remove, Replace, Source
from modelyard.client.sync.wanted import most_wanted_first
from modelyard.transfer.crew import Crew, together
from modelyard.transfer.failures import TransferFailed
from modelyard.wire.problems import Problem

Bring = Fetch | Adopt | Replace

_USUAL = Terms()


async def apply_plan(
    plan: Plan, machine: Machine, url_of: UrlOf, terms: Terms = _USUAL, tell: Tell = unheard
) -> tuple[Standing, ...]:
    """Make the disk what the plan says; gives where each model stands at the end.

    Nothing that befalls one model is raised: it is its standing. Cancelling ends everything at once; what has come
    stays for the next run. ``tell`` hears of each change, but of a removal only if its model is not wanted elsewhere.
    """
    stopped = threading.Event()
    downloads = Downloads(url_of, machine.agent_id, terms, tell, _spared(plan))
    async with Crew(terms.parallel + 1) as crew:
        carrier = Carrier(Placer(machine, stopped), downloads, crew, stopped)
        carrying = asyncio.ensure_future(_Application(plan, machine, carrier, tell).run())
        try:
            return await asyncio.shield(carrying)
        except asyncio.CancelledError:
            # First, so that no thread goes on with a copy that nobody waits for.
            stopped.set()
            carrying.cancel()
            await asyncio.wait([carrying])
            raise


@dataclass
class _Application:
    plan: Plan
    machine: Machine
    carrier: Carrier
    tell: Tell
    _ended: list[Standing] = field(default_factory=list)
    _waiting: deque[tuple[int, Bring]] = field(default_factory=deque)
    _followers: dict[Path, list[Adopt | Replace]] = field(default_factory=lambda: defaultdict(list))

    async def run(self) -> tuple[Standing, ...]:
        self._tell_what_is_settled()
        self._queue_up()
        try:
            await self.carrier.crew.run(self._settle_journal, patience=None)
        except StateFailed as failure:
            # What could not be remembered is not placed, and what cannot be looked up is not removed.
            for action in self._brought():
                self._end(not_placed(action.wanted, trouble(action.target.path, failure)))
            return tuple(self._ended)
        clock = self.carrier.downloads.watch_the_clock()
        try:
            await together(*(self._work() for _ in range(min(self._at_once, len(self._waiting)))))
        finally:
            if clock is not None:
                clock.cancel()
        await self._remove_all()
        await self.carrier.crew.run(self._tidy, patience=None)
        return tuple(self._ended)

    @property
    def _at_once(self) -> int:
        return self.carrier.downloads.terms.parallel

    def _brought(self) -> Iterator[Bring]:
        yield from self.plan.fetch
        yield from self.plan.adopt
        yield from self.plan.replace

    def _tell_what_is_settled(self) -> None:
        for keep in self.plan.keep:
            self._end(ready(keep.wanted, keep.path, "found" if keep.origin == "found" else "kept", keep.remark))
        for refusal in self.plan.refuse:
            self._end(Standing(refusal.model_id, refusal.model_path, refusal.state, reason=refusal.reason))

    def _queue_up(self) -> None:
        """All actions by how much they are wanted; one that needs the bytes of another follows that."""
        made = {action.target.path for action in self._brought()}
        ordered = sorted(self._brought(), key=lambda action: most_wanted_first(action.wanted))
        for rank, action in enumerate(ordered):
            self.tell(standing_of(action.wanted, "wanted"))
            source = _source_of(action)
            if isinstance(action, Fetch) or source is None or source.kind != "planned" or source.path not in made:
                self._waiting.append((rank, action))
            else:
                self._followers[source.path].append(action)

    def _settle_journal(self) -> None:
        journal = self.machine.journal
        self.carrier.placer.clear_litter((*journal.unsettled(), *self.plan.forget))
        if self.plan.forget:
            journal.forget(self.plan.forget)
        if self.plan.confirm:
            journal.confirm_all(self.plan.confirm)

    async def _work(self) -> None:
        while self._waiting:
            rank, action = self._waiting.popleft()
            await self._bring(rank, action)

    async def _bring(self, rank: int, action: Bring) -> None:
        failed = await self._carry(self._act(rank, action), action)
        for follower in self._followers.pop(action.target.path, ()):
            if failed is None:
                await self._bring(rank, follower)
            else:
                self._give_up(follower, failed)

    def _give_up(self, action: Bring, failed: NotPlaced) -> None:
        """The bytes were to come from an action that failed, and they wait for it with the same words."""
        self._end(not_placed(action.wanted, failed))
        for follower in self._followers.pop(action.target.path, ()):
            self._give_up(follower, failed)

    def _act(self, rank: int, action: Bring) -> Awaitable[Standing]:
        match action:
            case Fetch():
                return self.carrier.fetch(action, rank)
            case Adopt():
                return self.carrier.adopt(action)
            case Replace():
                return self.carrier.replace(action, rank)

    async def _carry(self, act: Awaitable[Standing], action: Bring) -> NotPlaced | None:
        try:
            self._end(await act)
        except (NotPlaced, TransferFailed, Problem, OSError) as failure:
            told = trouble(action.target.path, failure)
            self._end(not_placed(action.wanted, told))
            return told
        return None

    async def _remove_all(self) -> None:
        """Take away what has to go; what cannot be remembered, so that it counts, stays."""
        plan = self.plan
        if not plan.remove:
            return
        try:
            if not plan.is_removal_approved:
                await self.carrier.crew.run(self._count_removals, patience=None)
        except StateFailed as failure:
            for removal in plan.remove:
                self._end(_not_removed(removal, failure))
            return
        for removal in plan.remove:
            await self._remove(removal)
        if plan.is_removal_approved and any(standing.done == "removed" for standing in self._ended):
            with suppress(StateFailed):  # then what went before counts for the rest of its hour
                await self.carrier.crew.run(self.machine.journal.forget_removals, patience=None)

    def _count_removals(self) -> None:
        self.machine.journal.will_remove(removal.entry.path for removal in self.plan.remove)

    async def _remove(self, action: Remove) -> None:
        try:
            standing = await self.carrier.remove(action)
        except (NotPlaced, OSError) as failure:
            standing = _not_removed(action, failure)
        self._end(standing)

    def _end(self, standing: Standing) -> None:
        is_elsewhere = standing.state is None and any(standing.model_id == other.model_id for other in self._ended)
        self._ended.append(standing)
        if not is_elsewhere:
            self.tell(standing)

    def _tidy(self) -> None:
        with suppress(StateFailed):
            self.machine.index.flush()
        for work in self.plan.works:
            tidy(work, self.machine.agent_id, self.plan.unfinished)


def _source_of(action: Bring) -> Source | None:
    return None if isinstance(action, Fetch) else action.source


def _not_removed(action: Remove, failure: NotPlaced | OSError) -> Standing:
    reason = trouble(action.target.path, failure).reason
    return Standing(action.entry.model_id, action.target.name, None, reason=reason, path=action.entry.path)


def _spared(plan: Plan) -> set[str]:
    """The hashes of what is about to come out of the trash."""
    actions: tuple[Adopt | Replace, ...] = (*plan.adopt, *plan.replace)
    return {action.wanted.sha256 for action in actions if action.source is not None and action.source.kind == "trash"}
