"""What a machine should hold: made once for all machines with the same labels, and kept as the bytes of the answer."""

import asyncio
import gzip
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row as Found
from sqlalchemy import bindparam, select

from modelyard.server import changes
from modelyard.server.agents.waiting import Standing, Waiting
from modelyard.server.changes import TeamTotalsRow
from modelyard.server.database.session import Database, table_of
from modelyard.server.models.holders.labels import fits
from modelyard.server.models.holders.tables import AgentRow
from modelyard.server.models.holders.wanting import is_wanted
from modelyard.server.models.tables import ModelRow
from modelyard.server.teams.acting import Acting, check_again
from modelyard.wire import problems

# How much of memory manifests may take that nobody has asked for since. One of 100,000 models has about 11 MB.
MOST_BYTES = 64 * 1024 * 1024
# The hashes in it do not compress, and the rest does at any level.
LEVEL = 1
# When news comes thick and fast, making manifests takes a quarter of a processor and not all of it.
REST = 3.0

_models, _agents, _totals = table_of(ModelRow), table_of(AgentRow), table_of(TeamTotalsRow)
_STANDING = (
    select(_agents.c.number, _agents.c.orders, _agents.c.label_set, _agents.c.credential_id, _totals.c.revision)
    .join(_totals, _totals.c.team_id == _agents.c.team_id)
    .where(_agents.c.team_id == bindparam("of_team"), _agents.c.agent_id == bindparam("of_agent"))
)


@dataclass(frozen=True)
class Built:
    """A manifest at one revision: its ETag tells what is in it, the body is gzip's."""

    revision: int
    etag: str
    compressed: bytes
    cost_seconds: float

    @property
    def body(self) -> bytes:
        return gzip.decompress(self.compressed)


class Manifests:
    """The manifests that one process has made."""

    def __init__(self, database: Database, waiting: Waiting) -> None:
        self._database = database
        self._waiting = waiting
        self._built: OrderedDict[tuple[UUID, str], Built] = OrderedDict()
        self._building: dict[tuple[UUID, str], asyncio.Task[Built]] = {}
        self._rests_until: dict[tuple[UUID, str], float] = {}

    async def manifest_for(
        self, acting: Acting, agent_id: str, known: Collection[str], wait_seconds: float
    ) -> Built | None:
        """The machine's manifest, as soon as it has none of the ``known`` ETags; None if that is not so in time.

        None comes earlier when something else about the machine has changed, which its heartbeat will be told.

        Raises:
            KeyNotAllowed: the key belongs to another machine.
            AgentUnknown: no such machine, or another key speaks for it.
            Unauthenticated: the key has ended meanwhile.
        """
        loop = asyncio.get_running_loop()
        ends, is_called = loop.time() + wait_seconds, False
        while True:
            standing = await asyncio.to_thread(self._standing, acting, agent_id)
            built = await self._current(standing)
            if built.etag not in known:
                return built
            rest = ends - loop.time()
            if is_called or rest <= 0:
                return None
            is_called = await self._waiting.called(standing, rest)

    def _standing(self, acting: Acting, agent_id: str) -> Standing:
        if acting.caller.agent_id not in (None, agent_id):
            raise problems.KeyNotAllowed("This key belongs to another machine. Pair this one.")
        with self._database.reading() as session:
            check_again(session, acting)
            found = session.execute(_STANDING, {"of_team": acting.team_id, "of_agent": agent_id}).one_or_none()
        if found is None or found.credential_id != acting.caller.credential_id:
            raise problems.AgentUnknown("The registry has not heard of this machine by this key. Send a heartbeat.")
        return Standing(acting.team_id, *found)

    async def _current(self, standing: Standing) -> Built:
        """What is true at this revision or later. Those who ask meanwhile wait for the same making of it."""
        key = (standing.team_id, standing.label_set)
        while True:
            built = self._built.get(key)
            if built is not None and built.revision >= standing.revision:
                self._built.move_to_end(key)
                return built
            making = self._building.get(key)
            if making is None:
                making = self._building[key] = asyncio.create_task(self._make(key))
            await asyncio.shield(making)

    async def _make(self, key: tuple[UUID, str]) -> Built:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self._rests_until.get(key, 0.0) - loop.time())
            built = await asyncio.to_thread(self._build, *key)
        finally:
            del self._building[key]
        self._rests_until[key] = loop.time() + REST * built.cost_seconds
        self._keep(key, built)
        return built

    def _keep(self, key: tuple[UUID, str], built: Built) -> None:
        self._built[key] = built
        self._built.move_to_end(key)
        while len(self._built) > 1 and sum(len(one.compressed) for one in self._built.values()) > MOST_BYTES:
            dropped, _ = self._built.popitem(last=False)
            self._rests_until.pop(dropped, None)

    def _build(self, team_id: UUID, has: str) -> Built:
        begun = time.thread_time()
        wanted = select(
            *(_models.c.id, _models.c.model_path, _models.c.model_type, _models.c.file_size, _models.c.file_hash),
            *(_models.c.blake3_hash, _models.c.updated_at, _models.c.verification, _models.c.label_set),
        ).where(is_wanted(team_id))
        with self._database.reading() as session:
            revision = changes.totals_of(session, team_id).revision
            rows = session.connection().execute(wanted).all()
        entries = sorted((_entry(row) for row in rows if fits(row.label_set, has)), key=lambda entry: entry["id"])
        models = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
        etag = f'"{hashlib.sha256(models).hexdigest()[:32]}"'
        body = b'{"revision":%d,"model_list":%s}' % (revision, models)
        compressed = gzip.compress(body, LEVEL, mtime=0)
        return Built(revision, etag, compressed, time.thread_time() - begun)


def _entry(row: Found[*tuple[Any, ...]]) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "model_path": row.model_path,
        "model_type": row.model_type,
        "file_size": row.file_size,
        "file_hash": row.file_hash,
        "blake3_hash": row.blake3_hash,
        "updated_at": row.updated_at.isoformat(),
        "keep": row.verification != "verified",
    }
