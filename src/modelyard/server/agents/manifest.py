"""Manifests: the models that a machine should hold, built once for all with the same labels and pins, and cached."""

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Collection
from functools import partial

from sqlalchemy import bindparam, select

from modelyard.server.agents.manifest_build import CachedManifest, Manifest, ManifestKey, build_manifest
from modelyard.server.agents.manifest_waiters import AgentSnapshot, ManifestWaiters
from modelyard.server.database.session import Database, get_table
from modelyard.server.fairness.accounts import Account
from modelyard.server.fairness.usage import Limits
from modelyard.server.http.operation_limiter import OperationLimiter
from modelyard.server.http.waiting.places import WaitingPlaces
from modelyard.server.identity.operations import build_other_machine_problem
from modelyard.server.models.replicas.tables import AgentRow
from modelyard.server.revisions import TeamTotalsRow
from modelyard.server.teams.context import TeamContext, reload_team_context
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems

# Least recently used manifests are dropped above this size. One of 100,000 models has about 11 MB.
MAX_CACHE_BYTES = 64 * 1024 * 1024
# With frequent changes, building manifests takes a quarter of a processor: each build is followed by a pause.
PAUSE_FACTOR = 3.0
# A machine's row is read in a moment, a manifest of many models built in a second: so builds have threads of their own.
LOADING_THREADS = Limits(8, per_person=2, per_team=2)
BUILDING_THREADS = Limits(2, per_person=1, per_team=1)
# After a change, all machines of a team ask, mostly with keys of one person.
QUEUE = Limits(20_000, per_person=2_000, per_team=2_000)
# With the longest wait for a change, and three waits for a thread that loads, less than the patience of a client.
BUILDING_SECONDS = 20.0

_agents, _totals = get_table(AgentRow), get_table(TeamTotalsRow)
_SNAPSHOT = (
    select(
        *(_agents.c.number, _agents.c.orders, _agents.c.label_set, _agents.c.pin_set, _agents.c.credential_id),
        _totals.c.revision,
    )
    .join(_totals, _totals.c.team_id == _agents.c.team_id)
    .where(_agents.c.team_id == bindparam("of_team"), _agents.c.agent_id == bindparam("of_agent"))
)


