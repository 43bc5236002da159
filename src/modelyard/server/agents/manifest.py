"""Manifests: the models that a machine should hold, built once for all machines with the same labels, and cached."""

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

from sqlalchemy import Row as ResultRow
from sqlalchemy import bindparam, select

from modelyard.server import revisions
from modelyard.server.agents.manifest_waiters import AgentSnapshot, ManifestWaiters
from modelyard.server.database.session import Database, get_table
from modelyard.server.models.replicas.desired import is_desired
from modelyard.server.models.replicas.labels import has_all_labels
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.models.tables import ModelRow
from modelyard.server.revisions import TeamTotalsRow
from modelyard.server.teams.context import TeamContext, check_still_authorized
from modelyard.wire import problems

# Least recently used manifests are dropped above this size. One of 100,000 models has about 11 MB.
MAX_CACHE_BYTES = 64 * 1024 * 1024
# The hashes in a manifest do not compress, and the rest does at any level.
GZIP_LEVEL = 1
# With frequent changes, building manifests takes a quarter of a processor: each build is followed by a pause.
PAUSE_FACTOR = 3.0

_models, _agents, _totals = get_table(ModelRow), get_table(AgentRow), get_table(TeamTotalsRow)
_SNAPSHOT = (
    select(_agents.c.number, _agents.c.orders, _agents.c.label_set, _agents.c.credential_id, _totals.c.revision)
    .join(_totals, _totals.c.team_id == _agents.c.team_id)
    .where(_agents.c.team_id == bindparam("of_team"), _agents.c.agent_id == bindparam("of_agent"))
)


@dataclass(frozen=True)
class CachedManifest:
    """A manifest at one revision; the ETag is a hash of the models in it, ``compressed`` its JSON in gzip."""

    revision: int
    etag: str
    compressed: bytes
    build_seconds: float

    @property
    def body(self) -> bytes:
        """The JSON, decompressed at each access."""
        return gzip.decompress(self.compressed)


class ManifestCache:
    """The manifests that this process has built, by team and label set; least recently used ones are dropped."""

    def __init__(self, database: Database, waiters: ManifestWaiters) -> None:
        self._database = database
        self._waiters = waiters
        self._cache: OrderedDict[tuple[UUID, str], CachedManifest] = OrderedDict()
        self._tasks: dict[tuple[UUID, str], asyncio.Task[CachedManifest]] = {}
        self._next_build_at: dict[tuple[UUID, str], float] = {}

    async def wait_for_manifest(
        self, team: TeamContext, agent_id: str, known_etags: Collection[str], wait_seconds: float
    ) -> CachedManifest | None:
        """Return the machine's manifest as soon as its ETag is not in ``known_etags``; None after ``wait_seconds``.

        None is returned earlier if something else about the machine has changed, which its next heartbeat will tell
        it.

        Raises:
            KeyNotAllowed: the key belongs to another machine.
            AgentUnknown: there is no such machine, or it uses another key.
            Unauthenticated: the key has expired or was revoked meanwhile.
        """
        loop = asyncio.get_running_loop()
        ends, has_changed = loop.time() + wait_seconds, False
        while True:
            snapshot = await asyncio.to_thread(self._load_snapshot, team, agent_id)
            manifest = await self._get_current(snapshot)
            if manifest.etag not in known_etags:
                return manifest
            seconds_left = ends - loop.time()
            if has_changed or seconds_left <= 0:
                return None
            has_changed = await self._waiters.wait_for_change(snapshot, seconds_left)

    def _load_snapshot(self, team: TeamContext, agent_id: str) -> AgentSnapshot:
        """Load the machine and its team's revision; raises what ``wait_for_manifest`` raises."""
        if team.caller.agent_id not in (None, agent_id):
            raise problems.KeyNotAllowed(
                "This key belongs to another machine. Pair this machine to get a key of its own."
            )
        with self._database.reading() as session:
            check_still_authorized(session, team)
            row = session.execute(_SNAPSHOT, {"of_team": team.team_id, "of_agent": agent_id}).one_or_none()
        if row is None or row.credential_id != team.caller.credential_id:
            raise problems.AgentUnknown("No machine of this name uses this key yet. Send a heartbeat first.")
        return AgentSnapshot(team.team_id, *row, key_hash=team.caller.key_hash or "")

    async def _get_current(self, snapshot: AgentSnapshot) -> CachedManifest:
        """Return the manifest at the snapshot's revision or a later one; concurrent callers wait for the same build."""
        key = (snapshot.team_id, snapshot.label_set)
        while True:
            manifest = self._cache.get(key)
            if manifest is not None and manifest.revision >= snapshot.revision:
                self._cache.move_to_end(key)
                return manifest
            task = self._tasks.get(key)
            if task is None:
                task = self._tasks[key] = asyncio.create_task(self._build_after_pause(key))
            await asyncio.shield(task)

    async def _build_after_pause(self, key: tuple[UUID, str]) -> CachedManifest:
        """Build a manifest in a thread, after the pause that the last build of this key requires, and cache it."""
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self._next_build_at.get(key, 0.0) - loop.time())
            manifest = await asyncio.to_thread(self._build, *key)
        finally:
            del self._tasks[key]
        self._next_build_at[key] = loop.time() + PAUSE_FACTOR * manifest.build_seconds
        self._store(key, manifest)
        return manifest

    def _store(self, key: tuple[UUID, str], manifest: CachedManifest) -> None:
        """Cache a manifest, and drop the least recently used ones while all exceed ``MAX_CACHE_BYTES``."""
        self._cache[key] = manifest
        self._cache.move_to_end(key)
        while len(self._cache) > 1 and sum(len(entry.compressed) for entry in self._cache.values()) > MAX_CACHE_BYTES:
            dropped, _ = self._cache.popitem(last=False)
            self._next_build_at.pop(dropped, None)

    def _build(self, team_id: UUID, label_set: str) -> CachedManifest:
        """Build the manifest of a team for a label set, entries sorted by id, and measure the processor time."""
        started = time.thread_time()
        desired = select(
            *(_models.c.id, _models.c.current_version, _models.c.model_path, _models.c.model_type),
            *(_models.c.file_size, _models.c.file_hash, _models.c.blake3_hash, _models.c.updated_at),
            *(_models.c.verification, _models.c.label_set),
        ).where(is_desired(team_id))
        with self._database.reading() as session:
            revision = revisions.get_totals(session, team_id).revision
            rows = session.connection().execute(desired).all()
        entries = sorted(
            (_build_entry(row) for row in rows if has_all_labels(row.label_set, label_set)),
            key=lambda entry: entry["id"],
        )
        models = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
        etag = f'"{hashlib.sha256(models).hexdigest()[:32]}"'
        body = b'{"revision":%d,"model_list":%s}' % (revision, models)
        compressed = gzip.compress(body, GZIP_LEVEL, mtime=0)
        return CachedManifest(revision, etag, compressed, time.thread_time() - started)


def _build_entry(row: ResultRow[*tuple[Any, ...]]) -> dict[str, Any]:
    """Build an entry; ``keep`` is true for content that failed a re-verification: kept where it is, not downloaded."""
    return {
        "id": str(row.id),
        "version": row.current_version,
        "model_path": row.model_path,
        "model_type": row.model_type,
        "file_size": row.file_size,
        "file_hash": row.file_hash,
        "blake3_hash": row.blake3_hash,
        "updated_at": row.updated_at.isoformat(),
        "keep": row.verification != "verified",
    }
