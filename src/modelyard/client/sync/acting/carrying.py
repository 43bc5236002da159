"""One action of a plan, from the bytes to the name."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from modelyard.client.sync.acting.contents import set_time, unchanged_hash_of
from modelyard.client.sync.acting.downloads import Downloads
from modelyard.client.sync.acting.folders import Folder, open_folder, open_work
from modelyard.client.sync.acting.place import Placer
from modelyard.client.sync.acting.staging import Stage, Staged, changed
from modelyard.client.sync.acting.standing import Done, Standing, ready
from modelyard.client.sync.acting.troubles import NotPlaced
from modelyard.client.sync.holding.journal import Origin
from modelyard.client.sync.planning.actions import Adopt, Fetch, Remove, Replace, Source, Target
from modelyard.client.sync.wanted import Wanted
from modelyard.transfer.crew import Crew, Result
from modelyard.transfer.partial import Partial

# Gives a staged file its name; the other half of an action, which a download and an adoption share.
Put = Callable[[Staged, Folder], Origin]


@dataclass(frozen=True)
class Carrier:
    """Carries actions out.

    Raises:
        NotPlaced, OSError, TransferFailed, Problem: this one did not work, from every method.
    """

    placer: Placer
    downloads: Downloads
    crew: Crew
    stopped: threading.Event

    async def fetch(self, action: Fetch, rank: int) -> Standing:
        """Download to a name where nothing is."""

        def put(staged: Staged, _: Folder) -> Origin:
            return self.placer.place(staged, action.wanted, action.target)

        return await self._fetch(action.wanted, action.target, put, rank)

    async def adopt(self, action: Adopt) -> Standing:
        """Bring what is on this machine to a name where nothing is."""

        def put(staged: Staged, _: Folder) -> Origin:
            return self.placer.place(staged, action.wanted, action.target)

        return await self._run(lambda: self._adopt(action.wanted, action.target, action.source, put))

    async def replace(self, action: Replace, rank: int) -> Standing:
        """Put other bytes in the place of the agent's own, once nothing has them open."""

        def put(staged: Staged, work: Folder) -> Origin:
            if (why := self.downloads.terms.why_busy(action.target.path)) is not None:
                raise NotPlaced("wanted", why)
            return self.placer.replace(staged, action.wanted, action.target, action.old, work)

        source = action.source
        if source is None:
            return await self._fetch(action.wanted, action.target, put, rank)
        return await self._run(lambda: self._adopt(action.wanted, action.target, source, put))

    async def remove(self, action: Remove) -> Standing:
        """Take away what this agent placed."""
        await self._run(lambda: self._remove(action))
        entry = action.entry
        return Standing(entry.model_id, action.target.name, None, entry.size, done="removed", path=entry.path)

    async def _fetch(self, wanted: Wanted, target: Target, put: Put, rank: int) -> Standing:
        done: Done = "fetched"

        def finish(partial: Partial) -> None:
            nonlocal done
            set_time(partial.descriptor, wanted)
            partial.sync()
            try:
                origin = put(Staged(work, partial.path.name, partial.descriptor), work)
            except NotPlaced as failure:
                if failure.state == "conflict":
                    partial.remove()  # nobody asks for it again until a person has settled that
                raise
            if origin == "placed":
                partial.let_go()
            else:
                partial.remove()
                done = "found"

        with await self._run(lambda: open_work(target.root.work, make=True)) as work:
            await self.downloads.fetch(wanted, target, work, finish, rank)
        return ready(wanted, target.path, done)

    def _adopt(self, wanted: Wanted, target: Target, source: Source, put: Put) -> Standing:
        done: Done
        try:
            with open_work(target.root.work, make=True) as work:
                if source.kind == "trash":
                    origin, done = self._from_trash(wanted, source, put, work), "from trash"
                else:
                    stage = Stage(work, self.downloads.agent_id, self.downloads.terms.floor, self.stopped)
                    with stage.brought(source, wanted) as (staged, how):
                        origin, done = put(staged, work), how
        except FileNotFoundError:
            raise changed(source.path) from None
        return ready(wanted, target.path, done if origin == "placed" else "found")

    def _from_trash(self, wanted: Wanted, source: Source, put: Put, work: Folder) -> Origin:
        with open_folder(source.path.parent) as trash, trash.reading(source.path.name) as descriptor:
            if unchanged_hash_of(source.path, descriptor, self.stopped) != wanted.sha256:
                raise changed(source.path)
            return put(Staged(trash, source.path.name, descriptor), work)

    def _remove(self, action: Remove) -> None:
        with open_work(action.target.root.work, make=True) as work:
            self.placer.remove(work, action.target, action.entry)

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await self.crew.run(work, self.stopped.set, patience=None)