class ManifestCache:
    """The manifests that this process has built; least recently used ones are dropped."""

    def __init__(self, database: Database, waiters: ManifestWaiters, places: WaitingPlaces) -> None:
        self._database = database
        self._waiters = waiters
        self._places = places
        self._cache: OrderedDict[ManifestKey, CachedManifest] = OrderedDict()
        self._tasks: dict[ManifestKey, asyncio.Task[CachedManifest]] = {}
        self._next_build_at: dict[ManifestKey, float] = {}
        self.loading_limiter = OperationLimiter(LOADING_THREADS, queue=QUEUE)
        self.building_limiter = OperationLimiter(BUILDING_THREADS, queue=QUEUE, queue_seconds=BUILDING_SECONDS)

    async def wait_for_manifest(
        self,
        team: TeamContext,
        agent_id: str,
        known_etags: Collection[str],
        wait_seconds: float,
        *,
        has_previews: bool = False,
    ) -> Manifest | None:
        """Return the machine's manifest as soon as its ETag is not in ``known_etags``; None after ``wait_seconds``.

        With ``has_previews``, its entries name the models' pictures. None is returned earlier if something else about
        the machine has changed, which its next heartbeat will tell it, and at once if there is no place to wait.

        Raises:
            KeyNotAllowed: the key belongs to another machine.
            AgentUnknown: there is no such machine, or it uses another key.
            Unauthenticated: the key has expired or was revoked meanwhile.
            Unavailable: no thread became free in time for this person and team, or too many requests wait.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + wait_seconds
        load_current = partial(self._load_current, team, agent_id, has_previews=has_previews)
        snapshot, manifest = await load_current()
        if wait_seconds > 0 and manifest.get_etag(snapshot.number) in known_etags:
            with self._places.take(team.account, (snapshot.key_hash, snapshot.number)) as has_place:
                is_over = not has_place
                while not is_over and manifest.get_etag(snapshot.number) in known_etags:
                    has_changed = await self._waiters.wait_for_change(snapshot, ends - loop.time())
                    snapshot, manifest = await load_current()
                    is_over = has_changed or loop.time() >= ends
        if manifest.get_etag(snapshot.number) in known_etags:
            return None
        return await self.loading_limiter.run(team.account, partial(manifest.build_for, snapshot.number))

    async def decompress(self, team: TeamContext, manifest: Manifest) -> bytes:
        """Return a manifest's JSON; raises ``Unavailable`` as ``wait_for_manifest``."""
        return await self.loading_limiter.run(team.account, partial(gzip.decompress, manifest.compressed))

    async def _load_current(
        self, team: TeamContext, agent_id: str, *, has_previews: bool
    ) -> tuple[AgentSnapshot, CachedManifest]:
        """Return the machine and its manifest at the team's revision, built if it is not cached."""
        while True:
            snapshot = await self.loading_limiter.run(team.account, partial(self._load_snapshot, team, agent_id))
            key = ManifestKey(snapshot.team_id, snapshot.label_set, has_previews, snapshot.pin_set)
            manifest = await self._get_current(key, snapshot.revision, team.account)
            # Unequal if the last machine with these pins got others before the manifest was built.
            if manifest.pin_set == snapshot.pin_set:
                return snapshot, manifest

    def _load_snapshot(self, team: TeamContext, agent_id: str) -> AgentSnapshot:
        """Load the machine and its team's revision; raises what ``wait_for_manifest`` raises."""
        if team.caller.agent_id not in (None, agent_id):
            raise build_other_machine_problem(team.caller.agent_id)
        with self._database.reading() as session:
            reload_team_context(session, team, Operation.AGENT_MANIFEST)
            row = session.execute(_SNAPSHOT, {"of_team": team.team_id, "of_agent": agent_id}).one_or_none()
        if row is None or row.credential_id != team.caller.credential_id:
            # The name is a fact if a machine uses it with another key.
            facts = {} if row is None else {"agent_id": agent_id}
            raise problems.AgentUnknown("No machine of this name uses this key yet. Send a heartbeat first.", **facts)
        return AgentSnapshot(team.team_id, *row, key_hash=team.caller.key_hash or "")

    async def _get_current(self, key: ManifestKey, revision: int, account: Account) -> CachedManifest:
        """Return the manifest at this revision or a later one; concurrent callers wait for the same build.

        The build is charged to the account of the caller who starts it. If that gets no thread, the others try again.
        """
        while True:
            manifest = self._cache.get(key)
            if manifest is not None and manifest.revision >= revision:
                self._cache.move_to_end(key)
                return manifest
            task, is_own = self._tasks.get(key), False
            if task is None:
                task, is_own = asyncio.create_task(self._build_after_pause(key, account)), True
                self._tasks[key] = task
            try:
                await asyncio.shield(task)
            except problems.Unavailable:
                if is_own:
                    raise

    async def _build_after_pause(self, key: ManifestKey, account: Account) -> CachedManifest:
        """Build a manifest in a thread, after the pause that the last build of this key requires, and cache it."""
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self._next_build_at.get(key, 0.0) - loop.time())
            manifest = await self.building_limiter.run(account, partial(build_manifest, self._database, key))
        finally:
            del self._tasks[key]
        self._next_build_at[key] = loop.time() + PAUSE_FACTOR * manifest.build_seconds
        self._store(key, manifest)
        return manifest

    def _store(self, key: ManifestKey, manifest: CachedManifest) -> None:
        """Cache a manifest, and drop the least recently used ones while all exceed ``MAX_CACHE_BYTES``."""
        self._cache[key] = manifest
        self._cache.move_to_end(key)
        entries = self._cache.values()
        while len(entries) > 1 and sum(entry.size for entry in entries) > MAX_CACHE_BYTES:
            dropped, _ = self._cache.popitem(last=False)
            self._next_build_at.pop(dropped, None)
