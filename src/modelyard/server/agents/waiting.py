"""Machines that wait for a new manifest: what ends the waiting beside news of models."""

import asyncio
import logging
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select

from modelyard.server.changes import Watcher
from modelyard.server.database.session import Database, table_of
from modelyard.server.identity.bearer import valid_keys
from modelyard.server.models.holders.tables import AgentRow
from modelyard.wire.problems import Problem

log = logging.getLogger("modelyard.agents")
_agents = table_of(AgentRow)


@dataclass(frozen=True)
class Standing:
    """What a waiting machine was when it began to wait."""

    team_id: UUID
    number: int
    orders: int
    label_set: str
    credential_id: UUID
    revision: int


@dataclass(eq=False)
class _Waiter:
    standing: Standing
    called: asyncio.Event = field(default_factory=asyncio.Event)


class Waiting:
    """Calls waiting machines whose key has ended, who were forgotten, or for whom something was changed.

    It belongs to one event loop. While anybody waits, there is one look for all of them at keys and machines every two
    seconds, and one at the revisions of their teams each second; nobody holds a connection. A database that does not
    answer leaves everybody waiting.
    """

    def __init__(self, database: Database, every_seconds: float = 2.0) -> None:
        self._database = database
        self._every_seconds = every_seconds
        self._watcher = Watcher(database, every_seconds / 2)
        self._waiters: set[_Waiter] = set()
        self._looking: asyncio.Task[None] | None = None
        self._is_over = False

    def __len__(self) -> int:
        """How many wait now."""
        return len(self._waiters)

    async def called(self, standing: Standing, timeout_seconds: float) -> bool:
        """Wait until there may be news for a machine: True if it is about the machine itself.

        False: the team's models have changed, or the time is over.
        """
        if self._is_over:
            return True
        waiter = _Waiter(standing)
        self._waiters.add(waiter)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        news = asyncio.create_task(self._watcher.changed(standing.team_id, standing.revision, timeout_seconds))
        call = asyncio.create_task(waiter.called.wait())
        try:
            await asyncio.wait({news, call}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiters.discard(waiter)
            for task in (news, call):
                task.cancel()
        return waiter.called.is_set()

    def stop(self) -> None:
        """End all waiting, and let nobody wait any more: the server is about to go."""
        self._is_over = True
        for waiter in self._waiters:
            waiter.called.set()

    async def _look(self) -> None:
        while self._waiters:
            await asyncio.sleep(self._every_seconds)
            asked = list(self._waiters)
            try:
                are_unchanged = await asyncio.to_thread(self._are_unchanged, [waiter.standing for waiter in asked])
            except Problem as problem:
                log.warning("nobody can tell who may still wait", extra={"why": problem.detail})
                continue
            for waiter, is_unchanged in zip(asked, are_unchanged, strict=True):
                if not is_unchanged:
                    waiter.called.set()

    def _are_unchanged(self, asked: list[Standing]) -> list[bool]:
        """Of each, whether its key is valid still, and nothing was changed about it."""
        with self._database.reading() as session:
            keys = valid_keys(session, {standing.credential_id for standing in asked})
            # All of their teams: to name each of two hundred machines costs more than to read them.
            of_teams = _agents.c.team_id.in_({standing.team_id for standing in asked})
            rows = session.execute(select(_agents.c.number, _agents.c.orders, _agents.c.credential_id).where(of_teams))
            known = {row.number: (row.orders, row.credential_id) for row in rows}
        return [
            standing.credential_id in keys and known.get(standing.number) == (standing.orders, standing.credential_id)
            for standing in asked
        ]
