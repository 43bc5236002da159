"""Requests of machines that wait for a new manifest, and what ends the waiting apart from a new revision."""

import asyncio
import logging
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select

from modelyard.server.database.session import Database, get_table
from modelyard.server.identity.authentication import list_valid_key_hashes
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.revisions import RevisionWatcher
from modelyard.wire.problems import Problem

log = logging.getLogger("modelyard.agents")
_agents = get_table(AgentRow)


@dataclass(frozen=True)
class AgentSnapshot:
    """The state of a machine when its request began to wait."""

    team_id: UUID
    number: int
    orders: int
    label_set: str
    pin_set: str
    credential_id: UUID
    revision: int
    key_hash: str


@dataclass(eq=False)
class _Waiter:
    """A waiting request; ``changed`` is set when its machine or key has changed."""

    snapshot: AgentSnapshot
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class ManifestWaiters:
    """Ends the waiting of machines whose key is no longer valid, that were removed, or that have new orders.

    Belongs to one event loop. While requests wait, one query each two seconds reads the keys and one the machines of
    all of them, and each second one the revisions of their teams; no request holds a connection. While the database
    does not respond, all keep waiting.
    """

    def __init__(self, database: Database, every_seconds: float = 2.0) -> None:
        self._database = database
        self._every_seconds = every_seconds
        self._watcher = RevisionWatcher(database, every_seconds / 2)
        self._waiters: set[_Waiter] = set()
        self._polling: asyncio.Task[None] | None = None
        self._is_stopped = False

    def __len__(self) -> int:
        """Return the number of waiting requests."""
        return len(self._waiters)

    async def wait_for_change(self, snapshot: AgentSnapshot, timeout_seconds: float) -> bool:
        """Wait until the machine, its key or the team's revision changes; return True if the machine or its key did.

        Also True if the server stops. False after the timeout, and if only the revision has changed.
        """
        if self._is_stopped:
            return True
        waiter = _Waiter(snapshot)
        self._waiters.add(waiter)
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        revision_task = asyncio.create_task(
            self._watcher.wait_for_revision(snapshot.team_id, snapshot.revision, timeout_seconds)
        )
        change_task = asyncio.create_task(waiter.changed.wait())
        try:
            await asyncio.wait({revision_task, change_task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiters.discard(waiter)
            for task in (revision_task, change_task):
                task.cancel()
        return waiter.changed.is_set()

    def stop(self) -> None:
        """End all waiting, now and from now on: the server is about to stop."""
        self._is_stopped = True
        for waiter in self._waiters:
            waiter.changed.set()

    async def _poll(self) -> None:
        """Check all waiting machines periodically, and wake those that have changed, until none waits.

        A problem with the database is logged, and tried again.
        """
        while self._waiters:
            await asyncio.sleep(self._every_seconds)
            waiters = list(self._waiters)
            try:
                are_unchanged = await asyncio.to_thread(self._are_unchanged, [waiter.snapshot for waiter in waiters])
            except Problem as problem:
                log.warning("could not check the machines that wait for a manifest", extra={"why": problem.detail})
                continue
            for waiter, is_unchanged in zip(waiters, are_unchanged, strict=True):
                if not is_unchanged:
                    waiter.changed.set()

    def _are_unchanged(self, waiters: list[AgentSnapshot]) -> list[bool]:
        """Return for each whether its key is still valid, and its orders and key are those of the snapshot."""
        with self._database.reading() as session:
            valid_key_hashes = list_valid_key_hashes(session, {snapshot.key_hash for snapshot in waiters})
            # All machines of their teams: naming each of two hundred machines would cost more than reading them.
            of_teams = _agents.c.team_id.in_({snapshot.team_id for snapshot in waiters})
            rows = session.execute(select(_agents.c.number, _agents.c.orders, _agents.c.credential_id).where(of_teams))
            known = {row.number: (row.orders, row.credential_id) for row in rows}
        return [
            snapshot.key_hash in valid_key_hashes
            and known.get(snapshot.number) == (snapshot.orders, snapshot.credential_id)
            for snapshot in waiters
        ]
